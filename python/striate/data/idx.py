"""The IDX format of MNIST and its kin: a magic number, the dimensions, then bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from ..arguments import file_path
from ..errors import FileError

# Deflate cannot do better than this, so a larger claim in the header is a lie.
_MAX_COMPRESSION = 1032


def read_idx(
    file: str | os.PathLike[str], dimensions: int | None = None, sha256: str | None = None
) -> np.ndarray:
    """Read a gzipped IDX file of bytes.

    file: path of an `...-idx3-ubyte.gz` (images) or `...-idx1-ubyte.gz` (labels)
    dimensions: refuse a file that has another number of dimensions; None takes any from 1 to 4
    sha256: refuse a file whose unpacked bytes have another SHA-256, in hexadecimal

    Returns: uint8 array of the shape that the file states, owned and writable.
    Raises: FileError that names the file and the reason: absent, not gzip, truncated, a wrong
        checksum or magic number, another element type, fewer or more bytes than stated.

    >>> import gzip, struct, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/labels-idx1-ubyte.gz"
    ...     with gzip.open(path, "wb") as stream:
    ...         _ = stream.write(struct.pack(">BBBBI", 0, 0, 8, 1, 3) + bytes([9, 0, 3]))
    ...     read_idx(path)
    array([9, 0, 3], dtype=uint8)
    """
    path = Path(file_path(file))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, "it cannot be read", error.strerror or str(error)) from error
    if content[:2] != b"\x1f\x8b":
        raise _refused(path, "it must be gzip (1f 8b)", content[:2].hex(" ") or "an empty file")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            header = _read_header(stream, path, dimensions)
            shape = struct.unpack_from(f">{header[3]}I", header, 4)
            size = math.prod(shape)
            if size > len(content) * _MAX_COMPRESSION:
                raise _refused(
                    path, f"its header states {size} bytes", f"{len(content)} compressed"
                )
            # One byte more than stated: finds surplus data, and lets gzip check its own sum.
            data = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _refused(path, "it must be whole gzip data", str(error)) from error
    if len(data) != size:
        found = f"{len(data)}" if len(data) < size else "more"
        raise _refused(path, f"its header states {size} bytes of data", found)
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(data)
        if digest.hexdigest() != sha256:
            raise _refused(path, f"its content must have SHA-256 {sha256}", digest.hexdigest())
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def _read_header(stream: gzip.GzipFile, path: Path, dimensions: int | None) -> bytes:
    magic = stream.read(4)
    if len(magic) < 4:
        raise _refused(path, "an IDX file has a header of at least 8 bytes", f"{len(magic)}")
    zero, element, rank = struct.unpack(">HBB", magic)
    if zero != 0:
        raise _refused(path, "an IDX file begins with 00 00", magic.hex(" "))
    if element != 0x08:
        raise _refused(path, "its elements must be unsigned bytes (08)", f"{element:02x}")
    if not 1 <= rank <= 4 or dimensions not in (None, rank):
        wanted = "1 to 4" if dimensions is None else dimensions
        raise _refused(path, f"it must have {wanted} dimensions", f"{rank}")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise _refused(path, f"{rank} dimensions need {4 * rank} bytes", f"{len(sizes)}")
    return magic + sizes


def _refused(path: Path, rule: str, values: str) -> FileError:
    return FileError(layer="read_idx", rule=f"{path}: {rule}", values=values)

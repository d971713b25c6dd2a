"""Files that are either the old one or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .arguments import file_path
from .errors import FileError


@contextmanager
def replacing(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a new file beside `file`, and rename it to `file` when the block succeeds.

    The bytes are on disk (fsync) before the rename. If the block raises, the new file is removed
    and the old one is as it was. Folders on the way to `file` are made.

    Raises: FileError when the file cannot be written (no permission, a full disk).

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(Path(folder.name, "a.txt")) as new:
    ...     _ = new.write_text("whole")
    >>> Path(folder.name, "a.txt").read_text()
    'whole'
    >>> folder.cleanup()
    """
    target = Path(file_path(file))
    new = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last, since drawing libraries choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        new = Path(name)
        yield new
        with new.open("rb+") as written:
            os.fsync(written.fileno())
        new.chmod(0o666 & ~_umask())  # mkstemp makes files that only the owner may read
        new.replace(target)
        new = None
    except OSError as error:
        if isinstance(error, FileError):
            raise
        reason = error.strerror or str(error)
        raise FileError(layer="file", rule=f"{target} must be writable", values=reason) from error
    finally:
        if new is not None:
            new.unlink(missing_ok=True)


def _umask() -> int:
    # There is no call that only reads the mask.
    mask = os.umask(0)
    os.umask(mask)
    return mask

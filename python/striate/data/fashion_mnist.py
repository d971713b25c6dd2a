"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 grey pictures of clothing in ten classes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from ..errors import FileError
from .idx import decode_idx

fashion_mnist_classes = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]

_PACKAGE = "dataset-fashion-mnist"
_SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the files as Zalando published them and as Debian packages them.
_CHECKSUMS = {
    f"{stem}-ubyte.gz": digest
    for stem, digest in {
        "train-images-idx3": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "train-labels-idx1": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "t10k-images-idx3": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "t10k-labels-idx1": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    }.items()
}

Split = tuple[np.ndarray, np.ndarray]


def fashion_mnist(folder: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load Fashion-MNIST: ((x_train, y_train), (x_test, y_test)).

    x: uint8 [60000, 28, 28, 1] and [10000, 28, 28, 1], 0 is background, 255 is brightest
    y: int64 [60000] and [10000], indices into `fashion_mnist_classes`

    folder: where the four `.gz` files lie. By default the first place that has any of them:
        `$STRIATE_DATA` or its subfolder `fashion-mnist`; the cache, `$STRIATE_CACHE/fashion-mnist`
        (`~/.cache/striate` where the variable is not set); Debian's `/usr/share/datasets`. If none
        has, Debian's package is downloaded (31 MB) and unpacked into the cache; this needs apt but
        no root, and the next call works offline.

    Raises: FileError when the files cannot be had (it says what to type), or when one is not, byte
        for byte, the published one.

    >>> (x_train, y_train), (x_test, y_test) = fashion_mnist()
    >>> x_train.shape, x_train.dtype.name, y_train.shape, y_train.dtype.name
    ((60000, 28, 28, 1), 'uint8', (60000,), 'int64')
    >>> fashion_mnist_classes[y_train[0]]
    'Ankle boot'
    """
    place = Path(folder) if folder is not None else _find() or _download()
    return _split(place, "train"), _split(place, "t10k")


def cache_folder() -> Path:
    """Return striate's folder in the user's cache: `$STRIATE_CACHE`, else `~/.cache/striate`."""
    chosen = os.environ.get("STRIATE_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    root = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~"), ".cache")
    return root / "striate"


def _find() -> Path | None:
    places = [cache_folder() / "fashion-mnist", _SYSTEM_FOLDER]
    chosen = os.environ.get("STRIATE_DATA")
    if chosen:
        places = [Path(chosen), Path(chosen, "fashion-mnist"), *places]
    # One file is enough to choose a place: a folder that lacks the others is an error to report,
    # not a reason to read something else.
    return next((p for p in places if any((p / name).exists() for name in _CHECKSUMS)), None)


def _split(folder: Path, part: str) -> Split:
    images = _read(folder / f"{part}-images-idx3-ubyte.gz", dimensions=3)
    labels = _read(folder / f"{part}-labels-idx1-ubyte.gz", dimensions=1)
    return images[..., np.newaxis], labels.astype(np.int64)


def _read(path: Path, dimensions: int) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(
            layer="fashion_mnist",
            rule=f"{path} must be readable",
            values=error.strerror or str(error),
            fix=_by_hand(),
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _CHECKSUMS[path.name]:
        raise FileError(
            layer="fashion_mnist",
            rule=f"{path} must have the SHA-256 {_CHECKSUMS[path.name]}",
            values=f"{digest} ({len(content)} bytes)",
            fix=f"Delete it with `rm '{path}'`, then: {_by_hand()}",
        )
    return decode_idx(content, path, dimensions)


def _download() -> Path:
    from .debian import unpack_package  # only the first call of all needs it

    target = cache_folder() / "fashion-mnist"
    try:
        unpack_package(_PACKAGE, str(_SYSTEM_FOLDER.relative_to("/")), target, _check)
    except FileError as error:
        raise FileError(
            layer="fashion_mnist",
            rule="Fashion-MNIST must be on this machine or be had without root",
            values=error.values,
            fix=_by_hand(),
        ) from error
    return target


def _check(folder: Path) -> None:
    for part in ("train", "t10k"):
        _split(folder, part)


def _by_hand() -> str:
    names = ", ".join(_CHECKSUMS)
    return (
        f"On Debian or Ubuntu type `apt-get update && apt-get install {_PACKAGE}` as root; "
        f"elsewhere get {names} from the project zalandoresearch/fashion-mnist and put them into "
        f"{cache_folder() / 'fashion-mnist'} or into a folder that STRIATE_DATA names"
    )

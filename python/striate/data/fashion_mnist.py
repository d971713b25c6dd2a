"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 grey pictures of clothing in ten classes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import FileError
from .idx import read_idx

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
# SHA-256 of the unpacked files: the project's own and Debian's differ in how they are packed.
_CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
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

    Raises: FileError when the files cannot be had (it says what to type), or when the content
        of one is not what was published.

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
    return next(
        (p for p in places if any((p / f"{name}.gz").exists() for name in _CHECKSUMS)), None
    )


def _split(folder: Path, part: str) -> Split:
    images = _read(folder, f"{part}-images-idx3-ubyte")
    labels = _read(folder, f"{part}-labels-idx1-ubyte")
    return images[..., np.newaxis], labels.astype(np.int64)


def _read(folder: Path, name: str) -> np.ndarray:
    try:
        return read_idx(folder / f"{name}.gz", sha256=_CHECKSUMS[name])
    except FileError as error:
        raise FileError(
            layer="fashion_mnist",
            rule=error.rule,
            values=error.values,
            fix=f"Remove the four files from {folder} and run this again. {_by_hand()}",
        ) from error


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
    names = ", ".join(f"{name}.gz" for name in _CHECKSUMS)
    return (
        f"On Debian or Ubuntu type `apt-get update && apt-get install {_PACKAGE}` as root; "
        f"elsewhere get {names} from the project zalandoresearch/fashion-mnist and put them into "
        f"{cache_folder() / 'fashion-mnist'} or into a folder that STRIATE_DATA names"
    )

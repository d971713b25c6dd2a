"""Pictures to look at instead of numbers to read; needs matplotlib, which is only loaded here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Error

if TYPE_CHECKING:
    from .picture import Picture

__all__ = ["history", "images"]


def __dir__() -> list[str]:
    return sorted(__all__)


def history(history: Any, file: str | os.PathLike[str] | None = None) -> Picture:
    """Draw the curves of a training run: one panel for the loss and one for each metric.

    history: what `model.fit` returns, its list of epochs, or a dict of lists as in Keras
    file: also write the picture there; the name's end (.png, .svg, .pdf) chooses the format

    Returns: a matplotlib Figure that notebooks display.
    Raises: Error when matplotlib is not installed; ShapeError for a history without epochs;
        FileError when the file cannot be written.

    >>> picture = history([{"epoch": 1, "loss": 0.7, "val_loss": 0.8, "accuracy": 0.5},
    ...                    {"epoch": 2, "loss": 0.2, "val_loss": 0.3, "accuracy": 0.9}])
    >>> [panel.get_title(loc="left") for panel in picture.axes]
    ['Loss', 'Accuracy']
    """
    _need_matplotlib("history")
    from .curves import draw_history

    return draw_history(history).save(file)


def images(
    x: Any,
    labels: Sequence[int] | None = None,
    predictions: Any = None,
    classes: Sequence[str] | None = None,
    columns: int = 8,
    file: str | os.PathLike[str] | None = None,
) -> Picture:
    """Draw pictures in a grid, each with its label and what was predicted for it.

    x: [N, H, W, 1 or 3] or [N, H, W], uint8 from 0 to 255 or floating point; a batch of floats
        outside [0, 1] is stretched to its own range, and NaN is drawn in magenta
    labels: [N], the true classes
    predictions: [N] classes, or [N, K] scores of which the largest counts; wrong ones are red
    classes: names of the classes, e.g. `st.data.fashion_mnist_classes`
    columns: pictures in a row
    file: also write the picture there

    Returns: a matplotlib Figure that notebooks display.
    Raises: Error when matplotlib is not installed; ShapeError for arrays that do not fit together;
        LabelError for a class without a name; FileError when the file cannot be written.

    >>> import numpy as np
    >>> picture = images(np.zeros((3, 8, 8, 1), np.uint8), labels=[0, 1, 1], predictions=[0, 1, 0],
    ...                  classes=["cat", "dog"], columns=3)
    >>> [panel.get_title() for panel in picture.axes]
    ['cat', 'dog', 'cat\\n(dog)']
    """
    _need_matplotlib("images")
    from .grid import draw_images

    return draw_images(x, labels, predictions, classes, columns).save(file)


def _need_matplotlib(function: str) -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise Error(
            layer=f"view.{function}",
            rule="drawing needs matplotlib",
            values=str(error),
            fix="Type `pip install 'striate[view]'` or `pip install matplotlib`",
        ) from error

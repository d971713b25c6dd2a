"""Pictures in a grid, with their labels and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import as_array
from ..errors import LabelError, ShapeError
from .picture import INK, Picture

_WRONG = "#c0392b"
_NAN_COLOR = (1.0, 0.0, 1.0)


def draw_images(
    x: Any, labels: Any, predictions: Any, classes: Sequence[str] | None, columns: int
) -> Picture:
    """Return a Picture of the grid; see `striate.view.images`."""
    pictures = _drawable(x)
    count = len(pictures)
    truth = _classes_of(labels, "labels", count)
    guess = _classes_of(predictions, "predictions", count)
    if columns < 1:
        raise _error("columns must be at least 1", f"{columns}")
    columns = min(columns, count)
    rows = -(-count // columns)
    lines = 0 if truth is None and guess is None else 1 if truth is None or guess is None else 2
    height, width = pictures.shape[1:3]
    cell = 1.25  # inches; a line of text is 0.19 high
    cell_height = cell * height / width + 0.19 * lines + 0.08
    # The line below the grid needs its room even when there is only one picture.
    size = (max(cell * columns, 2.4) + 0.2, cell_height * rows + 0.2)
    figure = Picture(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, hspace=0.02, wspace=0.02)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, panel in enumerate(panels):
        if i >= count:
            panel.remove()
            continue
        panel.imshow(pictures[i], interpolation="nearest")
        panel.set_axis_off()
        text, color = _caption(i, truth, guess, classes)
        panel.set_title(text, fontsize=8, color=color, pad=3, linespacing=1.1)
    if lines == 2:
        figure.supxlabel("predicted (true class, where it differs)", fontsize=8, color=INK)
    return figure


def _drawable(x: Any) -> np.ndarray:
    """Return x as RGB of floats in [0, 1]: [N, H, W, 3]."""
    pictures = as_array(x, "x", layer="view.images")
    if pictures.ndim == 3:
        pictures = pictures[..., np.newaxis]
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or 0 in pictures.shape:
        raise _error("x must be [N, H, W], [N, H, W, 1], or [N, H, W, 3]", f"{list(np.shape(x))}")
    if pictures.dtype == np.uint8:
        pictures = pictures / np.float32(255)
    else:
        pictures = _stretched(pictures.astype(np.float32))
    if pictures.shape[-1] == 1:
        pictures = np.repeat(pictures, 3, axis=-1)
    return np.where(np.isnan(pictures).any(-1, keepdims=True), _NAN_COLOR, pictures)


def _stretched(pictures: np.ndarray) -> np.ndarray:
    finite = pictures[np.isfinite(pictures)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.clip((pictures - low) / max(high - low, 1e-12), 0, 1)


def _classes_of(values: Any, name: str, count: int) -> np.ndarray | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    elif array.ndim == 2:
        array = array[:, 0]
    if array.shape != (count,):
        raise _error(f"{name} must be [{count}], one for each picture", f"{list(array.shape)}")
    return array.astype(np.int64)


def _caption(
    i: int, truth: np.ndarray | None, guess: np.ndarray | None, classes: Sequence[str] | None
) -> tuple[str, str]:
    if truth is None and guess is None:
        return "", INK
    if truth is None or guess is None:
        return _name((truth if guess is None else guess)[i], classes, i), INK
    text = _name(guess[i], classes, i)
    if truth[i] == guess[i]:
        return text, INK
    return f"{text}\n({_name(truth[i], classes, i)})", _WRONG


def _name(number: int, classes: Sequence[str] | None, i: int) -> str:
    if classes is None:
        return str(number)
    if not 0 <= number < len(classes):
        raise LabelError(
            layer="view.images",
            rule=f"a class must be from 0 to {len(classes) - 1}",
            values=f"{number} for picture {i}",
        )
    return classes[number]


def _error(rule: str, values: str) -> ShapeError:
    return ShapeError(layer="view.images", rule=rule, values=values)

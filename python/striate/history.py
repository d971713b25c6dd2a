"""The record of a training run: what `model.fit` returns."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .arguments import file_path
from .atomic import replacing
from .errors import FileError


class History:
    """One row per epoch: {epoch, loss, accuracy, val_loss, val_accuracy, seconds}.

    epochs: rows to begin with; which keys there are depends on the metrics and on whether there
        is validation data. `epoch` counts from 1, `seconds` is wall-clock time.

    >>> history = History()
    >>> history.append(loss=0.75, accuracy=0.5, seconds=2.0)
    >>> history.append(loss=0.25, accuracy=1.0, seconds=2.0)
    >>> history.epochs[1]
    {'epoch': 2, 'loss': 0.25, 'accuracy': 1.0, 'seconds': 2.0}
    >>> history.history["loss"]
    [0.75, 0.25]
    """

    def __init__(self, epochs: Iterable[dict[str, Any]] = ()):
        self.epochs: list[dict[str, Any]] = [dict(row) for row in epochs]

    def append(self, **row: float) -> None:
        """Add an epoch; a row without `epoch` is numbered one after the last."""
        number = self.epochs[-1]["epoch"] + 1 if self.epochs else 1
        self.epochs.append({"epoch": number, **row})

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, from 1."""
        return [row["epoch"] for row in self.epochs]

    @property
    def history(self) -> dict[str, list[float]]:
        """The values of each key as a list over the epochs, as in Keras; NaN where one lacks it."""
        keys = dict.fromkeys(key for row in self.epochs for key in row if key != "epoch")
        return {key: [row.get(key, math.nan) for row in self.epochs] for key in keys}

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the record as JSON: {"epochs": [{...}, ...]}; NaN and infinity become null.

        Raises: FileError when the file cannot be written; an old one is then as it was.
        """
        rows = [{key: _plain(value) for key, value in row.items()} for row in self.epochs]
        with replacing(file) as new:
            new.write_text(json.dumps({"epochs": rows}, indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> History:
        """Read a record that `save` wrote; null becomes NaN.

        Raises: FileError when the file is absent or is no such record.
        """
        path = file_path(file)
        try:
            rows = json.loads(Path(path).read_text())["epochs"]
            rows = [{k: math.nan if v is None else v for k, v in row.items()} for row in rows]
        except OSError as error:
            raise _refused(path, error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _refused(path, f"{type(error).__name__}: {error}") from error
        return cls(rows)

    def plot(self, file: str | os.PathLike[str] | None = None) -> Any:
        """Draw the curves of loss and metrics, into a file too; see `striate.view.history`."""
        from . import view

        return view.history(self, file)

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(0 epochs)"
        last = ", ".join(f"{key} {_text(value)}" for key, value in self.epochs[-1].items())
        return f"History({len(self.epochs)} epochs; last: {last})"

    def _repr_html_(self) -> str:
        keys = ["epoch", *self.history]
        head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in keys)
        body = "".join(
            "<tr>" + "".join(f"<td>{_text(row.get(key))}</td>" for key in keys) + "</tr>"
            for row in self.epochs
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plain(value: Any) -> int | float | None:
    if isinstance(value, int):
        return value
    number = float(value)  # also of numpy's numbers, which json does not know
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{float(value):.4f}"


def _refused(path: str, values: str) -> FileError:
    return FileError(layer="History", rule=f"{path} must be a record of epochs", values=values)

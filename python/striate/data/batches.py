"""Batches of a data set, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _striate
from ..arguments import as_array, seed_number, shown, whole_number
from ..errors import DTypeError, ShapeError


class Batches:
    """Cut a data set into batches; each iteration is one epoch.

    x, y: arrays [N, ...] of the same N, or lists, tuples, or dicts of such arrays for several
        inputs or outputs; a batch has the same structure. Without y a batch is x alone.
        Arrays that are not contiguous or of alien byte order are copied once, here.
    batch_size: samples in a batch; the last one may be smaller
    shuffle: a new order in each epoch; False keeps the order of the arrays, for evaluation
    seed: epoch e of seed s has the same order on every machine and for every numpy
    drop_last: leave out a last batch that is smaller
    reuse: overwrite the arrays of a batch when the next one is asked for, instead of allocating;
        for loops that are done with a batch by then

    Raises: ShapeError for no samples, different numbers of samples, a batch_size below 1;
        DTypeError for elements that are not numbers.

    >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> batches = Batches(x, y, 2, seed=1)
    >>> len(batches)
    3
    >>> [y.tolist() for x, y in batches]                               # epoch 0
    [[3, 2], [0, 1], [4]]
    >>> [y.tolist() for x, y in batches]                               # epoch 1
    [[0, 3], [4, 2], [1]]
    >>> [x["left"].shape for x in Batches({"left": x}, batch_size=4, shuffle=False)]
    [(4, 2), (1, 2)]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        reuse: bool = False,
    ):
        self._x, self._y = _Columns(x, "x"), None if y is None else _Columns(y, "y")
        columns = self._x.named() + (self._y.named() if self._y else [])
        self.samples = _count_samples(columns)
        self.batch_size = whole_number(batch_size, "batch_size", 1, layer="Batches")
        if drop_last and self.samples < self.batch_size:
            raise _error(
                "drop_last must leave a batch",
                f"{self.samples} samples, batch_size {self.batch_size}",
                "Use a smaller batch_size or drop_last=False",
            )
        self.shuffle = bool(shuffle)
        self.seed = seed_number(seed, "seed", layer="Batches")
        self.drop_last = bool(drop_last)
        self.reuse = bool(reuse)
        self._epoch = self._position = 0
        self._begun = False
        self.indices: np.ndarray | None = None
        """The samples of the batch that was given out last, as numbers of rows: int64 [n]."""

    @property
    def has_targets(self) -> bool:
        """Whether a batch is (x, y), not x alone."""
        return self._y is not None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """Begin the next epoch, or go on with the one that `restore` named."""
        if self._begun:
            self._epoch, self._position = self._epoch + 1, 0
        self._begun = True
        return self._run(self._epoch, self._position)

    def __repr__(self) -> str:
        return (
            f"Batches({self.samples} samples, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, seed={self.seed}, drop_last={self.drop_last})"
        )

    def order(self, epoch: int) -> np.ndarray:
        """Return the samples of an epoch in the order in which it takes them: int64 [N]."""
        if not self.shuffle:
            return np.arange(self.samples)
        epoch = seed_number(epoch, "epoch", layer="Batches")
        return _striate.epoch_order(self.samples, self.seed, epoch)

    def state(self) -> dict[str, int]:
        """Return where the running epoch is: {epoch, position in samples, seed, samples}.

        With `restore` an iteration goes on behind the last batch that was given out. While `fit`
        runs on a device, that is the batch after the one it trains on.

        >>> batches = Batches(np.arange(6), batch_size=2, seed=3)
        >>> first = next(iter(batches))
        >>> state = batches.state()
        >>> state
        {'epoch': 0, 'position': 2, 'seed': 3, 'samples': 6}
        >>> again = Batches(np.arange(6), batch_size=2, seed=3)
        >>> again.restore(state)
        >>> [first.tolist()] + [x.tolist() for x in again]
        [[1, 5], [2, 4], [3, 0]]
        """
        epoch, position = self._epoch, self._position
        if position >= len(self) * self.batch_size or position >= self.samples:
            epoch, position = epoch + 1, 0
        return {"epoch": epoch, "position": position, "seed": self.seed, "samples": self.samples}

    def restore(self, state: dict[str, int]) -> None:
        """Let the next iteration go on where `state` says.

        Raises: ShapeError when the state is of a data set of another size or out of its range.
        """
        if not isinstance(state, dict) or not {"epoch", "position"} <= state.keys():
            raise DTypeError(
                layer="Batches", rule="a state is what state() returned", values=shown(state)
            )
        samples, seed = state.get("samples", self.samples), state.get("seed", self.seed)
        if samples != self.samples:
            raise _error(f"the state must be of {self.samples} samples", f"one of {samples}")
        most = self.samples - 1
        epoch = seed_number(state["epoch"], "the state's epoch", layer="Batches")
        position = whole_number(state["position"], "the state's position", 0, most, layer="Batches")
        self.seed = seed_number(seed, "the state's seed", layer="Batches")
        self._epoch, self._position, self._begun = epoch, position, False

    def _run(self, epoch: int, start: int) -> Iterator[Any]:
        order = self.order(epoch)
        end = self.samples
        if self.drop_last:
            end -= (end - start) % self.batch_size
        x_buffers = y_buffers = None
        for begin in range(start, end, self.batch_size):
            indices = order[begin : min(begin + self.batch_size, end)]
            if x_buffers is None or not self.reuse:
                x_buffers = self._x.buffers(len(indices))
                y_buffers = self._y.buffers(len(indices)) if self._y else None
            x = self._x.gather(indices, x_buffers)
            y = self._y.gather(indices, y_buffers) if self._y else None
            self._epoch, self._position, self.indices = epoch, begin + len(indices), indices
            yield x if self._y is None else (x, y)


class _Columns:
    """The arrays of x or of y, and the structure in which the user gave them."""

    def __init__(self, value: Any, name: str):
        if isinstance(value, dict):
            self.keys, members = list(value), list(value.values())
        elif isinstance(value, (list, tuple)) and value and all(hasattr(v, "shape") for v in value):
            self.keys, members = list(range(len(value))), list(value)
        else:
            self.keys, members = [None], [value]
        self.kind = type(value) if self.keys != [None] else None
        if not members:
            raise _error("a data set needs at least one array", f"{name} = {value!r}")
        self.names = [name if key is None else f"{name}[{key!r}]" for key in self.keys]
        self.arrays = [_as_array(v, n) for v, n in zip(members, self.names)]

    def named(self) -> list[tuple[str, np.ndarray]]:
        return list(zip(self.names, self.arrays))

    def buffers(self, count: int) -> list[np.ndarray]:
        return [np.empty((count, *a.shape[1:]), a.dtype) for a in self.arrays]

    def gather(self, indices: np.ndarray, buffers: list[np.ndarray]) -> Any:
        """Copy the samples at `indices` to the front of the buffers, in the user's structure."""
        taken = [
            # With mode="raise" numpy would fill a buffer of its own first; the indices are ours.
            np.take(array, indices, axis=0, out=buffer[: len(indices)], mode="clip")
            for array, buffer in zip(self.arrays, buffers)
        ]
        if self.kind is None:
            return taken[0]
        if issubclass(self.kind, dict):
            return dict(zip(self.keys, taken))
        return tuple(taken) if issubclass(self.kind, tuple) else taken


def _as_array(value: Any, name: str) -> np.ndarray:
    array = as_array(value, name, layer="Batches")
    if array.ndim == 0:
        raise _error(f"{name} must be [N, ...]", f"a single {array.dtype}")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _count_samples(columns: list[tuple[str, np.ndarray]]) -> int:
    counts = {name: len(array) for name, array in columns}
    if len(set(counts.values())) > 1:
        raise _error(
            f"{' and '.join(counts)} must have the same number of samples",
            ", ".join(f"{name} {list(array.shape)}" for name, array in columns),
        )
    name, array = columns[0]
    if len(array) == 0:
        raise _error("a data set needs at least one sample", f"{name} {list(array.shape)}")
    return len(array)


def _error(rule: str, values: str, fix: str = "") -> ShapeError:
    return ShapeError(layer="Batches", rule=rule, values=values, fix=fix)

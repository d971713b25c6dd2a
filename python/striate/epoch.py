"""One pass through a data set: batch after batch, the next one made while a device works."""

from __future__ import annotations

import numpy as np

from striate.feeding import tensors


def run_epoch(model, batches, run, progress=None):
    """Give a model all batches.

    Args:
        model: A compiled `Model`.
        batches: A `st.data.Batches`.
        run: What the bindings do with a batch: `train_batch` or `test_batch`.
        progress: A bar that shows the means so far.

    Returns:
        The sums over samples of the loss and of each metric, and the number of samples.
    """
    iterator, sums, samples, taken = iter(batches), 0.0, 0, False

    def take():
        batch = next(iterator, None)
        if batch is None:
            return None
        x, y = batch
        return model._feed.inputs(x), model._feed.targets(y), batches.indices

    def look_ahead():  # called while the device works
        nonlocal coming
        coming = take()
        return coming and (tensors(coming[0]), tensors(coming[1]))

    beside = look_ahead if model._handle.device != "cpu" else None
    coming = take()
    while coming is not None:
        x, y, indices = coming
        with model._one_at_a_time:
            loss, metrics = run(tensors(x), tensors(y), indices, beside, taken)
        if not beside:
            coming = take()
        taken, rows = True, len(indices)
        sums = sums + rows * np.array([loss, *metrics])
        samples += rows
        if progress is not None:
            progress.update(1)
            if progress.n % 10 == 0 or progress.n == progress.total:
                shown = model._results("", sums, samples)
                progress.set_postfix({k: f"{v:.4f}" for k, v in shown.items()}, refresh=False)
    return sums, samples

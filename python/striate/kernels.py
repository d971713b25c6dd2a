"""The kernels behind each operation: which there are, and how to force one."""

from __future__ import annotations

import contextlib

from striate import _striate


def list(operation, device="cpu"):  # noqa: A001
    """Return [{name, accepts, reason}] of an operation's kernels on a device.

    `accepts` is None here: it depends on the shapes; see Model.explain() for those of a model.
    """
    return [
        {"name": name, "accepts": None, "reason": ""}
        for name in _striate.kernel_names(operation, device)
    ]


def operations():
    """Return the operations that have kernels."""
    return _striate.operations_with_kernels()


@contextlib.contextmanager
def use(rules):
    """Force kernels inside a `with` block: `with st.kernels.use("conv2d=reference"):`.

    Args:
        rules: `operation=entry,...`; `*=reference` for all operations, `auto` for the usual choice.

    Raises:
        KernelError: When a program is made whose problem the forced entry declines.
    """
    before = _striate.force_kernels(rules)
    try:
        yield
    finally:
        _striate.force_kernels(before)

"""The kernels behind each operation: which there are, and how to force one."""

from __future__ import annotations

import contextlib

from striate import _striate
from striate.arguments import nearest, shown, sizes, text
from striate.errors import DTypeError, KernelError

__all__ = ["list", "operations", "use"]


def __dir__():
    return sorted(__all__)


def list(operation, device="cpu", inputs=None, **options):  # noqa: A001
    """Return [{name, accepts, reason}] of an operation's kernels on a device.

    Args:
        operation: Its name, as in `st.kernels.operations()`.
        device: Whose kernels: "cpu" or "cuda".
        inputs: An example: an array, or the shape of a float32 one, per input; None for one that is
            left out. Without an example `accepts` is None, since it depends on the shapes.
        options: The operation's options.

    Raises:
        ShapeError, DTypeError: When the operation refuses the example. DeviceError: For a device
        that is not there. KernelError: For an operation without kernels.

    >>> import striate as st
    >>> rows = st.kernels.list("conv2d", inputs=[(1, 8, 8, 3), (4, 3, 3, 3)])
    >>> [row["accepts"] for row in rows if row["name"] == "reference"]
    [True]
    """
    if operation not in operations():
        raise KernelError(
            rule="the operation must be one of st.kernels.operations()",
            values=shown(operation),
            fix=nearest(operation, operations()),
        )
    _striate.describe_device(text(device, "device"))
    if inputs is None:
        names = _striate.kernel_names(operation, device)
        return [{"name": name, "accepts": None, "reason": ""} for name in names]
    if not isinstance(inputs, (tuple, type([]))):
        rule = "inputs are a list of arrays or shapes"
        raise DTypeError(rule=rule, values=shown(inputs))
    types = [
        example
        if example is None
        else (example.shape, str(example.dtype))
        if hasattr(example, "dtype")
        else (sizes(example, "an input"), "float32")
        for example in inputs
    ]
    return _striate.accepting_kernels(operation, options, types, device)


def operations():
    """Return the operations that have kernels."""
    return _striate.operations_with_kernels()


@contextlib.contextmanager
def use(rules):
    """Force kernels inside a `with` block: `with st.kernels.use("conv2d=reference"):`.

    Args:
        rules: `operation=entry,...`; `*=reference` for all operations, `auto` for the usual choice.

    Raises:
        KernelError: For an operation or entry that does not exist, and when a program is made
            whose problem the forced entry declines.
    """
    before = _striate.force_kernels(text(rules, "rules"))
    try:
        yield
    finally:
        _striate.force_kernels(before)

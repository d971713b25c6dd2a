"""What the Python tests need beyond themselves."""

from __future__ import annotations

import importlib.util
import os

# The tests of the CPU find no CUDA, whatever the machine has; the stage `cuda` names a runtime.
os.environ.setdefault("STRIATE_CUDART", "/nonexistent/libcudart.so.13")

_HAS_TORCH = importlib.util.find_spec("torch") is not None
collect_ignore = [] if _HAS_TORCH else ["torch_table_test.py"]


def pytest_report_header():
    """Say whether the table against torch is part of this run."""
    if _HAS_TORCH:
        return "torch is installed: the table against it runs"
    return "torch is not installed: the table against it is left out"

"""Data sets and the batches that are cut from them: st.data.fashion_mnist(), st.data.Batches."""

from __future__ import annotations

from .batches import Batches
from .fashion_mnist import cache_folder, fashion_mnist, fashion_mnist_classes
from .idx import read_idx

__all__ = ["Batches", "cache_folder", "fashion_mnist", "fashion_mnist_classes", "read_idx"]


def __dir__():
    return sorted(__all__)

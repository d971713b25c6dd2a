"""Estimate from below how long products of matrices take: by arithmetic, memory, and the grid.

The limit of a layer is the longer of two times: its multiply-adds at the device's peak, and its
values at the bandwidth, each moved once. The estimate is the limit of the grid that our kernel
starts: whole tiles, whole waves of blocks, multiply-adds only in their share of the main loop's
instructions. Nothing here is measured.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SIZES = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Device:
    """Peak rates as the vendor gives them, dense."""

    name: str
    flops: dict[str, float]  # each second
    bandwidth: float  # bytes each second
    multiprocessors: int


A100 = Device("A100 SXM 80 GB", {"float32": 19.5e12, "tf32": 156e12, "float16": 312e12,
                                 "bfloat16": 312e12}, 2.04e12, 108)  # fmt: skip
H100 = Device("H100 SXM", {"float32": 66.9e12, "tf32": 494.7e12, "float16": 989.4e12,
                           "bfloat16": 989.4e12}, 3.35e12, 132)  # fmt: skip
DEVICES = (A100, H100)


@dataclass(frozen=True)
class Product:
    """A convolution's pass or a matmul as the product that it is: rows x depth by depth x columns.

    `parts` are the numbers of rows of independent products side by side: groups, or the sub-grids
    of a strided gradient.
    """

    parts: tuple[int, ...]
    columns: int
    depth: float
    elements: int  # of all inputs and outputs

    @property
    def multiply_adds(self) -> float:
        return sum(self.parts) * self.columns * self.depth

    def limit(self, device: Device, dtype: str) -> tuple[float, str]:
        """Return the seconds that no kernel can beat, and what bounds: C(omputing) or M(emory)."""
        computing = 2 * self.multiply_adds / device.flops[dtype]
        memory = self.elements * SIZES[dtype] / device.bandwidth
        return max(computing, memory), "C" if computing >= memory else "M"

    def blocks(self, tile: tuple[int, int], slices: int) -> int:
        """Return how many blocks a grid of these tiles has."""
        across = math.ceil(self.columns / tile[1])
        return sum(math.ceil(rows / tile[0]) for rows in self.parts) * across * slices

    def estimate(self, device: Device, dtype: str, tile: tuple[int, int], slices: int,
                 rate: float) -> float:  # fmt: skip
        """Return the seconds of whole waves of these tiles, or of the memory if that is longer.

        `rate` is what the kernel reaches of operations each second while all blocks are at work.
        """
        waves = math.ceil(self.blocks(tile, slices) / device.multiprocessors)
        flops = 2 * tile[0] * tile[1] * self.depth / slices  # of one block
        computing = waves * flops / (rate / device.multiprocessors)
        partial = 2 * 4 * slices * sum(self.parts) * self.columns if slices > 1 else 0
        memory = (self.elements * SIZES[dtype] + partial) / device.bandwidth
        return max(computing, memory)


# --- layers ---------------------------------------------------------------------------------------


def product_of(operation: str, shapes: list[list[int]], groups: int = 1) -> Product:
    """Return the product that a row of a plan is; shapes: all inputs that are read, then outputs.

    Raises ValueError for an operation that is no product.
    """
    elements = sum(math.prod(shape) for shape in shapes)
    if operation == "matmul":
        (a, b), y = shapes[:2], next(s for s in shapes[2:] if len(s) == 2)
        depth = math.isqrt(math.prod(a) * math.prod(b) // math.prod(y))
        return Product((y[0],), y[1], depth, elements)
    images = [shape for shape in shapes if len(shape) == 4]
    if operation == "conv2d":
        w, y = images[1], images[-1]
        rows = y[0] * y[1] * y[2]
        return Product((rows,) * groups, w[0] // groups, math.prod(w[1:]), elements)
    if operation == "conv2d_backward_input":
        dy, w, dx = images[0], images[1], images[-1]
        # With strides the pixels of equal residue are a product each, with their share of the taps.
        strides = [round(dx[i] / dy[i]) or 1 for i in (1, 2)]
        parts = [dx[0] * math.ceil((dx[1] - a) / strides[0]) * math.ceil((dx[2] - b) / strides[1])
                 for a in range(strides[0]) for b in range(strides[1])]  # fmt: skip
        depth = w[1] * w[2] * w[0] / groups / math.prod(strides)
        return Product(tuple(parts) * groups, w[3], depth, elements)
    if operation == "conv2d_backward_weight":
        dy, w = images[1], images[2]
        depth = dy[0] * dy[1] * dy[2]
        return Product((w[0] // groups,) * groups, math.prod(w[1:]), depth, elements)
    raise ValueError(operation)


def winograd_product(shapes: list[list[int]]) -> Product:
    """Return the 16 products, side by side, that a convolution by F(2x2,3x3) has for its image.

    shapes: those of the image (or of dy), the filters and the result.
    """
    x, y = shapes[0], shapes[-1]
    tiles = y[0] * math.ceil(y[1] / 2) * math.ceil(y[2] / 2)
    elements = sum(math.prod(shape) for shape in shapes)
    return Product((tiles,) * 16, y[3], x[3], elements)


def tile_of(detail: str) -> tuple[tuple[int, int], int]:
    """Read tile and slices from what an entry says of its plan: "128x64, 3 slices, vectors"."""
    tile = re.search(r"(\d+)x(\d+)", detail)
    slices = re.search(r"(\d+) slices", detail)
    rows, columns = (int(tile.group(1)), int(tile.group(2))) if tile else (128, 128)
    return (rows, columns), int(slices.group(1)) if slices else 1


@dataclass(frozen=True)
class NamedLayer:
    """A convolution by which devices are compared; depthwise ones have groups."""

    name: str
    batch: int
    size: int  # of the image, square
    channels: int
    filters: int
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def shapes(self) -> list[list[int]]:
        out = (self.size + 2 * self.padding - self.window) // self.stride + 1
        w = [self.filters, self.window, self.window, self.channels // self.groups]
        x = [self.batch, self.size, self.size, self.channels]
        return [x, w, [self.batch, out, out, self.filters]]

    @property
    def product(self) -> Product:
        return product_of("conv2d", self.shapes, self.groups)


NAMED_LAYERS = [
    NamedLayer("LeNet-like 1-32 5x5", 256, 28, 1, 32, 5, padding=2),
    NamedLayer("LeNet-like 32-64 3x3", 256, 14, 32, 64, 3, padding=1),
    NamedLayer("AlexNet conv1", 128, 227, 3, 96, 11, stride=4),
    NamedLayer("VGG16 1_1", 32, 224, 3, 64, 3, padding=1),
    NamedLayer("VGG16 1_2", 32, 224, 64, 64, 3, padding=1),
    NamedLayer("VGG16 3_2", 32, 56, 256, 256, 3, padding=1),
    NamedLayer("VGG16 5_x", 32, 14, 512, 512, 3, padding=1),
    NamedLayer("ResNet-50 stem", 32, 224, 3, 64, 7, stride=2, padding=3),
    NamedLayer("ResNet-50 c2 1x1", 32, 56, 64, 256, 1),
    NamedLayer("ResNet-50 c2 3x3", 32, 56, 64, 64, 3, padding=1),
    NamedLayer("ResNet-50 c4 3x3", 32, 14, 256, 256, 3, padding=1),
    NamedLayer("ResNet-50 c5 1x1", 32, 7, 512, 2048, 1),
    NamedLayer("MobileNet depthwise", 32, 28, 256, 256, 3, padding=1, groups=256),
]

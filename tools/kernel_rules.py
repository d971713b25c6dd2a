"""What the machine code of our kernels must keep to: gates for each family, and the record.

The record, tests/kernel_record.json, holds a line for each kernel and architecture with its
registers, shared memory, blocks on a multiprocessor, accesses of global memory, the share of
multiply-adds in its main loop, and what it spills. It changes only by
`tools/kernel-report --update`, so that a change of a kernel's resources is seen in its commit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

RECORD = Path(__file__).resolve().parents[1] / "tests" / "kernel_record.json"
MOST_BYTES = 60e6  # of the plug-in, for each architecture that it has code for

# Kernels that may use local memory: {name: reason}; at most three.
MAY_SPILL: dict[str, str] = {}


def tensor_tile_bytes(rows: int, columns: int, stages: int, element: int) -> int:
    """Return TensorTile::kSharedBytes of kernels/tensor_tile.cuh."""
    padding = 32 if element == 4 else 0
    steps = ((rows + columns) * element + 2 * padding) * (64 // element) * stages
    sums = 64 * (columns + 8) * 4  # on their way out
    return max(steps, sums) + rows * 8


# Threads of a block and dynamic shared memory are chosen at the launch. Threads are those of
# __launch_bounds__, else launch.cuh's 256; the shared memory of these kernels is worked out here:
# (pattern of the name, bytes as a function of the numbers that the pattern finds).
DYNAMIC_SHARED = [(r"TensorTile<(\d+), (\d+), \d+, \d+, (\d+), (\d)>", tensor_tile_bytes)]


@dataclass(frozen=True)
class Family:
    """Kernels under the same gates; shares are percent of the main loop's instructions."""

    title: str
    pattern: str  # of the kernel's readable name
    ffma: float = 0
    hmma: float = 0
    mma_per_ldmatrix: float = 0
    wide_loads: str = ""  # "loop": all global loads of the main loop have 128 bits; "all": every
    wide_stores: bool = False
    wide_shared_stores: bool = False  # of the main loop: lanes with one number each meet in a bank

    def broken(self, row: dict) -> list[str]:
        """Return a line for each gate that a kernel's row does not pass."""
        lines = []
        loop = row["loop"]
        for kind, least in (("ffma", self.ffma), ("hmma", self.hmma)):
            found = row[f"{kind}_percent"]
            if found < least:
                lines.append(f"{kind.upper()} {found} % of the main loop, at least {least} %")
        if self.mma_per_ldmatrix:
            reads = loop.get("ldmatrix", 0) + loop.get("ldmatrix_narrow", 0)
            ratio = (loop.get("hmma", 0) + loop.get("imma", 0)) / max(1, reads)
            if ratio < self.mma_per_ldmatrix:
                lines.append(f"{ratio:.2f} mma for an ldmatrix, at least {self.mma_per_ldmatrix}")
        if self.wide_loads:
            loads = row["loop_global_loads" if self.wide_loads == "loop" else "global_loads"]
            if set(loads) != {"128"}:
                lines.append(f"global loads of {loads} bits, only 128 wanted")
        if self.wide_stores and set(row["global_stores"]) != {"128"}:
            lines.append(f"global stores of {row['global_stores']} bits, only 128 wanted")
        shared = row["loop_shared_stores"]
        if self.wide_shared_stores and set(shared) != {"128"}:
            lines.append(f"shared stores of {shared} bits in the main loop, only 128 wanted")
        return lines


def product_families() -> list[Family]:
    """Return the families of float32 products on CUDA cores: gates for each tile and variant.

    Tiles of 64x32 serve grids that larger ones would not fill. An operand whose rows lie across the
    depth is stored as it comes, four numbers at once.
    """
    shares = {(128, 128, "true"): 80, (128, 64, "true"): 70, (128, 64, "false"): 60,
              (64, 32, "true"): 70, (64, 32, "false"): 60}  # fmt: skip
    both_across = (r"^(conv2d_implicit_gemm_backward_weight_kernel<float, {tile}, true"
                   r"|matmul_tiled_kernel<float, {tile}, true, true, false)>")  # fmt: skip
    families = []
    for (rows, columns, vectors), ffma in shares.items():
        size, tile = f"f32 {rows}x{columns}", rf"Tile<{rows}, {columns},[^>]*>"
        wide = vectors == "true"
        if wide:
            families += [
                Family(f"{size}, Winograd", rf"^winograd_products_kernel<{tile}", ffma=ffma,
                       wide_loads="all", wide_stores=True),
                Family(f"{size}, vectors, operands across the depth",
                       both_across.format(tile=tile), ffma=ffma, wide_loads="loop",
                       wide_stores=True, wide_shared_stores=True),
            ]  # fmt: skip
        families.append(
            Family(f"{size}, {'vectors' if wide else 'scalars'}",
                   r"^(conv2d_implicit_gemm(_backward_\w+)?|matmul_tiled)_kernel<float, "
                   rf"{tile}, {vectors}",
                   ffma=ffma, wide_loads="loop" if wide else "", wide_stores=wide)
        )  # fmt: skip
    return families


def tensor_families() -> list[Family]:
    """Return the families of products on tensor cores, of 16 bits and TF32.

    Where channels are a multiple of a step (`true`) its tap is worked out once. Warp tiles of
    32x32 serve small grids. What lies with the depth outside is read word by word in TF32.
    """
    gates = [
        (r"conv2d_tensor_core(_backward_input)?", "64, 32, .*>, true", 22),
        (r"\w*tensor_core\w*", "64, 32, ", 16),
        (r"\w*tensor_core\w*", "32, 32, ", 10),
    ]
    return [
        Family(f"{title} on tensor cores, warp tile {tile[:6]}",
               rf"^{kernel}_kernel<{element}, TensorTile<\d+, \d+, {tile}", hmma=hmma,
               mma_per_ldmatrix=2, wide_loads="all", wide_stores=True)
        for title, element in (("16 bits", "b?f16"), ("TF32", "float"))
        for kernel, tile, hmma in gates
    ]  # fmt: skip


# The first family whose pattern is found counts.
FAMILIES = [*product_families(), *tensor_families()]


def family_of(name: str) -> Family | None:
    return next((f for f in FAMILIES if re.search(f.pattern, name)), None)


def dynamic_shared(name: str) -> int:
    """Return the bytes of shared memory that a kernel is launched with."""
    for pattern, size in DYNAMIC_SHARED:
        found = re.search(pattern, name)
        if found:
            return size(*map(int, found.groups()))
    return 0


def broken_gates(row: dict) -> list[str]:
    """Return what a kernel's code must not have, one line each."""
    lines = []
    local = {name: row[name] for name in ("stack", "spill_stores", "spill_loads") if row[name]}
    if local and row["kernel"] not in MAY_SPILL:
        said = ", ".join(f"{value} bytes of {name}" for name, value in local.items())
        lines.append(f"{said.replace('_', ' ')}: kernels of ours use no local memory")
    if row["blocks"] == 0:
        lines.append("not one block fits on a multiprocessor")
    family = family_of(row["kernel"])
    return lines + (family.broken(row) if family else [])


def too_large(library: Path, archs: int) -> list[str]:
    """Return a line if the plug-in has more bytes than code for so many architectures may take."""
    size = library.stat().st_size
    if size <= MOST_BYTES * archs:
        return []
    return [f"{library.name} has {size / 1e6:.1f} MB for {archs} architecture(s), "
            f"at most {MOST_BYTES / 1e6:.0f} MB for each"]  # fmt: skip


# --- the record -----------------------------------------------------------------------------------


def key(row: dict) -> str:
    return f"{row['source']}: {row['kernel']}"


def line(row: dict) -> str:
    """Return what the record keeps of a kernel."""
    text = f"registers {row['registers']}, shared {row['shared']}, blocks {row['blocks']}"
    for name in ("loads", "stores"):  # of global memory: number x bits
        counts = row[f"global_{name}"]
        if counts:
            text += f", {name} " + " ".join(f"{n}x{bits}" for bits, n in counts.items())
    for kind in ("ffma", "hmma"):
        if row[f"{kind}_percent"] >= 1:
            text += f", {kind.upper()} {row[f'{kind}_percent']} %"
    for name in ("stack", "spill_stores", "spill_loads"):
        if row[name]:
            text += f", {name.replace('_', ' ')} {row[name]}"
    return text


def read_record(file: Path = RECORD) -> dict:
    empty = {"compiler": "", "kernels": {}}
    return json.loads(file.read_text()) if file.exists() else empty


def write_record(rows: list[dict], compiler: str, file: Path = RECORD) -> None:
    """Record these kernels; architectures that are not among them stay as they are."""
    kernels = read_record(file)["kernels"]
    for arch in sorted({row["arch"] for row in rows}):
        kernels[arch] = {key(row): line(row) for row in rows if row["arch"] == arch}
    record = {"compiler": compiler, "kernels": kernels}
    file.write_text(json.dumps(record, indent=0, sort_keys=True) + "\n")


def violations(rows: list[dict], compiler: str, record: dict) -> list[str]:
    """Return a line for each kernel that is missing, new, changed, or breaks a gate.

    Registers depend on the assembler: with another release than the record's only the list of
    kernels, local memory and the gates are compared. Of an architecture without a record only the
    gates are held.
    """
    lines = []
    for row in rows:
        lines += [f"{row['arch']} {key(row)}: {text}" for text in broken_gates(row)]
    for arch in sorted({row["arch"] for row in rows} & record["kernels"].keys()):
        recorded = record["kernels"][arch]
        found = {key(row): line(row) for row in rows if row["arch"] == arch}
        lines += [f"{arch} {name}: recorded, but not there" for name in recorded.keys() - found]
        for name, text in found.items():
            if name not in recorded:
                lines.append(f"{arch} {name}: not recorded ({text})")
            elif text != recorded[name] and compiler == record["compiler"]:
                lines.append(f"{arch} {name}: {text}; recorded {recorded[name]}")
    return sorted(lines)

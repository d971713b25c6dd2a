"""Report what the assembler made of every CUDA kernel, and hold it against gates and a record.

tools/kernel-report sets up, compiles the plug-in and runs this file. Nothing here needs a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import command_options
import cubins
import kernel_rules
import machine_code
from environment import BUILD, run_main
from occupancy import MULTIPROCESSORS, RESERVED_SHARED, blocks_per_multiprocessor

DEFAULT_THREADS = 256  # of launch.cuh's Grid


def row_of(kernel: machine_code.Kernel, bounds: dict[str, int]) -> dict:
    """Return what is reported of a kernel for its architecture."""
    name = kernel.name
    threads = bounds.get(f"{kernel.source}: {name}", DEFAULT_THREADS)
    # From compute capability 9.0 on the assembler counts what the driver reserves.
    static = kernel.shared - (RESERVED_SHARED if kernel.arch >= "sm_90" and kernel.shared else 0)
    shared = static + kernel_rules.dynamic_shared(name)
    blocks = blocks_per_multiprocessor(kernel.arch, threads, kernel.registers, shared)
    family = kernel_rules.family_of(name)
    return {
        "kernel": name,
        "source": kernel.source,
        "arch": kernel.arch,
        "ours": machine_code.is_ours(kernel.mangled),
        "family": family.title if family else "",
        "threads": threads,
        "shared": shared,
        "blocks": blocks,
        "occupancy_percent": round(100 * blocks * threads / MULTIPROCESSORS[kernel.arch].threads),
        **machine_code.describe(kernel),
    }


def collect(build: Path, archs: list[str], only: str = "") -> list[dict]:
    """Return a row for every kernel of the plug-in and architecture."""
    kernels, bounds = cubins.all_kernels(build, archs, only)
    rows = [row_of(kernel, bounds) for kernel in kernels]
    return sorted(rows, key=lambda row: (row["arch"], row["source"], row["kernel"]))


def print_rows(rows: list[dict]) -> None:
    """Print a line for each kernel: what it takes, and what its main loop is made of."""
    for row in rows:
        loop = row["loop"]
        shares = [f"{kind.upper()} {row[f'{kind}_percent']:.0f} %"
                  for kind in ("ffma", "hmma") if row[f"{kind}_percent"] >= 1]  # fmt: skip
        if shares:
            shares.append(f"integer {loop.get('integer', 0)} of {loop['all']}")
        if loop.get("ldmatrix"):
            shares.append(f"{loop['hmma'] / loop['ldmatrix']:.2f} mma for an ldmatrix")
        loads = " ".join(f"{n}x{width}" for width, n in row["global_loads"].items())
        stores = " ".join(f"{n}x{width}" for width, n in row["global_stores"].items())
        local = f", {row['stack']} bytes of stack" if row["stack"] else ""
        print(f"{row['arch']} {row['source']}: {row['kernel']}\n"
              f"      {row['registers']} registers, {row['shared']} bytes shared{local}, "
              f"{row['blocks']} blocks of {row['threads']}; loads {loads or 'none'}, "
              f"stores {stores or 'none'}{'; ' if shares else ''}{', '.join(shares)}")  # fmt: skip


def report_network(options: argparse.Namespace) -> int:
    """Print and write the estimate of a network's step; return 1 for too small grids or shares."""
    import network_report
    import striate as st

    # For the estimates: what share of their main loops multiplies.
    kernels = collect(options.build.resolve(), ["sm_80"], "^(conv2d|matmul)")
    try:
        found = network_report.report(options.network, options.batch, options.dtype, kernels)
    except st.Error as error:
        print(error, file=sys.stderr)
        return 2
    network_report.print_report(found)
    violated = found["violations"] = network_report.violations(found)
    for text in violated:
        print(f"violated: {text}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if violated else 0


def main() -> int:
    parser = command_options.parser("kernel-report")
    options = parser.parse_args()
    options.build = options.build or BUILD
    archs = options.arch.split(",")
    unknown = [arch for arch in archs if arch not in MULTIPROCESSORS]
    if unknown:
        parser.error(f"--arch knows {', '.join(MULTIPROCESSORS)}, got {', '.join(unknown)}")

    start = time.monotonic()
    if options.network:
        return report_network(options)
    build = options.build.resolve()
    rows = collect(build, archs)
    ours = [row for row in rows if row["ours"]]
    compiler = cubins.compiler_release()
    if not options.quiet:
        print_rows(ours)
    if options.update:
        kernel_rules.write_record(ours, compiler)
    record = kernel_rules.read_record()
    violated = kernel_rules.violations(ours, compiler, record)
    plug_in = build / "lib" / "libstriate_cuda.so"
    violated += kernel_rules.too_large(plug_in, cubins.architectures(build))
    if options.json:
        top = {"compiler": compiler, "record": record["compiler"], "architectures": archs}
        top.update(kernels=rows, violations=violated)
        options.json.write_text(json.dumps(top, indent=1) + "\n")
    for text in violated:
        print(f"violated: {text}")
    for arch in [arch for arch in archs if arch not in record["kernels"]]:
        print(f"no record of {arch}, only its gates were held: --update makes one")
    if compiler != record["compiler"] and record["kernels"]:
        print(f"registers not compared: recorded with CUDA {record['compiler']}, here {compiler}")
    count = {arch: sum(row["arch"] == arch for row in ours) for arch in archs}
    said = ", ".join(f"{number} for {arch}" for arch, number in count.items())
    guests = len(rows) - len(ours)
    print(f"kernels of ours: {said}; of CUB and Thrust: {guests}; plug-in: "
          f"{plug_in.stat().st_size / 1e6:.1f} MB; {len(violated)} violations; "
          f"{time.monotonic() - start:.1f} s")  # fmt: skip
    return 1 if violated else 0


if __name__ == "__main__":
    run_main(main)

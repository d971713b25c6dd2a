"""The command line: python -m striate --cmake-dir, summary, explain, compare, doctor."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

import striate as st


def cmake_folder() -> Path:
    """Return the folder to pass as -Dstriate_DIR: of the wheel, or the build tree in use.

    Raises:
        FileError: When the package was moved away from both.
    """
    package = Path(st._striate.__file__).resolve().parent
    for folder in (package / "lib/cmake/striate", package.parents[1] / "build", package.parents[1]):
        if (folder / "striateConfig.cmake").exists():
            return folder
    rule = "striateConfig.cmake must lie beside the package or in its build tree"
    raise st.FileError(rule=rule, values=str(package), fix="Install the wheel, or build in build/")


def explain(model: st.Model, batch_size: int) -> None:
    """Print each kernel of a model's prediction: layer, operation, entry, and who declined why."""
    for row in model.explain(batch_size):
        refusals = "; ".join(f"{name}: {reason}" for name, reason in row["refusals"].items())
        print(f"{row['layer']:24} {row['operation']:24} {row['entry']:12} {refusals}".rstrip())


def diagnose() -> dict[str, Any]:
    """Return what helps to find out why something fails or is slow."""
    operations = {
        name: [row["name"] for row in st.kernels.list(name)] for name in st.kernels.operations()
    }
    return {
        "striate": st.__version__,
        "package": str(Path(st.__file__).resolve().parent),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "devices": {name: st._striate.describe_device(name) for name in st.devices()},
        "cores": len(os.sched_getaffinity(0)),
        "threads": st.threads(),
        "onednn": any("onednn" in names for names in operations.values()),
        "environment": {k: v for k, v in os.environ.items() if k.startswith(("STRIATE_", "OMP_"))},
        "kernels": operations,
    }


def print_diagnosis(diagnosis: dict[str, Any]) -> None:
    """Print a line for each finding; the kernels only as a number."""
    for name, value in diagnosis.items():
        if name == "kernels":
            value = f"{sum(map(len, value.values()))} of {len(value)} operations"
        elif isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items()) or "nothing set"
        print(f"{name:12s} {value}")


def main() -> int:
    """Run one command; return 0, 1 for a file that is none, 2 for wrong usage."""
    if sys.argv[1:2] == ["compare"]:
        from striate import compare

        return compare.main(sys.argv[2:], "python -m striate compare")
    parser = argparse.ArgumentParser(prog="python -m striate", description="striate's command line")
    parser.add_argument("--version", action="version", version=st.__version__)
    parser.add_argument("--cmake-dir", action="store_true", help="print what striate_DIR must be")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("summary", "layers and parameters"), ("explain", "kernels")):
        command = commands.add_parser(name, help=f"print a model's {text}")
        command.add_argument("model", help="file that model.save wrote")
        if name == "explain":
            command.add_argument("--batch", type=int, default=1, help="batch size (default 1)")
    commands.add_parser("compare", help="time and check every kernel on each layer of a network")
    doctor = commands.add_parser("doctor", help="what is installed and found")
    doctor.add_argument("--json", action="store_true", help="print it as JSON")
    options = parser.parse_args()
    try:
        if options.cmake_dir:
            print(cmake_folder())
        elif options.command == "summary":
            st.load(options.model).summary()
        elif options.command == "explain":
            explain(st.load(options.model), options.batch)
        elif options.command == "doctor":
            found = diagnose()
            print(json.dumps(found, indent=1)) if options.json else print_diagnosis(found)
        else:
            parser.print_usage(sys.stderr)
            return 2
    except st.Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def command() -> int:
    """Run `main`; Ctrl-C ends it with 130. The command `striate` of an installed wheel."""
    try:
        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(command())

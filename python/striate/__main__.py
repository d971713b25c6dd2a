"""The command line: python -m striate --cmake-dir, summary MODEL, explain MODEL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

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
    """Print each kernel of a model's prediction, and who declined."""
    for row in model.explain(batch_size):
        print(", ".join(f"{key} {value}" for key, value in row.items()))


def main() -> int:
    """Run one command; return 0, 1 for a file that is none, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m striate", description="striate's command line")
    parser.add_argument("--version", action="version", version=st.__version__)
    parser.add_argument("--cmake-dir", action="store_true", help="print what striate_DIR must be")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("summary", "shapes and parameters"), ("explain", "the kernels chosen")):
        command = commands.add_parser(name, help=text, description=f"Print a model's {text}.")
        command.add_argument("model", help="file that model.save wrote")
        if name == "explain":
            command.add_argument("--batch", type=int, default=1, help="batch size (default 1)")
    options = parser.parse_args()
    try:
        if options.cmake_dir:
            print(cmake_folder())
        elif options.command == "summary":
            st.load(options.model).summary()
        elif options.command == "explain":
            explain(st.load(options.model), options.batch)
        else:
            parser.print_usage(sys.stderr)
            return 2
    except st.Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

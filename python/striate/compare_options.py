"""The options of `compare`, apart from it: tools/compare reads them before anything is set up."""

from __future__ import annotations

import argparse
from pathlib import Path


def new_file(text: str) -> Path:
    """Return the path of a file to write, in a folder that is there."""
    path = Path(text)
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is not a file in a folder that exists")
    return path


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options to a parser and return it."""
    parser.description = "Time and check every kernel of a network's layers against the reference."
    parser.add_argument("--network", required=True, help="a name from the zoo, or a file")
    parser.add_argument("--batch", type=int, default=2, help="samples in a step (default 2)")
    parser.add_argument("--device", default="cpu", help="whose kernels (default cpu)")
    parser.add_argument("--only", default="", help="entries, operations or layers: a,b")
    parser.add_argument("--json", type=new_file, help="file for the rows")
    parser.add_argument("--plot", type=new_file, help="picture to draw (needs matplotlib)")
    return parser

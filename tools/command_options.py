"""The options of the commands that set striate up first: wrong ones are told before, not after.

Nothing but the standard library is imported, as nothing else may be there yet.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

_file = Path(__file__).resolve().parents[1] / "python" / "striate" / "compare_options.py"
_spec = importlib.util.spec_from_file_location("compare_options", _file)
compare_options = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compare_options)
new_file = compare_options.new_file


def listed(text: str) -> list[str]:
    """Split names at commas."""
    return [name for name in text.split(",") if name]


def compare(parser: argparse.ArgumentParser) -> None:
    compare_options.add_options(parser)


def bench(parser: argparse.ArgumentParser) -> None:
    parser.description = "Time training steps and inference beside other frameworks, in turns."
    parser.add_argument("--workloads", type=listed, help="a64,b64,... (default: all)")
    parser.add_argument("--peers", type=listed, help="torch,onnxruntime,openvino (default: all)")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5, help="turns, 5 or more")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside us")
    parser.add_argument("--json", type=new_file, help="file for the rows")


def quickstart(parser: argparse.ArgumentParser) -> None:
    parser.description = "Set striate up, train a small CNN on Fashion-MNIST, save it."
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default 0)")
    parser.add_argument("--out", type=Path, default=Path("quickstart"), help="folder for the files")


def train_emulated(parser: argparse.ArgumentParser) -> None:
    parser.description = 'Train LeNet on Fashion-MNIST on device "cuda" without a GPU.'
    parser.add_argument("--steps", type=at_least_1, default=300, help="batches of 64 (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    parser.add_argument("--rate", type=float, default=0.03, help="of learning (default 0.03)")
    parser.add_argument("--device", default="cuda", help='"cuda" or, to compare, "cpu"')
    parser.add_argument("--test-pictures", type=at_least_1, default=1000,
                        help="for the accuracy, up to 10000 (default 1000)")  # fmt: skip
    parser.add_argument("--least-accuracy", type=float, default=0, help="exit 1 below it")
    parser.add_argument("--json", type=new_file, help="file for the losses and the rest")


def kernel_report(parser: argparse.ArgumentParser) -> None:
    parser.description = "Report what the assembler made of every CUDA kernel, against a record."
    parser.add_argument("--json", type=new_file, help="file for the rows")
    parser.add_argument("--arch", default="sm_80,sm_90", help="architectures (default sm_80,sm_90)")
    parser.add_argument("--update", action="store_true", help="record what is there now")
    parser.add_argument("--quiet", action="store_true", help="print only what is violated")
    parser.add_argument("--network", help="estimate its training step instead, from limits")
    parser.add_argument("--batch", type=at_least_1, default=32, help="of the step (default 32)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"],
                        help="of the network's values (default float32)")  # fmt: skip
    parser.add_argument("--build", type=Path, default=None, help=argparse.SUPPRESS)


def at_least_1(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it must be a number >= 1, got '{text}'")
    return int(text)


def parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of ./tools/NAME."""
    made = argparse.ArgumentParser(prog=f"./tools/{name}")
    globals()[name.replace("-", "_")](made)
    made.add_argument("--no-apt", action="store_true", help="never install a system package")
    return made

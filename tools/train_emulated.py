"""Train LeNet (workload b64) on device "cuda" under the tests' stand-in for the CUDA runtime.

Every kernel that a GPU would run is executed from the plug-in's own PTX, so that what is learned
here is learned by them. tools/train_emulated sets up and runs this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import striate as st
from tqdm import tqdm

BATCH = 64


def pictures(count: int):
    """Return the first test pictures and the training set as float32 in [0, 1] with labels."""
    (x, y), (u, v) = st.data.fashion_mnist()
    scale = lambda images: (images.astype("float32") / 255).reshape(-1, 28, 28, 1)  # noqa: E731
    return (scale(x), y.astype("int64")), (scale(u[:count]), v[:count].astype("int64"))


def train(steps: int, seed: int, rate: float, device: str, tested: int) -> dict:
    """Train and return the losses, the accuracy on test pictures and what a step was made of."""
    (x, y), (u, v) = pictures(tested)
    st.seed(seed)
    model = st.zoo.lenet()
    model.compile(
        st.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"], device=device
    )
    train_step, losses = model.train_step(), []
    start = time.monotonic()
    for step in tqdm(range(steps), unit="step", disable=None):
        first = step * BATCH % (len(x) - BATCH + 1)
        losses.append(float(train_step(x[first : first + BATCH], y[first : first + BATCH])))
    seconds = time.monotonic() - start
    correct = model.predict(u, batch_size=200).argmax(axis=-1) == v
    return {
        "striate": st.__version__,
        "device": st._striate.describe_device(device),
        "steps": steps,
        "losses": losses,
        "seconds_per_step": seconds / steps,
        "graph_nodes": model.graph_nodes(BATCH, "train"),
        "test_pictures": tested,
        "accuracy": float(correct.mean()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./tools/train_emulated",
        description='Train LeNet on Fashion-MNIST on device "cuda" without a GPU.',
    )
    parser.add_argument("--steps", type=int, default=300, help="batches of 64 (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    parser.add_argument("--rate", type=float, default=0.03, help="of learning (default 0.03)")
    parser.add_argument("--device", default="cuda", help='"cuda" or, to compare, "cpu"')
    parser.add_argument("--test-pictures", type=int, default=1000, help="for the accuracy (1000)")
    parser.add_argument("--json", type=Path, help="file for the losses and the rest")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps must be >= 1, got {options.steps}")
    if not 1 <= options.test_pictures <= 10_000:
        parser.error(f"--test-pictures must be from 1 to 10000, got {options.test_pictures}")
    result = train(options.steps, options.seed, options.rate, options.device, options.test_pictures)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"device {result['device']}; one step is {result['graph_nodes']} graph nodes")
    print(f"loss {result['losses'][0]:.4f} -> {result['losses'][-1]:.4f} in {options.steps} steps")
    print(f"test accuracy {result['accuracy']:.4f} on {options.test_pictures} pictures")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

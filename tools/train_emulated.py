"""Train LeNet (workload b64) on device "cuda" under the tests' stand-in for the CUDA runtime.

Every kernel that a GPU would run is executed from the plug-in's own PTX, so that what is learned
here is learned by them. tools/train_emulated sets up and runs this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time

import command_options
import striate as st
from tqdm import tqdm

BATCH = 64


def pictures(count: int):
    """Return the first test pictures and the training set as float32 in [0, 1] with labels."""
    (x, y), (u, v) = st.data.fashion_mnist()
    scale = lambda images: (images.astype("float32") / 255).reshape(-1, 28, 28, 1)  # noqa: E731
    return (scale(x), y.astype("int64")), (scale(u[:count]), v[:count].astype("int64"))


def train(options: argparse.Namespace) -> dict:
    """Train and return the losses, the accuracy on test pictures and what a step was made of."""
    (x, y), (u, v) = pictures(options.test_pictures)
    st.seed(options.seed)
    model = st.zoo.lenet()
    model.compile(
        st.SGD(options.rate, momentum=0.9),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        device=options.device,
    )
    train_step, losses = model.train_step(), []
    start = time.monotonic()
    for step in tqdm(range(options.steps), unit="step", disable=None):
        first = step * BATCH % (len(x) - BATCH + 1)
        losses.append(float(train_step(x[first : first + BATCH], y[first : first + BATCH])))
    seconds = time.monotonic() - start
    correct = model.predict(u, batch_size=200).argmax(axis=-1) == v
    return {
        "striate": st.__version__,
        "device": st._striate.describe_device(options.device),
        "steps": options.steps,
        "losses": losses,
        "seconds_per_step": seconds / options.steps,
        "graph_nodes": model.graph_nodes(BATCH, "train"),
        "test_pictures": options.test_pictures,
        "accuracy": float(correct.mean()),
        "weights": hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest(),
    }


def main() -> int:
    options = command_options.parser("train_emulated").parse_args()
    options.test_pictures = min(options.test_pictures, 10_000)
    try:
        result = train(options)
    except st.Error as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"device {result['device']}; one step is {result['graph_nodes']} graph nodes")
    print(f"loss {result['losses'][0]:.4f} -> {result['losses'][-1]:.4f} in {options.steps} steps")
    print(f"test accuracy {result['accuracy']:.4f} on {options.test_pictures} pictures")
    if result["accuracy"] < options.least_accuracy:
        print(f"at least {options.least_accuracy} was expected", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

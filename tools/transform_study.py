"""Train the quickstart's network by direct sums and by Winograd's transforms, and compare.

F(4x4,3x3) rounds about twice as much as direct sums. Whether a network learns less by it is
answered here: three seeds each of oneDNN's direct convolutions, F(2x2,3x3) and F(4x4,3x3) in all
three directions, on Fashion-MNIST. The mean of the test accuracies of each transform must lie
nearer to that of direct sums than the best and the worst seed of direct sums lie to each other.
`./tools/test --long data` runs it.
"""

from __future__ import annotations

import argparse
import sys
import time

import quickstart
import striate as st

DIRECT = "oneDNN"
METHODS = {DIRECT: "onednn", "F(2x2,3x3)": "winograd_2x2", "F(4x4,3x3)": "winograd"}
OPERATIONS = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")
SEEDS = (0, 1, 2)


def accuracy(data, entry: str, seed: int, epochs: int) -> float:
    """Train with one entry for all convolutions; return the test accuracy in the end."""
    (x_train, y_train), (x_test, y_test) = data
    st.seed(seed)
    with st.kernels.use(",".join(f"{operation}={entry}" for operation in OPERATIONS)):
        model = quickstart.build()
        steps = epochs * -(-len(x_train) // quickstart.BATCH_SIZE)
        model.compile(
            optimizer=st.Adam(st.OneCycle(max_learning_rate=5e-3, total_steps=steps)),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(
            x_train,
            y_train,
            batch_size=quickstart.BATCH_SIZE,
            epochs=epochs,
            seed=seed,
            verbose=False,
        )
        return model.evaluate(x_test, y_test)["accuracy"]


def verdict(found: dict[str, list[float]]) -> list[str]:
    """Return a line for each transform that differs from direct sums by more than seeds do."""

    def mean(name: str) -> float:
        return sum(found[name]) / len(found[name])

    spread, expected = max(found[DIRECT]) - min(found[DIRECT]), mean(DIRECT)
    return [
        f"{name}: {mean(name):.4f} on average, {DIRECT} {expected:.4f}, seeds {spread:.4f} apart"
        for name in found
        if abs(mean(name) - expected) > spread
    ]


def main() -> int:
    """Run the study and return the exit code: 1 where a transform learns otherwise, 3 no data."""
    parser = argparse.ArgumentParser(prog="tools/transform_study.py", description=__doc__)
    parser.add_argument("--epochs", type=int, default=quickstart.EPOCHS)
    options = parser.parse_args()
    try:
        data = st.data.fashion_mnist()
    except st.FileError as error:
        print(error, file=sys.stderr)
        return 3
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in SEEDS:
        for name, entry in METHODS.items():
            start = time.perf_counter()
            found[name].append(accuracy(data, entry, seed, options.epochs))
            seconds = time.perf_counter() - start
            print(f"seed {seed} {name:10s} {found[name][-1]:.4f} in {seconds:.0f} s", flush=True)
    for name, values in found.items():
        mean = sum(values) / len(values)
        print(f"{name:10s} {mean:.4f} on average, {min(values):.4f} to {max(values):.4f}")
    faults = verdict(found)
    for line in faults:
        print(line, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

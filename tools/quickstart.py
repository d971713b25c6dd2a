"""Train a small network on Fashion-MNIST, save it, load it again, and look at what it learned.

tools/quickstart sets everything up and then runs this file.
"""

from __future__ import annotations

import logging
import sys
import time

import command_options
import striate as st

EPOCHS = 5
BATCH_SIZE = 64


def main() -> int:
    """Run the stages in order and return the exit code: 0 good, 1 a check failed, 3 no data."""
    options = command_options.parser("quickstart").parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)

    stage = Stage("data")
    try:
        (x_train, y_train), (x_test, y_test) = st.data.fashion_mnist()
    except st.FileError as error:
        print(error, file=sys.stderr)
        return 3
    stage.done(f"{len(x_train)} training and {len(x_test)} test pictures")

    st.seed(options.seed)
    model = build()
    model.summary()
    steps = EPOCHS * -(-len(x_train) // BATCH_SIZE)
    model.compile(
        optimizer=st.Adam(st.OneCycle(max_learning_rate=5e-3, total_steps=steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stage = Stage("training")
    history = model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_test, y_test),
    )
    stage.done(f"{EPOCHS} epochs")

    stage = Stage("saving and loading")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "fashion.safetensors"
    model.save(file)
    scores = model.predict(x_test)
    again = st.load(file).predict(x_test)
    if again.tobytes() != scores.tobytes():
        print("the loaded model predicts other numbers than the saved one", file=sys.stderr)
        return 1
    stage.done(f"{file}: the loaded model predicts the same bytes")

    stage = Stage("pictures")
    history.save(options.out / "history.json")
    history.plot(options.out / "history.png")
    st.view.images(
        x_test[:40],
        y_test[:40],
        scores[:40],
        st.data.fashion_mnist_classes,
        columns=10,
        file=options.out / "sample.png",
    )
    stage.done(", ".join(str(options.out / name) for name in ("history.png", "sample.png")))

    accuracy = float((scores.argmax(axis=1) == y_test).mean())
    print(f"test accuracy {accuracy:.4f}")
    return 0


def build() -> st.Sequential:
    """Return the network: two convolutions, each halved by pooling, then two dense layers."""
    return st.Sequential(
        [
            st.Input((28, 28, 1)),
            st.Rescale(1 / 255),
            st.Conv2D(32, 3, padding="same", activation="relu"),
            st.MaxPool2D(2),
            st.Conv2D(64, 3, padding="same", activation="relu"),
            st.MaxPool2D(2),
            st.Flatten(),
            st.Dense(128, activation="relu"),
            st.Dense(10),
        ]
    )


class Stage:
    """One line when a stage has ended: its name, its seconds, what came of it."""

    def __init__(self, name: str):
        self.name = name
        self.begin = time.perf_counter()

    def done(self, result: str) -> None:
        """Print the line."""
        print(f"{self.name}: {time.perf_counter() - self.begin:.1f} s, {result}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

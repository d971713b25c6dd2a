"""What train.cpp and predict.cpp do, in Python: twin.py train ..., twin.py predict MODEL IMAGE."""

from __future__ import annotations

import argparse

import numpy as np
import striate as st
from PIL import Image

BATCH, FITTED, WATCHED = 32, 1000, 200


def make_model() -> st.Sequential:
    """Return the network of train.cpp."""
    return st.Sequential(
        [
            st.Input((28, 28, 1)),
            st.Rescale(1 / 255),
            st.Conv2D(8, 3, padding="same", activation="relu"),
            st.MaxPool2D(2),
            st.Conv2D(16, 3, use_bias=False),
            st.BatchNormalization(),
            st.ReLU(),
            st.MaxPool2D(2),
            st.Flatten(),
            st.Dropout(0.25),
            st.Dense(10),
        ]
    )


def run_steps(model: st.Model, x: np.ndarray, y: np.ndarray, steps: int) -> None:
    """Train on one batch after the other."""
    train_step = model.train_step(BATCH)
    for step in range(steps):
        first = step % (len(x) // BATCH) * BATCH
        loss = train_step(x[first : first + BATCH], y[first : first + BATCH])
        if step % 50 == 49 or step + 1 == steps:
            print(f"step {step + 1}: loss {float(loss):.4f}")


def run_epochs(model: st.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train on whole epochs of the first pictures."""
    part = slice(FITTED, FITTED + WATCHED)
    watched = (x[part], y[part])
    history = model.fit(x[:FITTED], y[:FITTED], BATCH, epochs, watched, verbose=False)
    for row in history.epochs:
        print(
            f"epoch {row['epoch']}: loss {row['loss']:.17g}, accuracy {row['accuracy']:.17g}, "
            f"val_loss {row['val_loss']:.17g}"
        )


def train(data: str, seed: int, steps: int, epochs: int, out: str) -> None:
    """Train for some steps or epochs and save the model."""
    x = st.data.read_idx(f"{data}/train-images-idx3-ubyte.gz")[..., None]
    y = st.data.read_idx(f"{data}/train-labels-idx1-ubyte.gz").astype(np.int64)
    st.seed(seed)
    model = make_model()
    model.compile(st.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if epochs > 0:
        run_epochs(model, x, y, epochs)
    else:
        run_steps(model, x, y, steps)
    model.save(out)


def predict(model: str, image: str) -> None:
    """Print the class of a picture and the scores."""
    pixels = np.asarray(Image.open(image))[None, :, :, None]
    scores = st.load(model).predict(pixels)[0]
    print(f"class {scores.argmax()}", *(f"{float(score):.9g}" for score in scores), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--data", required=True)
    training.add_argument("--out", required=True)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--steps", type=int, default=200)
    training.add_argument("--epochs", type=int, default=0)
    predicting = commands.add_parser("predict")
    predicting.add_argument("model")
    predicting.add_argument("image")
    options = vars(parser.parse_args())
    globals()[options.pop("command")](**options)

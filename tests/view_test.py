"""Tests of st.view, st.History and of the files they write."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import striate as st

PNG = b"\x89PNG\r\n\x1a\n"


def _history(epochs: int = 3) -> st.History:
    history = st.History()
    for i in range(epochs):
        history.append(
            loss=1 / (i + 1),
            accuracy=1 - 0.5 / (i + 1),
            val_loss=1.1 / (i + 1),
            val_accuracy=1 - 0.6 / (i + 1),
            seconds=2.5,
        )
    return history


# --- history --------------------------------------------------------------------------------------


def test_history_as_in_keras():
    history = _history(2)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert history.history["loss"] == [1.0, 0.5]
    assert history.epoch == [1, 2] and len(history) == 2
    assert history.epochs[1]["val_loss"] == 0.55
    history.append(epoch=7, loss=0.1)
    assert history.epoch == [1, 2, 7] and math.isnan(history.history["accuracy"][2])


def test_history_file_has_the_promised_form(tmp_path):
    _history().save(tmp_path / "new folder" / "history.json")
    record = json.loads((tmp_path / "new folder" / "history.json").read_text())
    assert list(record) == ["epochs"] and len(record["epochs"]) == 3
    keys = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert all(list(row) == keys for row in record["epochs"])
    assert record["epochs"][0]["epoch"] == 1
    again = st.History.load(tmp_path / "new folder" / "history.json")
    assert again.epochs == _history().epochs


def test_history_file_is_strict_json_for_any_number(tmp_path):
    history = st.History()
    history.append(loss=math.nan, accuracy=np.float32(0.5), steps=np.int64(3), peak=math.inf)
    history.save(tmp_path / "h.json")
    text = (tmp_path / "h.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    [row] = st.History.load(tmp_path / "h.json").epochs
    assert math.isnan(row["loss"]) and row["accuracy"] == 0.5 and row["steps"] == 3


@pytest.mark.parametrize("text", ["", "[]", "{", '{"epochs": 3}', '{"epochs": [1]}', "\x00\xff"])
def test_history_refuses_alien_files(tmp_path, text):
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(st.FileError, match=r"h\.json must be a record of epochs"):
        st.History.load(tmp_path / "h.json")
    with pytest.raises(st.FileError, match="No such file"):
        st.History.load(tmp_path / "absent.json")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    file = tmp_path / "h.json"
    _history(1).save(file)
    before = file.read_bytes()
    broken = st.History([{"epoch": 1, "loss": "not a number"}])
    with pytest.raises(ValueError, match="not a number"):
        broken.save(file)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["h.json"]
    with pytest.raises(st.FileError, match="must be writable"):
        _history().save(tmp_path / "h.json" / "below a file.json")
    _history(2).save(file)
    assert len(st.History.load(file)) == 2


def test_a_full_disk_leaves_the_old_file(tmp_path):
    # A limit on the size of files stands for the full disk; the child sets it for itself alone.
    file = tmp_path / "h.json"
    _history(1).save(file)
    before = file.read_bytes()
    code = (
        "import resource, signal, sys, striate as st\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    st.History([{'epoch': i, 'loss': 1.0} for i in range(10000)]).save(sys.argv[1])\n"
        "except st.FileError as error:\n"
        "    print('FileError', error)\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("FileError") and "File too large" in result.stdout
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["h.json"]


def test_saved_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    _history().save(tmp_path / "h.json")
    assert (tmp_path / "h.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_history_shows_itself():
    assert repr(_history(2)).startswith("History(2 epochs; last: epoch 2, loss 0.5000")
    assert repr(st.History()) == "History(0 epochs)"
    table = _history(2)._repr_html_()
    assert table.count("<tr>") == 3 and "<th>val accuracy</th>" in table and "0.5500" in table
    hostile = st.History([{"epoch": 1, "<script>": 1.0}])._repr_html_()
    assert "<script>" not in hostile


# --- curves ---------------------------------------------------------------------------------------


def test_history_plot_shows_training_and_validation(tmp_path):
    picture = _history(4).plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(PNG)
    assert [panel.get_title(loc="left") for panel in picture.axes] == ["Loss", "Accuracy"]
    for panel, key in zip(picture.axes, ["loss", "accuracy"]):
        training, validation = panel.get_lines()
        assert training.get_label().startswith("training, last ")
        assert validation.get_label().startswith("validation, last ")
        assert training.get_xdata().tolist() == [1, 2, 3, 4]
        np.testing.assert_array_equal(training.get_ydata(), _history(4).history[key])
        np.testing.assert_array_equal(validation.get_ydata(), _history(4).history["val_" + key])
        assert panel.get_xlabel() == "epoch"


@pytest.mark.parametrize("epochs", [1, 2, 5, 100])
def test_epochs_are_marked_by_whole_numbers_and_nothing_is_clipped(epochs):
    picture = _history(epochs).plot()
    picture.draw_without_rendering()
    whole = picture.bbox
    for panel in picture.axes:
        low, high = panel.get_xlim()
        ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == int(tick) for tick in ticks)
        box = panel.get_tightbbox()
        assert box.x0 >= whole.x0 and box.x1 <= whole.x1
        assert box.y0 >= whole.y0 and box.y1 <= whole.y1


def test_history_plot_takes_rows_and_dicts_and_gaps():
    rows = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 0.5}]
    [panel] = st.view.history(rows).axes
    assert panel.get_lines()[0].get_xdata().tolist() == [1, 2, 3]
    assert math.isnan(panel.get_lines()[0].get_ydata()[1])
    picture = st.view.history({"loss": [1, 0.5], "val_loss": [1.5, 1], "top_5": [0.1, 0.2]})
    assert [panel.get_title(loc="left") for panel in picture.axes] == ["Loss", "Top 5"]


@pytest.mark.parametrize("empty", [st.History(), [], {}, [{"epoch": 1, "seconds": 3.0}]])
def test_history_plot_refuses_nothing_to_draw(empty):
    with pytest.raises(st.ShapeError, match="at least one epoch"):
        st.view.history(empty)


# --- images ---------------------------------------------------------------------------------------


def _shown(panel) -> np.ndarray:
    [image] = panel.get_images()
    return np.asarray(image.get_array())


def test_images_draws_each_picture_with_its_class(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 1), np.uint8)
    file = tmp_path / "sample.png"
    picture = st.view.images(
        x, [0, 1, 2, 0, 1], classes=["cat", "dog", "owl"], columns=3, file=file
    )
    assert file.read_bytes().startswith(PNG)
    titles = [panel.get_title() for panel in picture.axes]
    assert titles == ["cat", "dog", "owl", "cat", "dog"]
    for i, panel in enumerate(picture.axes):
        np.testing.assert_allclose(_shown(panel)[..., :1], x[i] / 255, atol=1e-7)


def test_wrong_predictions_are_marked():
    scores = np.eye(3)[[0, 2, 2]]
    picture = st.view.images(np.zeros((3, 4, 4)), [0, 1, 2], scores, columns=3)
    right, wrong, other = (panel.title for panel in picture.axes)
    assert wrong.get_text() == "2\n(1)" and right.get_text() == "0" and other.get_text() == "2"
    assert wrong.get_color() != right.get_color() == other.get_color()


@pytest.mark.parametrize(("count", "columns"), [(1, 8), (8, 8), (9, 8), (40, 10)])
def test_no_caption_is_clipped_or_laid_over_another(count, columns):
    names = st.data.fashion_mnist_classes
    labels = np.arange(count) % 10
    x = np.zeros((count, 28, 28, 1), np.uint8)
    picture = st.view.images(x, labels, (labels + 1) % 10, names, columns=columns)
    picture.draw_without_rendering()
    texts = [panel.title for panel in picture.axes] + picture.texts
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == count + 1 and all(text.get_text() for text in texts)
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0
        # A box reaches a pixel over the letters.
        assert box.x1 <= picture.bbox.x1 + 1 and box.y1 <= picture.bbox.y1 + 1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_floats_are_stretched_only_when_they_need_it():
    unit = np.linspace(0, 0.5, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    np.testing.assert_allclose(_shown(st.view.images(unit).axes[0]), unit[0], atol=1e-7)
    shown = _shown(st.view.images(unit * 8 - 1).axes[0])
    assert shown.min() == 0 and shown.max() == 1
    np.testing.assert_allclose(shown, unit[0] * 2, atol=1e-6)
    flat = st.view.images(np.full((1, 2, 2, 1), 7.0))
    assert np.isfinite(_shown(flat.axes[0])).all()


def test_nan_is_seen():
    x = np.zeros((1, 2, 2, 1), np.float32)
    x[0, 1, 0, 0] = np.nan
    shown = _shown(st.view.images(x).axes[0])
    assert shown[1, 0].tolist() == [1, 0, 1] and shown[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"x": np.zeros((2, 3))}, st.ShapeError, r"x must be .* got \[2, 3\]"),
        ({"x": np.zeros((2, 3, 3, 2))}, st.ShapeError, r"got \[2, 3, 3, 2\]"),
        ({"x": np.zeros((0, 3, 3, 1))}, st.ShapeError, r"got \[0, 3, 3, 1\]"),
        ({"x": np.full((1, 2, 2), "a")}, st.DTypeError, "x must hold numbers"),
        ({"x": np.zeros((2, 3, 3)), "labels": [1]}, st.ShapeError, r"labels must be \[2\]"),
        ({"x": np.zeros((2, 3, 3)), "columns": 0}, st.ShapeError, "columns must be at least 1"),
        (
            {"x": np.zeros((2, 3, 3)), "labels": [0, 2], "classes": ["a", "b"]},
            st.LabelError,
            "from 0 to 1, got 2 for picture 1",
        ),
    ],
)
def test_images_refuses(arguments, error, text):
    with pytest.raises(error, match=r"^\[view.images\] .*" + text):
        st.view.images(**arguments)
    assert len(st.view.images(np.zeros((2, 3, 3))).axes) == 2


# --- the package ----------------------------------------------------------------------------------


def test_a_picture_shows_itself_in_a_notebook():
    assert _history().plot()._repr_png_().startswith(PNG)


def test_drawing_changes_nothing_global():
    code = (
        "import sys, striate as st\n"
        "st.view.history([{'epoch': 1, 'loss': 1.0}])._repr_png_()\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_without_matplotlib_the_error_says_what_to_type(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(st.Error, match=r"\[view.history\] drawing needs matplotlib") as caught:
        st.view.history(_history())
    assert "pip install 'striate[view]'" in caught.value.fix


@pytest.mark.parametrize("module", ["striate.history", "striate.view", "striate.atomic"])
def test_the_examples_in_the_docs(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0 and result.failed == 0

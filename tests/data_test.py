"""Tests of st.data: Fashion-MNIST and its sources, hostile IDX files, batches."""

from __future__ import annotations

import gzip
import importlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import striate as st

FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


@pytest.fixture(scope="session")
def fashion():
    return st.data.fashion_mnist()


@pytest.fixture(scope="session")
def fashion_folder(fashion):
    """The folder that the data came from."""
    return importlib.import_module("striate.data.fashion_mnist")._find()


# --- Fashion-MNIST --------------------------------------------------------------------------------


def test_fashion_mnist_is_the_real_one(fashion):
    (x_train, y_train), (x_test, y_test) = fashion
    assert x_train.shape == (60000, 28, 28, 1) and x_test.shape == (10000, 28, 28, 1)
    assert x_train.dtype == x_test.dtype == np.uint8
    assert y_train.shape == (60000,) and y_test.shape == (10000,)
    assert y_train.dtype == y_test.dtype == np.int64
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert y_train[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert x_train.min() == 0 and x_train.max() == 255
    assert abs(x_train.mean() / 255 - 0.2860) < 5e-5
    assert abs(x_train.std(dtype=np.float64) / 255 - 0.3530) < 5e-5
    assert all(a.flags.c_contiguous and a.flags.writeable for pair in fashion for a in pair)


def test_classes_are_named(fashion):
    assert len(st.data.fashion_mnist_classes) == 10
    assert st.data.fashion_mnist_classes[fashion[0][1][0]] == "Ankle boot"


@pytest.mark.parametrize("subfolder", [".", "fashion-mnist"])
def test_striate_data_comes_first(fashion_folder, tmp_path, monkeypatch, subfolder):
    place = tmp_path / "data" / subfolder
    place.mkdir(parents=True)
    for name in FILES:
        (place / name).symlink_to(fashion_folder / name)
    (place / FILES[3]).unlink()
    (place / FILES[3]).write_bytes(_gzip_idx(np.zeros(10000, np.uint8)))
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    with pytest.raises(st.FileError, match=r"t10k-labels.*SHA-256"):
        st.data.fashion_mnist()
    (place / FILES[3]).unlink()
    with pytest.raises(st.FileError, match=r"t10k-labels.*No such file"):
        st.data.fashion_mnist()
    (place / FILES[3]).symlink_to(fashion_folder / FILES[3])
    assert st.data.fashion_mnist()[1][1][:5].tolist() == [9, 2, 1, 1, 6]


def test_other_packing_of_the_same_content_is_accepted(fashion_folder, tmp_path):
    for name in FILES:
        shutil.copy(fashion_folder / name, tmp_path / name)
    content = gzip.decompress((tmp_path / FILES[3]).read_bytes())
    (tmp_path / FILES[3]).write_bytes(gzip.compress(content, 1))
    assert st.data.fashion_mnist(tmp_path)[1][1].shape == (10000,)


def test_the_cache_comes_second_and_needs_no_network(fashion_folder, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "fashion-mnist").symlink_to(fashion_folder)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "absent"))
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    assert st.data.fashion_mnist()[0][0].shape == (60000, 28, 28, 1)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "a"))
    assert st.data.cache_folder() == tmp_path / "a"
    monkeypatch.delenv("STRIATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert st.data.cache_folder() == tmp_path / "b" / "striate"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert st.data.cache_folder() == tmp_path / "c" / ".cache" / "striate"


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Let no place have the data; commands are only those that a test puts into `bin`."""
    module = importlib.import_module("striate.data.fashion_mnist")
    monkeypatch.setattr(module, "_SYSTEM_FOLDER", Path("/usr/share/datasets/striate-test"))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_without_apt_the_error_says_what_to_type(no_data):
    with pytest.raises(st.FileError) as caught:
        st.data.fashion_mnist()
    assert "no apt-get on this machine" in caught.value.values
    assert "apt-get install dataset-fashion-mnist" in caught.value.fix
    assert str(no_data / "cache" / "fashion-mnist") in caught.value.fix
    assert "STRIATE_DATA" in str(caught.value)
    assert not (no_data / "cache").exists()


def test_a_failing_apt_is_quoted_and_leaves_nothing(no_data):
    _program(no_data / "bin" / "apt-get", 'echo "E: Could not resolve" >&2; exit 100')
    _program(no_data / "bin" / "dpkg-deb", "exit 0")
    with pytest.raises(st.FileError, match="E: Could not resolve"):
        st.data.fashion_mnist()
    assert list((no_data / "cache").iterdir()) == []


def test_private_lists_are_fetched_when_the_system_has_none(no_data, fashion_folder):
    # apt knows the package only after an `update` into lists of our own.
    _program(
        no_data / "bin" / "apt-get",
        'case "$*" in\n'
        "*update) for o; do case $o in Dir::State::lists=*) : >${o#*=}/known;; esac; done;;\n"
        "*Dir::State::lists=*download*) : >dataset-fashion-mnist_1_all.deb;;\n"
        '*) echo "E: Unable to locate package" >&2; exit 100;;\n'
        "esac",
    )
    inside = "usr/share/datasets/striate-test"
    _program(
        no_data / "bin" / "dpkg-deb",
        f'/bin/mkdir -p "$3/{inside}" && /bin/cp {fashion_folder}/*.gz "$3/{inside}"',
    )
    assert st.data.fashion_mnist()[1][0].shape == (10000, 28, 28, 1)
    assert [path.name for path in (no_data / "cache").iterdir()] == ["fashion-mnist"]
    assert sorted(os.listdir(no_data / "cache" / "fashion-mnist")) == sorted(FILES)


def test_a_package_with_wrong_content_never_enters_the_cache(no_data):
    _program(no_data / "bin" / "apt-get", ": >dataset-fashion-mnist_1_all.deb")
    inside = "usr/share/datasets/striate-test"
    _program(
        no_data / "bin" / "dpkg-deb",
        f'/bin/mkdir -p "$3/{inside}"; : >"$3/{inside}/{FILES[0]}"',
    )
    with pytest.raises(st.FileError, match="an empty file"):
        st.data.fashion_mnist()
    assert list((no_data / "cache").iterdir()) == []


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# --- IDX files ------------------------------------------------------------------------------------


def _gzip_idx(
    array: np.ndarray, element: int = 0x08, claim: tuple[int, ...] | None = None
) -> bytes:
    shape = array.shape if claim is None else claim
    header = struct.pack(f">HBB{len(shape)}I", 0, element, len(shape), *shape)
    return gzip.compress(header + array.tobytes())


@pytest.mark.parametrize("shape", [(5,), (0,), (2, 3), (4, 7, 5), (1, 2, 3, 4)])
def test_read_idx_round_trip(tmp_path, shape):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(_gzip_idx(array))
    read = st.data.read_idx(tmp_path / "a.gz", dimensions=len(shape))
    assert read.dtype == np.uint8 and read.flags.writeable
    np.testing.assert_array_equal(read, array)


GOOD = _gzip_idx(np.arange(60, dtype=np.uint8).reshape(5, 4, 3))

HOSTILE = {
    "empty file": (b"", "must be gzip"),
    "not gzip": (b"<html>404 not found</html>", "must be gzip"),
    "gzip header only": (GOOD[:10], "whole gzip data"),
    "truncated": (GOOD[:-20], "whole gzip data"),
    "truncated in the checksum": (GOOD[:-3], "whole gzip data"),
    "wrong checksum": (GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:], "whole gzip data.*CRC"),
    "damaged inside": (GOOD[:50] + b"\xff\xff\xff\xff" + GOOD[54:], "gzip data|bytes of data"),
    "garbage behind": (GOOD + b"garbage", "whole gzip data"),
    "no header": (gzip.compress(b"\0\0"), "header of at least 8 bytes, got 2"),
    "short header": (gzip.compress(b"\0\0\x08\x03\0\0\0\x05"), "3 dimensions need 12 bytes, got 4"),
    "wrong magic": (gzip.compress(b"PK\x03\x04" + bytes(60)), "begins with 00 00, got 50 4b 03 04"),
    "floats": (_gzip_idx(np.zeros(8, np.uint8), element=0x0D), r"unsigned bytes \(08\), got 0d"),
    "no dimensions": (gzip.compress(b"\0\0\x08\0"), "1 to 4 dimensions, got 0"),
    "many dimensions": (gzip.compress(b"\0\0\x08\xff" + bytes(1020)), "1 to 4 dimensions, got 255"),
    "too few bytes": (
        _gzip_idx(np.zeros(59, np.uint8), claim=(5, 4, 3)),
        "data, got 59",
    ),
    "too many bytes": (
        _gzip_idx(np.zeros(61, np.uint8), claim=(60,)),
        "data, got more",
    ),
    "boastful": (
        _gzip_idx(np.zeros(9, np.uint8), claim=(2**32 - 1,) * 4),
        "got .. compressed",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_read_idx_refuses(tmp_path, case):
    content, reason = HOSTILE[case]
    (tmp_path / "bad.gz").write_bytes(content)
    with pytest.raises(st.FileError, match=reason) as caught:
        st.data.read_idx(tmp_path / "bad.gz")
    assert "bad.gz" in str(caught.value) and isinstance(caught.value, OSError)
    (tmp_path / "good.gz").write_bytes(GOOD)
    assert st.data.read_idx(tmp_path / "good.gz").shape == (5, 4, 3)


def test_no_flipped_bit_changes_what_is_read(tmp_path):
    # Bits of gzip's own header (time, system) and padding bits may change without a consequence.
    expected = st.data.read_idx(_written(tmp_path, GOOD))
    refused = 0
    for bit in range(8 * len(GOOD)):
        bad = bytearray(GOOD)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            read = st.data.read_idx(_written(tmp_path, bytes(bad)))
        except st.FileError:
            refused += 1
        else:
            np.testing.assert_array_equal(read, expected)
    assert refused >= 8 * len(GOOD) - 80  # the 10 bytes of the header


def test_read_idx_dimensions_and_absence(tmp_path):
    path = _written(tmp_path, GOOD)
    with pytest.raises(st.FileError, match="must have 1 dimensions, got 3"):
        st.data.read_idx(path, dimensions=1)
    with pytest.raises(st.FileError, match="cannot be read, got No such file"):
        st.data.read_idx(tmp_path / "absent.gz")
    with pytest.raises(st.FileError, match="cannot be read, got Is a directory"):
        st.data.read_idx(tmp_path)
    assert st.data.read_idx(path, dimensions=3).sum() == sum(range(60))


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "file.gz"
    path.write_bytes(content)
    return path


# --- Batches --------------------------------------------------------------------------------------


def _data(n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3), np.arange(n)


def _labels(batches) -> list[int]:
    return [int(label) for _, y in batches for label in y]


def test_an_epoch_has_every_sample_once_and_pairs_stay_together():
    x, y = _data(10)
    batches = st.data.Batches(x, y, 4)
    assert len(batches) == 3
    seen = list(batches)
    assert [len(b) for b, _ in seen] == [4, 4, 2]
    assert sorted(np.concatenate([b for _, b in seen])) == list(range(10))
    for x_batch, y_batch in seen:
        np.testing.assert_array_equal(x_batch, x[y_batch])
        assert x_batch.dtype == x.dtype and x_batch.flags.c_contiguous


def test_each_epoch_has_its_own_order_and_a_seed_repeats_them_all():
    x, y = _data(100)
    first, second = (st.data.Batches(x, y, 7, seed=5) for _ in range(2))
    epochs = [_labels(first) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != list(range(100))
    assert epochs == [_labels(second) for _ in range(3)]
    assert _labels(st.data.Batches(x, y, 7, seed=6)) != epochs[0]
    # The order does not depend on the batch size.
    assert _labels(st.data.Batches(x, y, 33, seed=5)) == epochs[0]
    assert first.order(1).tolist() == epochs[1]


def test_the_order_is_the_recorded_one():
    # A change here would change every trained model: it needs a line in the changelog.
    batches = st.data.Batches(np.zeros(12), batch_size=4, seed=3)
    assert batches.order(0).tolist() == [6, 1, 11, 8, 5, 2, 7, 10, 9, 4, 3, 0]
    assert batches.order(1).tolist() == [9, 7, 8, 3, 5, 6, 4, 0, 10, 2, 1, 11]


def test_permutations_are_uniform():
    # Each of 4 samples comes first in a quarter of 4000 epochs: chi-square, 3 degrees of freedom.
    batches = st.data.Batches(np.zeros(4), batch_size=1, seed=11)
    counts = np.bincount([batches.order(e)[0] for e in range(4000)], minlength=4)
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3


def test_without_shuffle_the_order_is_kept_in_every_epoch():
    x, y = _data(10)
    batches = st.data.Batches(x, y, 4, shuffle=False)
    assert _labels(batches) == list(range(10)) == _labels(batches)


def test_drop_last():
    x, y = _data(10)
    batches = st.data.Batches(x, y, 4, drop_last=True)
    assert len(batches) == 2 and [len(b) for b, _ in batches] == [4, 4]
    assert len(st.data.Batches(x, y, 5, drop_last=True)) == 2
    with pytest.raises(st.ShapeError, match="drop_last must leave a batch, got 10 samples"):
        st.data.Batches(x, y, 11, drop_last=True)


def test_several_inputs_and_outputs_keep_their_structure():
    x, y = _data(6)
    [(a, b)] = st.data.Batches([x, -x], (y, 2 * y), 6, shuffle=False)
    assert type(a) is list and type(b) is tuple
    np.testing.assert_array_equal(a[1], -x)
    np.testing.assert_array_equal(b[1], 2 * y)
    [(a, b)] = st.data.Batches({"image": x}, {"class": y, "age": y + 1}, 6, seed=2)
    assert list(a) == ["image"] and list(b) == ["class", "age"]
    np.testing.assert_array_equal(b["age"], b["class"] + 1)
    np.testing.assert_array_equal(a["image"], x[b["class"]])


def test_without_y_a_batch_is_x_alone():
    batches = st.data.Batches(np.arange(5), batch_size=2, shuffle=False)
    assert [b.tolist() for b in batches] == [[0, 1], [2, 3], [4]]


def test_plain_lists_of_numbers_are_arrays():
    [(x, y)] = st.data.Batches([[1.0, 2.0], [3.0, 4.0]], [0, 1], 2, shuffle=False)
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]] and y.tolist() == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[::-1],
        lambda x: np.asfortranarray(x),
        lambda x: x.transpose(0, 2, 1),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.astype(">f4"),
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
)
def test_arrays_in_any_layout_are_read_right(change):
    x, y = _data(9)
    changed = change(x)
    for x_batch, y_batch in st.data.Batches(changed, y, 4):
        np.testing.assert_array_equal(x_batch, changed[y_batch])
        assert x_batch.flags.c_contiguous and x_batch.dtype.isnative


def test_a_batch_stays_as_it_is_unless_reuse_is_asked_for():
    x, y = _data(8)
    kept = list(st.data.Batches(x, y, 2, shuffle=False))
    assert kept[0][1].tolist() == [0, 1] and kept[3][1].tolist() == [6, 7]
    kept[0][0][:] = -1
    assert x.min() == 0
    addresses, labels = set(), []
    for x_batch, y_batch in st.data.Batches(x, y, 3, shuffle=False, reuse=True):
        addresses.add(x_batch.ctypes.data)
        labels += y_batch.tolist()
    assert len(addresses) == 1 and labels == list(range(8))


def test_state_and_restore_go_on_in_the_middle_of_an_epoch():
    x, y = _data(10)
    whole = st.data.Batches(x, y, 3, seed=4)
    expected = [_labels(whole) for _ in range(3)]
    for stop in range(1, 5):
        batches = st.data.Batches(x, y, 3, seed=4)
        assert _labels(batches) == expected[0]
        running = iter(batches)
        begun = _labels([next(running) for _ in range(stop)])
        state = batches.state()
        again = st.data.Batches(x, y, 3, seed=99)
        again.restore(state)
        if stop == 4:  # the epoch was complete: the next one follows
            assert state["epoch"] == 2 and begun == expected[1]
            assert _labels(again) == expected[2]
        else:
            assert state["epoch"] == 1 and begun + _labels(again) == expected[1]
            assert _labels(again) == expected[2]


def test_an_abandoned_epoch_is_followed_by_the_next():
    x, y = _data(10)
    batches = st.data.Batches(x, y, 3)
    next(iter(batches))
    assert _labels(batches) == batches.order(1).tolist()


def test_state_with_drop_last():
    x, y = _data(10)
    batches = st.data.Batches(x, y, 4, drop_last=True)
    list(batches)
    assert batches.state()["epoch"] == 1 and batches.state()["position"] == 0
    batches.restore({"epoch": 0, "position": 4})
    assert _labels(batches) == batches.order(0)[4:8].tolist()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"epoch": 0, "position": 0, "samples": 9}, "of 10 samples, got one of 9"),
        ({"epoch": -1, "position": 0}, "epoch must be at least 0, got -1"),
        ({"epoch": 0, "position": 10}, "position must be at most 9, got 10"),
        ({"epoch": 0, "position": -4}, "position must be at least 0, got -4"),
    ],
)
def test_restore_refuses_an_alien_state(state, reason):
    x, y = _data(10)
    batches = st.data.Batches(x, y, 4)
    with pytest.raises(st.ShapeError, match=reason):
        batches.restore(state)
    assert _labels(batches) == batches.order(0).tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.zeros((0, 2)), np.zeros(0), 4), st.ShapeError, r"at least one sample, got x \[0, 2\]"),
        (
            (np.zeros((4, 2)), np.zeros(3), 2),
            st.ShapeError,
            r"x and y .* x \[4, 2\], y \[3\]",
        ),
        (([np.zeros(4), np.zeros(5)], None, 2), st.ShapeError, r"x\[0\] \[4\], x\[1\] \[5\]"),
        ((np.zeros(4), None, 0), st.ShapeError, "batch_size must be at least 1, got 0"),
        ((np.zeros(4), None, -3), st.ShapeError, "batch_size must be at least 1, got -3"),
        ((np.zeros(4), None, 2.5), st.DTypeError, "batch_size must be a whole number, got 2.5"),
        ((np.array(["a", "b"]), None, 1), st.DTypeError, "x must hold numbers, got <U1"),
        ((np.array([{}, None]), None, 1), st.DTypeError, "x must hold numbers, got object"),
        (([[1.0], [1.0, 2.0]], None, 1), st.ShapeError, "x must hold numbers, as many in each row"),
        ((3.0, None, 1), st.ShapeError, r"x must be \[N, ...\], got a single float64"),
        (({}, None, 1), st.ShapeError, "at least one array, got x = {}"),
    ],
)
def test_batches_refuse(arguments, error, text):
    with pytest.raises(error, match=r"^\[Batches\] .*" + text):
        st.data.Batches(*arguments)
    assert len(st.data.Batches(np.zeros(4), np.zeros(4), 4)) == 1


def test_numpy_integers_and_tensors_like_objects_are_welcome():
    class Lookalike:
        shape = (4,)

        def __array__(self, dtype=None, copy=None):
            return np.arange(4)

    batches = st.data.Batches(
        [Lookalike()], batch_size=np.int32(4), seed=np.int64(1), shuffle=False
    )
    assert [b[0].tolist() for b in batches] == [[0, 1, 2, 3]]


def test_fit_in_two_calls_takes_the_order_of_one():
    x = np.random.default_rng(0).standard_normal((20, 4), np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int64)

    def weights(calls):
        st.seed(3)
        model = st.Sequential([st.Input((4,)), st.Dense(2)])
        model.compile(st.SGD(0.1), "sparse_categorical_crossentropy")
        for epochs, initial_epoch in calls:
            options = {"epochs": epochs, "initial_epoch": initial_epoch, "verbose": False}
            model.fit(x, y, batch_size=4, **options)
        return b"".join(np.asarray(w).tobytes() for w in model.get_weights())

    assert weights([(2, 0)]) == weights([(1, 0), (1, 1)])
    assert weights([(2, 0)]) != weights([(1, 0), (1, 0)])


# --- the package ----------------------------------------------------------------------------------


def test_importing_striate_loads_no_heavy_module():
    code = (
        "import sys, striate; "
        "print([m for m in ('PIL', 'tqdm', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    ["striate.data.batches", "striate.data.fashion_mnist", "striate.data.idx", "striate.errors"],
)
def test_the_examples_in_the_docs(module, fashion):
    import doctest

    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0 and result.failed == 0

"""Tests that the same bytes come out: of two runs, of shards, of resuming, of saved models."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import striate as st
from small_model import compiled, pictures, small, weight_bytes


def _trained(steps=6, batch=24, **options):
    x, y = pictures(48)
    model = compiled(small(dropout=0.3), **options)
    step = model.train_step()
    for i in range(steps):
        begin = i * batch % 48
        step(x[begin : begin + batch], y[begin : begin + batch])
    return weight_bytes(model)


def test_two_runs_give_the_same_bytes():
    assert _trained() == _trained()
    assert _trained() != _trained(seed=2)  # another dropout


def test_shards_and_accumulation_give_the_same_bytes():
    assert _trained(accumulate=2, shards=4) == _trained(accumulate=4, shards=2)
    assert _trained(shards=2) == _trained(accumulate=2)


def test_shards_are_the_same_step():
    x, y = pictures(48)
    found = []
    for shards in (1, 2, 3):
        model = compiled(small(norm=False, dropout=0.3), st.SGD(0.1), shards=shards)
        step = model.train_step()
        losses = [float(step(x[:24], y[:24])) for _ in range(4)]
        found.append((losses, model.get_weights()))
    for losses, weights in found[1:]:
        np.testing.assert_allclose(losses, found[0][0], rtol=1e-5)
        for ours, whole in zip(weights, found[0][1]):
            np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-6)


def test_threads_are_kept_in_a_checkpoint_and_change_little(tmp_path):
    before = st.threads()
    try:
        st.set_threads(1)
        one = np.frombuffer(_trained(), np.float32)
        assert _trained() == one.tobytes()
        st.set_threads(2)
        two = np.frombuffer(_trained(), np.float32)
    finally:
        st.set_threads(before)
    np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4)


def test_resume_is_bit_for_bit(tmp_path):
    x, y = pictures(50)
    optimizers = (
        lambda: st.Adam(st.CosineDecay(1e-2, 20)),
        lambda: st.SGD(0.05, momentum=0.9, nesterov=True),
    )
    for make in optimizers:
        whole = compiled(small(dropout=0.3), make())
        whole.fit(x, y, batch_size=20, epochs=4, seed=5, verbose=False)
        part = compiled(small(dropout=0.3), make())
        part.fit(x, y, batch_size=20, epochs=2, seed=5, verbose=False)
        part.save(tmp_path / "c.safetensors", checkpoint=True)
        again = st.load(tmp_path / "c.safetensors")
        assert again.step == 6 and again.metric_names == ["accuracy"]
        again.fit(x, y, batch_size=20, epochs=2, initial_epoch=2, seed=5, verbose=False)
        assert weight_bytes(again) == weight_bytes(whole)


def test_saved_model_predicts_the_same_bytes(tmp_path):
    x, y = pictures()
    model = compiled(small(dropout=0.3))
    model.fit(x, y, epochs=2, verbose=False)
    model.save(tmp_path / "m.safetensors")
    again = st.load(tmp_path / "m.safetensors")
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
    assert again.name == model.name
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    again.save(tmp_path / "again.safetensors")
    one, two = ((tmp_path / f).read_bytes() for f in ("m.safetensors", "again.safetensors"))
    assert one == two


def test_other_readers_read_our_files(tmp_path):
    from safetensors.numpy import load_file

    model = small()
    model.save(tmp_path / "m.safetensors")
    read = load_file(tmp_path / "m.safetensors")
    assert set(read) == {weight.path for weight in model.weights}
    for weight in model.weights:
        np.testing.assert_array_equal(read[weight.path], weight.value().numpy())


def test_another_process_predicts_the_same_bytes(tmp_path):
    x, _ = pictures()
    model = small()
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np, striate as st\n"
        "y = st.load(sys.argv[1] + '/m.safetensors').predict(np.load(sys.argv[1] + '/x.npy'))\n"
        "np.save(sys.argv[1] + '/y.npy', y)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=os.environ)
    assert np.load(tmp_path / "y.npy").tobytes() == model.predict(x).tobytes()

"""Tests of bad input: the exact texts, that nothing has changed, and that a valid call works after.

The texts are what a user reads, so they are written out here; each names the layer, the rule, the
values, and the fix where there is one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import striate as st
from bad_input import classifier, raises, state, valid_calls_work_after  # noqa: F401

ops = st.ops

# tests/conftest.py names a runtime that does not exist.
NO_CUDA = (
    "device 'cuda' cannot be used: no CUDA runtime in /nonexistent/libcudart.so.13. "
    "Install CUDA 13, or pip install nvidia-cuda-runtime; device 'cpu' always works."
)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.write_text("text"), r"no CUDA runtime in {} \({}: .*\)\. Install"),
        (lambda file: file.symlink_to(st._striate.__file__), r"{} is no CUDA runtime\. Install"),
    ],
    ids=["text", "another library"],
)
def test_a_file_that_is_no_cuda_runtime(make, says, tmp_path):
    file = tmp_path / "libcudart.so.13"
    make(file)
    program = "import striate as st; st.Tensor([1.0]).to('cuda')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                         env={**os.environ, "STRIATE_CUDART": str(file)})  # fmt: skip
    assert re.search(says.replace("{}", re.escape(str(file))), run.stderr), run.stderr


# --- shapes ---------------------------------------------------------------------------------------


def _image(*layers, shape=(8, 8, 3)):
    return lambda: st.Sequential([st.Input(shape), *layers])


LAYER_CASES = [
    (
        _image(st.Conv2D(4, 9, name="block2/conv1")),
        "[Conv2D \"block2/conv1\"] 'valid' padding needs height >= 9, got input [N, 8, 8, 3]. "
        'Use padding "same" or a smaller window.',
    ),
    (
        _image(st.Conv2D(4, (3, 5), dilation_rate=(1, 2), name="c"), shape=(8, 8, 3)),
        "[Conv2D \"c\"] 'valid' padding needs width >= 9, got input [N, 8, 8, 3]. "
        'Use padding "same" or a smaller window.',
    ),
    (
        _image(st.Conv2D(4, 3, name="a"), st.MaxPool2D(7, name="b")),
        "[MaxPool2D \"b\"] 'valid' padding needs height >= 7, got input [N, 6, 6, 4]. "
        'Use padding "same" or a smaller window.',
    ),
    (
        _image(st.AveragePool2D((2, 9))),
        "[AveragePool2D \"average_pool2d\"] 'valid' padding needs width >= 9, "
        'got input [N, 8, 8, 3]. Use padding "same" or a smaller window.',
    ),
    (
        _image(st.Flatten(), st.Conv2D(3, 3)),
        '[Conv2D "conv2d"] the input must be images [N, height, width, channels], got [N, 192]. '
        "Add the missing dimension with Reshape.",
    ),
    (
        _image(st.GlobalAveragePool2D(name="g"), shape=(3,)),
        '[GlobalAveragePool2D "g"] images are [N, height, width, channels], got [N, 3].',
    ),
    (
        _image(st.Conv2D(4, 3, groups=2, name="c")),
        '[Conv2D "c"] groups must divide the number of channels, '
        "got 2 groups and input [N, 8, 8, 3].",
    ),
    (
        _image(st.Conv2D(4, 3, groups=3, name="c")),
        '[Conv2D "c"] groups must divide the number of filters, got 3 groups and 4 filters.',
    ),
    (
        _image(st.Conv2D(4, 3, padding=-1, name="c")),
        '[Conv2D "c"] padding must be >= 0, got -1 and -1.',
    ),
    (
        lambda: st.MaxPool2D(2, strides=-1, name="p"),
        "[MaxPool2D \"p\"] MaxPool2D option 'strides': it must be >= 1, got -1.",
    ),
    (
        _image(st.Reshape((5, 5), name="r")),
        '[Reshape "r"] target_shape [5, 5] must hold the elements of a sample, got [N, 8, 8, 3].',
    ),
    (
        _image(st.Conv2D(2, 3, name="c"), shape=(2**31, 2**31, 3)),
        '[Conv2D "c"] a tensor has at most 2^62 elements, '
        "got [1, 2147483646, 2147483646, 2].",
    ),
    (
        _image(st.Dense(2**62, name="d"), shape=(4,)),
        '[Dense "d"] a tensor has at most 2^62 elements, got [4, 4611686018427387904].',
    ),
    (
        lambda: st.Add(name="sum")([st.Input((4, 4, 2)), st.Input((4, 4, 3))]),
        '[Add "sum"] shapes must be equal or 1 at each place, counted from the right, '
        "got [N, 4, 4, 2] and [N, 4, 4, 3].",
    ),
    (
        lambda: st.Concatenate(name="c")([st.Input((4, 4, 2)), st.Input((5, 4, 2))]),
        '[Concatenate "c"] concat along axis 3 needs values that agree at the other axes, '
        "got [N, 4, 4, 2] and [N, 5, 4, 2].",
    ),
    (
        lambda: st.Add(name="sum")(st.Input((4,))),
        '[Add "sum"] the layer needs at least two inputs, got 1.',
    ),
    (
        lambda: st.Dense(3, name="d")("text"),
        "[Dense \"d\"] a layer is applied to values of a graph, got 'text'. "
        "Begin with st.Input(shape).",
    ),
    (lambda: st.Input((0, 3)), "an input's sizes must be >= 1, got [N, 0, 3]."),
    (lambda: st.Input((-2, 3)), "an input's sizes must be >= 1, got [N, -2, 3]."),
    (lambda: st.Sequential([]), "Sequential begins with an Input, got no layers. "
                                "Put st.Input(shape) first."),
    (lambda: st.Sequential([st.Dense(3)]), "Sequential begins with an Input, got Dense. "
                                           "Put st.Input(shape) first."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", LAYER_CASES)
def test_wrong_shapes_name_the_layer(call, text):
    raises(st.ShapeError, text, call)


OPTION_CASES = [
    (st.Conv2D, (0, 3), {}, "'filters': it must be >= 1, got 0."),
    (st.Conv2D, (-1, 3), {}, "'filters': it must be >= 1, got -1."),
    (st.Conv2D, (4, 0), {}, "'kernel_size': it must be >= 1, got 0."),
    (st.Conv2D, (4, 3), {"strides": 0}, "'strides': it must be >= 1, got 0."),
    (st.Conv2D, (4, 3), {"strides": -2}, "'strides': it must be >= 1, got -2."),
    (st.Conv2D, (4, 3), {"groups": 0}, "'groups': it must be >= 1, got 0."),
    (st.Conv2D, (4, 3), {"groups": -4}, "'groups': it must be >= 1, got -4."),
    (st.Conv2D, (4, 3), {"dilation_rate": 0}, "'dilation_rate': it must be >= 1, got 0."),
    (st.Conv2D, (4, 3), {"padding": "smae"},
     "'padding': padding must be 'same', 'valid' or numbers, got 'smae'."),
    (st.Conv2D, (4, 3), {"activation": "rleu"},
     "'activation': it must be one of linear, relu, relu6, leaky_relu, sigmoid, tanh, softmax, "
     'got "rleu".'),
    (st.DepthwiseConv2D, (3,), {"depth_multiplier": 0},
     "'depth_multiplier': it must be >= 1, got 0."),
    (st.Dense, (0,), {}, "'units': it must be >= 1, got 0."),
    (st.MaxPool2D, (0,), {}, "'pool_size': it must be >= 1, got 0."),
    (st.Dropout, (1.0,), {}, "'rate': it must be in [0, 1), got 1.0."),
    (st.Dropout, (-0.5,), {}, "'rate': it must be in [0, 1), got -0.5."),
]  # fmt: skip


@pytest.mark.parametrize("layer, arguments, options, text", OPTION_CASES)
def test_options_are_checked_when_the_layer_is_made(layer, arguments, options, text):
    name = layer.__name__
    raises(
        st.ShapeError,
        f'[{name} "x"] {name} option {text}',
        lambda: layer(*arguments, name="x", **options),
    )
    with pytest.raises(TypeError, match="filtres"):
        st.Conv2D(4, 3, filtres=1)


def test_a_layer_keeps_its_channels():
    dense = st.Dense(3, name="d")
    dense(st.Input((4,)))
    raises(
        st.ShapeError,
        "[Dense \"d\"] the layer was first applied where its weight 'kernel' has the shape [4, 3], "
        "got an input that needs [5, 3]. Apply it to inputs with the same channels, or make "
        "another layer.",
        lambda: dense(st.Input((5,))),
    )


def test_operations_on_tensors_name_themselves():
    a, b = np.zeros((1, 2, 2, 1), np.float32), np.zeros((1, 3, 3, 1), np.float32)
    raises(
        st.ShapeError,
        "[conv2d] 'valid' padding needs height >= 3, got input [1, 2, 2, 1]. "
        'Use padding "same" or a smaller window.',
        lambda: ops.conv2d(a, b),
    )
    raises(
        st.ShapeError,
        "[matmul] matmul needs axis 1 of a and axis 0 of b to agree, got [2, 3] and [2, 3].",
        lambda: ops.matmul(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)),
    )
    assert ops.conv2d(b, a).shape == (1, 2, 2, 1)


def test_graphs_without_their_inputs():
    x, other = st.Input((4,)), st.Input((4,), name="other")
    raises(
        st.ShapeError,
        "a model's outputs must depend on its inputs alone, got the further input 'other'.",
        lambda: st.Model(x, st.Dense(2)(other)),
    )
    raises(
        st.ShapeError,
        "a program must be given every input that its outputs depend on, got no input 'other'.",
        lambda: st.Program([x], other + x)(np.zeros((1, 4), np.float32)),
    )
    raises(
        st.ShapeError,
        "input 'input' takes [N, 4], got [2, 5].",
        lambda: st.Program([x], x + 1.0)(np.zeros((2, 5), np.float32)),
    )


# --- compile --------------------------------------------------------------------------------------


def test_compile_says_what_exists():
    model = classifier()
    losses = (
        "sparse_categorical_crossentropy, categorical_crossentropy, binary_crossentropy, "
        "mean_squared_error"
    )
    cases = [
        (st.ShapeError, "an optimizer must be one of Adam, AdamW, SGD, got 'adma'.",
         {"optimizer": "adma", "loss": "mse"}),
        (st.ShapeError, f"a loss must be a function or one of {losses}, got 'mese'. "
         "Register a function of your own under that name first.", {"loss": "mese"}),
        (st.ShapeError, 'compile needs a loss, got none. Pass loss="mean_squared_error", ....',
         {}),
        (st.DTypeError, "the CPU computes in float32, got precision 'bfloat16'.",
         {"loss": "mse", "precision": "bfloat16"}),
        (st.DeviceError, NO_CUDA, {"loss": "mse", "device": "cuda"}),
        (st.DeviceError, "a device is 'auto', 'cpu', 'cuda' or 'cuda:<number>', got 'gpux'.",
         {"loss": "mse", "device": "gpux"}),
        (st.ShapeError, "compile needs one loss, or one for each of the 1 outputs, got 2.",
         {"loss": ["mse", "mse"]}),
        (st.ShapeError, "shards must be at least 1, got 0.", {"loss": "mse", "shards": 0}),
    ]  # fmt: skip
    for kind, text, options in cases:
        raises(kind, text, lambda: model.compile(**options))  # noqa: B023
    # What was compiled before still trains.
    assert float(model.train_step()(np.ones((2, 4, 4, 1)), np.array([0, 1]))) > 0
    fresh = st.Sequential([st.Input((4,)), st.Dense(2)])
    raises(
        st.Error,
        "the model is not compiled. Call compile(optimizer, loss) first.",
        lambda: fresh.fit(np.zeros((2, 4)), np.zeros((2, 2)), verbose=False),
    )


# --- data -----------------------------------------------------------------------------------------


def test_labels_outside_the_classes_name_the_sample():
    model = classifier()
    x = np.ones((4, 4, 4, 1), np.float32)
    model.train_step()(x, np.array([0, 1, 2, 0]))
    before = state(model)
    head = '[Loss "sparse_categorical_crossentropy"] labels must be from 0 to 2, got label '
    for labels, found in [
        ([0, 1, 3, 5], "3 of sample 2"),
        ([-1, 1, 1, 0], "-1 of sample 0"),
        ([[0], [1], [2], [7]], "7 of sample 3"),
    ]:
        for dtype in (np.int64, np.int32, np.int16):
            targets = np.array(labels, dtype)
            text = f"{head}{found} of the batch."
            raises(st.LabelError, text, lambda t=targets: model.train_step()(x, t))
            raises(st.LabelError, f"{head}{found}.", lambda t=targets: model.evaluate(x, t))
    shards = classifier(shards=2)
    raises(st.LabelError, head + "9 of sample 3 of the batch.",
            lambda: shards.train_step()(x, np.array([0, 1, 2, 9])))  # fmt: skip
    assert state(model) == before and model.step == 1
    raises(
        st.DTypeError,
        '[Loss "sparse_categorical_crossentropy"] labels must be uint8, int32 or int64, got '
        "float32. For targets of one number per class use categorical_crossentropy.",
        lambda: model.train_step()(x, np.zeros(4)),
    )
    raises(
        st.LabelError,
        "labels must be from 0 to 2, got label 5 of sample 1 of the batch.",
        lambda: ops.sparse_categorical_crossentropy(np.zeros((2, 3), np.float32), np.array([1, 5])),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shards", [1, 2])
def test_nan_and_infinity_in_inputs_change_nothing(value, shards):
    model = classifier(shards=shards)
    x, y = np.random.default_rng(0).random((4, 4, 4, 1), dtype=np.float32), np.array([0, 1, 2, 0])
    step = model.train_step()
    step(x, y)
    before = state(model)
    bad = x.copy()
    bad[3, 1, 2, 0] = value
    raises(
        st.NumericsError,
        '[Input "picture"] inputs must be finite at step 1, '
        "got NaN or infinity in sample 3 of the batch.",
        lambda: step(bad, y),
    )
    assert state(model) == before and model.step == 1
    step(x, y)
    assert state(model) != before


@pytest.mark.parametrize("shards", [1, 2])
def test_nan_in_the_loss_names_the_layer_and_changes_nothing(shards):
    model = classifier(shards=shards)
    x, y = np.random.default_rng(0).random((4, 4, 4, 1), dtype=np.float32), np.array([0, 1, 2, 0])
    step = model.train_step()
    step(x, y)
    weight = model.layer("classes").weights[0]
    good = weight.value()
    weight.assign(st.Tensor(np.full(weight.shape, 3e38, np.float32)))
    before = state(model)
    error = raises(
        st.NumericsError,
        '[Dense "classes"] values must be finite at step 1, got NaN or infinity first from the '
        "operation matmul. Look at the inputs, or lower the learning rate.",
        lambda: step(x, y),
    )
    assert error.layer == 'Dense "classes"'
    assert state(model) == before and model.step == 1
    weight.assign(good)
    assert np.isfinite(float(step(x, y)))


def test_nan_in_a_late_shard_restores_the_statistics():
    st.seed(0)
    x = st.Input((4, 4, 1))
    y = st.Dense(1)(st.Flatten()(st.BatchNormalization(name="norm")(x)))
    model = st.Model(x, y)
    model.compile(st.SGD(0.1), "mean_squared_error", shards=2)
    data, target = np.random.default_rng(0).random((4, 4, 4, 1)), np.ones((4, 1))
    step = model.train_step()
    step(data, target)
    before = state(model)
    big = target.copy()
    big[3] = 1e30  # its square overflows, in the second shard alone
    with pytest.raises(st.NumericsError, match="mean_squared_error"):
        step(data, big)
    assert state(model) == before
    step(data, target)
    assert state(model) != before


def test_check_numerics_looks_at_every_value():
    x = st.Input((2,))
    model = st.Model(x, ops.reciprocal(st.Dense(2, name="d")(x)))
    model.compile("sgd", "mean_squared_error", check_numerics=True)
    kernel = model.layer("d").weights[0]
    kernel.assign(st.Tensor(np.full((2, 2), -3e38, np.float32)))  # the reciprocal hides infinity
    with pytest.raises(st.NumericsError) as caught:
        model.train_step()(np.full((1, 2), 10.0), np.zeros((1, 2)))
    assert caught.value.layer == 'Dense "d"'


def test_empty_batches_and_data_sets():
    model = classifier()
    none, no_labels = np.zeros((0, 4, 4, 1)), np.zeros(0, np.int64)
    rule = "every array must have the same number of samples, at least one, got "
    both = rule + "x and y of (0, 4, 4, 1), (0,)."
    raises(st.ShapeError, both, lambda: model.fit(none, no_labels))
    raises(st.ShapeError, both, lambda: model.evaluate(none, no_labels))
    raises(st.ShapeError, rule + "x of (0, 4, 4, 1).", lambda: model.predict(none))
    raises(
        st.ShapeError,
        "a batch needs at least one sample, got none.",
        lambda: model.train_step()(none, no_labels),
    )
    x = np.zeros((3, 4, 4, 1))
    raises(st.ShapeError, rule + "x and y of (3, 4, 4, 1), (2,).", lambda: model.fit(x, [0, 1]))
    raises(
        st.ShapeError, "batch_size must be at least 1, got 0.",
        lambda: model.predict(x, batch_size=0),
    )  # fmt: skip
    raises(
        st.ShapeError, "[Batches] batch_size must be at least 1, got 0.",
        lambda: model.fit(x, [0, 1, 2], batch_size=0),
    )  # fmt: skip
    raises(st.DTypeError, "y must hold numbers, got None.", lambda: model.fit(x))


def test_wrong_sizes_name_the_input():
    model = classifier()
    raises(
        st.ShapeError,
        "input 'picture' takes [N, 4, 4, 1], got [2, 5, 4, 1].",
        lambda: model.predict(np.zeros((2, 5, 4, 1))),
    )
    raises(
        st.ShapeError,
        "the model has 1 input, 'picture', got a list of 2, "
        "the first ndarray [2, 4, 4, 1] of float64.",
        lambda: model.predict([np.zeros((2, 4, 4, 1))] * 2),
    )
    raises(
        st.ShapeError,
        '[Loss "sparse_categorical_crossentropy"] labels must be [2], got [3].',
        lambda: model.train_step()(np.zeros((2, 4, 4, 1)), np.zeros(3, np.int64)),
    )


def test_wrong_element_types():
    model = classifier()
    raises(st.DTypeError, "x must hold numbers, got <U1.", lambda: model.predict(np.array([["a"]])))
    raises(
        st.DTypeError,
        "x must hold numbers, got complex64.",
        lambda: model.predict(np.zeros((1, 4, 4, 1), np.complex64)),
    )
    raises(
        st.DTypeError,
        "an array must hold numbers, got complex64.",
        lambda: ops.relu(np.zeros(3, np.complex64)),
    )
    raises(
        st.DTypeError,
        '[relu] x must be float32 or float64, got int32. Convert it with cast(to="float32").',
        lambda: ops.relu(np.zeros(3, np.int32)),
    )
    raises(
        st.DTypeError,
        "[add] a and b must have the same element type, got float32 and int32. "
        "Convert one with cast.",
        lambda: ops.add(np.zeros(3, np.float32), np.zeros(3, np.int32)),
    )
    raises(
        st.DTypeError,
        "the element type must be one of float32, float16, bfloat16, uint8, int32, int64, bool, "
        "float64, got 'float31'.",
        lambda: st.Input((3,), dtype="float31"),
    )
    weight = model.layer("conv").weights[1]
    raises(
        st.DTypeError,
        "an array must hold numbers, got complex64.",
        lambda: weight.assign(np.zeros(4, np.complex64)),
    )


def _variants(array):
    """The same values in every form in which NumPy can hold them."""
    wide = np.zeros((array.shape[0], *(2 * n for n in array.shape[1:])), array.dtype)
    slices = (slice(None), *(slice(1, None, 2) for _ in array.shape[1:]))
    wide[slices] = array
    yield "slice", wide[slices]
    yield "fortran", np.asfortranarray(array)
    yield "negative strides", array[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    yield "transposed", array.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)
    yield "big-endian", array.astype(array.dtype.newbyteorder(">"))
    yield "broadcast", np.broadcast_to(array, (1, *array.shape))[0]
    yield "read-only", np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
    odd = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    yield "misaligned", odd
    yield "list", array.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int32, np.uint16])
def test_arrays_of_any_form_are_read_right(dtype):
    model = classifier()
    x = (200 * np.random.default_rng(0).random((3, 4, 4, 1))).astype(dtype)
    plain = model.predict(x.astype(np.float32))
    window = np.random.default_rng(1).random((2, 3, 3, 1), dtype=np.float32)
    blurred = np.asarray(ops.conv2d(x.astype(np.float32), window))
    y = np.array([0, 1, 2])
    loss = model.evaluate(x.astype(np.float32), y)["loss"]
    for name, form in _variants(x):
        np.testing.assert_allclose(model.predict(form), plain, rtol=1e-5, err_msg=name)
        for labels in (y.astype(">i4"), y.tolist()):
            found = model.evaluate(form, labels)["loss"]
            assert found == pytest.approx(loss, rel=1e-5), name
        if dtype == np.float32:
            np.testing.assert_array_equal(np.asarray(ops.conv2d(form, window)), blurred, name)
            np.testing.assert_array_equal(np.asarray(st.Tensor(form)), x, name)


def test_half_precision_numbers_are_converted():
    model = classifier()
    x = np.random.default_rng(0).random((3, 4, 4, 1)).astype(np.float16)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.astype(np.float32)))


# --- kernels, memory, the classes -----------------------------------------------------------------


def test_forced_kernels_that_cannot_are_named():
    image, window = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 3, 3, 1), np.float32)
    with pytest.raises(st.KernelError) as caught, st.kernels.use("conv2d=nothing"):
        ops.conv2d(image, window)
    assert "nothing" in str(caught.value) and "reference" in str(caught.value)
    with pytest.raises(st.KernelError, match="no_such_operation"):
        st.ops.call("no_such_operation", [image])
    with pytest.raises(AttributeError, match=r"striate.ops has no operation 'nothing'"):
        ops.nothing  # noqa: B018
    assert ops.conv2d(image, window).shape == (1, 2, 2, 1)


def test_memory_that_is_not_there():
    with pytest.raises(st.OutOfMemoryError) as caught:
        ops.add(np.zeros((1 << 22, 1), np.float32), np.zeros((1, 1 << 22), np.float32))
    assert isinstance(caught.value, MemoryError) and str(1 << 46) in str(caught.value)
    assert ops.add(np.zeros((2, 1), np.float32), np.zeros((1, 2), np.float32)).shape == (2, 2)


def test_errors_are_the_built_in_ones_too():
    parents = {
        st.ShapeError: ValueError,
        st.DTypeError: TypeError,
        st.LabelError: ValueError,
        st.NumericsError: ArithmeticError,
        st.FileError: OSError,
        st.DeviceError: RuntimeError,
        st.KernelError: RuntimeError,
        st.OutOfMemoryError: MemoryError,
    }
    for kind, parent in parents.items():
        assert issubclass(kind, st.Error) and issubclass(kind, parent)
    raises(
        st.DeviceError,
        NO_CUDA,
        lambda: st.Tensor(np.zeros(3, np.float32)).to("cuda"),
    )


@pytest.mark.parametrize(
    ("values", "number"),
    [([1, 2], 1.5), ([1, 2], np.float32(0.5)), ([1, 2], 2**63), (np.array([3], "u1"), 300)],
)
def test_numbers_that_an_integer_tensor_cannot_hold(values, number):
    tensor = st.Tensor(np.asarray(values))
    with pytest.raises(st.DTypeError, match="numbers that it can hold, got"):
        tensor + number
    np.testing.assert_array_equal((tensor + 1).numpy(), np.asarray(values) + 1)


def test_integers_beyond_int64_are_refused():
    with pytest.raises(st.DTypeError, match="at most 9223372036854775807, got 9223372036854775813"):
        st.ops.cast(np.array([2**63 + 5], "u8"), to="float32")
    np.testing.assert_array_equal(st.ops.cast(np.array([5], "u8"), to="float32").numpy(), [5.0])

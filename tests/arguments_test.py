"""Tests of what users pass by mistake: a typed error that names the argument and the cure."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest
import striate as st
from bad_input import classifier, raises, valid_calls_work_after  # noqa: F401

X = np.random.default_rng(0).random((10, 4, 4, 1), dtype=np.float32)
Y = np.arange(10) % 3


def symbol():
    return st.Input((3,))


def test_an_unknown_keyword_lists_the_known_ones_and_names_the_nearest():
    raises(
        st.DTypeError,
        "[MaxPool2D] the arguments are pool_size, strides, padding, name, input_shape, "
        "got 'stride'. Perhaps 'strides' is meant.",
        lambda: st.MaxPool2D(2, stride=1),
    )
    raises(
        st.DTypeError,
        "[Zeros] it takes no arguments, got 'value'.",
        lambda: st.Zeros(value=0),
    )
    raises(
        st.DTypeError,
        "[square] the arguments are x, got 'y'.",
        lambda: st.ops.square(X, y=1),
    )
    raises(st.DTypeError, "[conv2d] it needs w.", lambda: st.ops.conv2d(X))
    raises(st.DTypeError, "[Conv2D] it needs filters, kernel_size.", lambda: st.Conv2D())
    raises(st.DTypeError, "[Conv2D] it needs kernel_size.", lambda: st.Conv2D(4))
    raises(
        st.DTypeError,
        "[cast] it takes x by place and to by name, got 2 by place.",
        lambda: st.ops.cast(X, "float64"),
    )
    with pytest.raises(st.DTypeError, match="multiple values for argument 'filters'"):
        st.Conv2D(4, 3, filters=5)
    with pytest.raises(AttributeError, match="no attribute 'Conv2d'. Perhaps 'Conv2D' is meant"):
        st.Conv2d  # noqa: B018
    with pytest.raises(AttributeError, match="'sum'. Perhaps 'reduce_sum' is meant"):
        st.ops.sum(X)


def test_options_of_alien_types_name_the_layer_and_the_option():
    raises(
        st.ShapeError,
        "[Conv2D \"c\"] option 'filters': whole numbers are from -2^63 to 2^63 - 1, "
        "got 18446744073709551616.",
        lambda: st.Conv2D(2**64, 3, name="c"),
    )
    raises(
        st.DTypeError,
        "[Conv2D] option 'activation': an option is a number, a string, a sequence, a dict or "
        "None, got the function relu.",
        lambda: st.Conv2D(4, 3, activation=st.ops.relu),
    )
    raises(st.DTypeError, "a layer's name must be a string, got 5.", lambda: st.Dense(3, name=5))
    with pytest.raises(st.ShapeError, match="'kernel_initializer'.*got 'the class HeNormal'"):
        st.Dense(3, kernel_initializer=st.HeNormal)
    assert st.Dense(3, activation=None).get_config() == {"units": 3}
    assert st.Conv2D(np.int64(4), np.array([3, 5])).get_config()["kernel_size"] == [3, 5]
    cast = st.ops.cast(X, to=np.float64)
    assert cast.dtype == "float64" and st.Input((2,), dtype=np.dtype("u1")).dtype == "uint8"


@pytest.mark.parametrize("wrong, kind, text", [
    (-1, st.ShapeError, "must be at least 0, got -1."),
    (2**64, st.ShapeError, "must be at most 18446744073709551615, got 18446744073709551616."),
    (1.5, st.DTypeError, "must be a whole number, got 1.5."),
    ("7", st.DTypeError, "must be a whole number, got '7'."),
    (None, st.DTypeError, "must be a whole number, got None."),
])  # fmt: skip
def test_seeds(wrong, kind, text):
    raises(kind, f"a seed {text}", lambda: st.seed(wrong))
    raises(kind, f"[Batches] seed {text}", lambda: st.data.Batches(X, Y, seed=wrong))
    if wrong is not None:
        model = classifier()
        raises(kind, f"seed {text}", lambda: model.compile("adam", "mse", seed=wrong))
        raises(kind, f"[Batches] seed {text}",
               lambda: model.fit(X, Y, seed=wrong, verbose=False))  # fmt: skip
    st.seed(2**64 - 1)


def test_numbers_of_threads():
    before = st.threads()
    for wrong in (0, -1, 2**40):
        text = f"the number of threads must be from 1 to 4096, got {wrong}."
        raises(st.ShapeError, text, lambda: st.set_threads(wrong))  # noqa: B023
    raises(st.DTypeError, "the number of threads must be a whole number, got '2'.",
           lambda: st.set_threads("2"))  # fmt: skip
    assert st.threads() == before


def test_shapes_of_inputs():
    raises(
        st.DTypeError,
        "an input's shape is a sequence of sizes, such as (28, 28, 1), got 8.",
        lambda: st.Input(8),
    )
    raises(
        st.DTypeError,
        "a size of an input's shape must be a whole number, got 'a'.",
        lambda: st.Input(("a", 3)),
    )
    raises(st.ShapeError, "an input's sizes must be >= 1, got [N, -1, 3].",
           lambda: st.Input((-1, 3)))  # fmt: skip
    raises(
        st.DTypeError,
        "input_shape is a sequence of sizes, such as (28, 28, 1), got 5.",
        lambda: st.Dense(3, input_shape=5),
    )
    raises(
        st.DTypeError,
        "input_shape is a sequence of sizes, such as (28, 28, 1), got 5.",
        lambda: st.zoo.lenet(5),
    )
    assert st.Input([8, None]).shape == (None, 8, None)


def test_what_is_no_layer_in_a_sequential():
    rule = "Sequential takes layers, models, and functions of a symbolic value, got "
    first = st.Input((4,))
    for wrong, text in [
        (3, "3 at place 1."),
        (None, "None at place 1."),
        ("relu", "'relu' at place 1. Activations are layers too: st.Activation(\"relu\")."),
        (st.Dense, "the class Dense at place 1. Write Dense(...) to make one."),
        (st.Input((2,), name="b"),
         "<striate.Value [N, 2] float32 of input> at place 1. "
         "Models of several inputs are st.Model(inputs, outputs)."),
        ([st.Flatten()], "[Flatten()] at place 1. Put the layers into one list: "
                         "[*layers, st.Dense(10)]."),
    ]:  # fmt: skip
        raises(st.DTypeError, rule + text, lambda: st.Sequential([first, wrong]))  # noqa: B023
    raises(
        st.DTypeError,
        "Sequential takes a list of layers, got Dense(units=3). Write st.Sequential([...]).",
        lambda: st.Sequential(st.Dense(3)),
    )
    raises(
        st.DTypeError,
        "a model is made of symbolic inputs and outputs, got 3. st.Input(shape) begins a graph.",
        lambda: st.Model(3, 4),
    )
    assert st.Sequential([first, st.ops.relu, st.Dense(3)]).count_params() == 15


def test_layers_of_ones_own():
    class Headless(st.Layer):
        def __init__(self):
            self.dense = st.Dense(2)

    class Silent(st.Layer):
        def call(self, x):
            st.ops.relu(x)

    class Empty(st.Layer):
        pass

    raises(
        st.DTypeError,
        "[Headless] a layer's __init__ must call super().__init__(). "
        "Write super().__init__(**kwargs) as its first line.",
        lambda: Headless()(symbol()),
    )
    raises(
        st.DTypeError,
        '[Silent "s"] call must return symbolic values, got None. Perhaps its return is missing.',
        lambda: st.Sequential([symbol(), Silent(name="s")]),
    )
    raises(st.DTypeError, "[Empty] a layer must define call(self, x).", lambda: Empty()(symbol()))
    assert repr(Silent(name="s")) == "Silent(name='s')"


def test_numpy_on_symbolic_values_names_the_operation():
    def fitted(loss):
        model = st.Sequential([symbol(), st.Dense(2)])
        model.compile("adam", loss)
        return model.train_step()(np.ones((4, 3)), np.ones((4, 2)))

    value = "got <striate.Value [N, 2] float32 of matmul>. "
    rule = "NumPy's functions take arrays, not symbolic values, "
    raises(st.DTypeError, f"[np.mean] {rule}{value}Use st.ops.reduce_mean.",
           lambda: fitted(lambda t, y: np.mean(y)))  # fmt: skip
    raises(st.DTypeError, f"[np.exp] {rule}{value}Use st.ops.exp.",
           lambda: fitted(lambda t, y: np.exp(y)))  # fmt: skip
    with pytest.raises(st.DTypeError, match="st.ops.names[(][)] lists the functions that do"):
        fitted(lambda t, y: np.median(y))
    for wrong, words in [
        (lambda t, y: y if y > t else t, "has no truth, .*st.ops.where"),
        (lambda t, y: max(y, t), "has no truth"),
        (lambda t, y: float(y), "has no number yet"),
        (lambda t, y: np.asarray(y), "has no numbers yet"),
        (lambda t, y: sum(y), "has no rows"),
        (lambda t, y: y[0], "has no indexing, .*st.ops.slice"),
        (lambda t, y: len(y), "has no length"),
    ]:
        with pytest.raises(st.DTypeError, match=words):
            fitted(wrong)

    def forgetful(targets, output):
        st.ops.square(output - targets)

    rule = "a loss or metric returns a symbolic value, made by st.ops from its arguments, got "
    raises(st.DTypeError, f"[forgetful] {rule}None. Perhaps its return is missing.",
           lambda: fitted(forgetful))  # fmt: skip
    with pytest.raises(st.DTypeError, match="made by st.ops from its arguments, got 3.0"):
        fitted(lambda t, y: 3.0)
    assert np.isfinite(float(fitted(lambda t, y: np.ones(2) * (y - t) * (y - t))))


def test_comparisons_are_element_by_element():
    a, b = st.Tensor([1.0, 2.0]), np.array([1.0, 3.0])
    for compared, expected in [
        (a == b, [True, False]),
        (a != b, [False, True]),
        (b == a, [True, False]),
        (b != a, [False, True]),
        (a == 2, [False, True]),
        (a != 2, [True, False]),
        (a == [1, 5], [True, False]),
        (a <= 1, [True, False]),
        (a <= b, [True, True]),
        (b <= a, [True, False]),
        (a >= b, [True, False]),
    ]:
        assert isinstance(compared, st.Tensor) and compared.dtype == "bool"
        assert compared.numpy().tolist() == expected
    nan = st.Tensor([np.nan])
    assert not (nan == nan) and nan != nan and not (nan <= nan)  # noqa: SIM201
    assert (a == None) is False and (a != "text") is True  # noqa: E711
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)
    x = symbol()
    same = st.Program([x], [x == x, x != 2.0, x <= 1.0])
    outputs = same(np.array([[1.0, 2.0, 3.0]], np.float32))
    assert [y.numpy().tolist() for y in outputs] == [
        [[True, True, True]], [[True, False, True]], [[True, False, False]]
    ]  # fmt: skip
    assert len({x: 1, symbol(): 2}) == 2


def test_tensors_as_python_values():
    many, one = st.Tensor([[1, 2], [3, 4]]), st.Tensor(3.5)
    raises(
        st.ShapeError,
        "only a tensor of one element is true or false, got [2, 2]. "
        "Use numpy().all() or numpy().any().",
        lambda: bool(many),
    )
    raises(st.ShapeError, "item() needs a tensor of one element, got [2, 2].",
           lambda: f"{many:.2f}")  # fmt: skip
    rule = "a tensor without dimensions has no rows, got shape []. Use item()."
    raises(st.DTypeError, rule, lambda: len(one))
    raises(st.DTypeError, rule, lambda: list(one))
    assert [row.numpy().tolist() for row in many] == [[1, 2], [3, 4]] and len(many) == 2
    assert f"{one:.2f}" == "3.50" and f"{st.Tensor(7):03d}" == "007" and f"{one}" == str(one)
    assert bool(one) and not bool(st.Tensor([0])) and round(one) == 4
    large = st.Tensor(2**60 + 1)
    assert int(large) == large.item() == 2**60 + 1 and isinstance(one.item(), float)
    assert [5, 6, 7][st.Tensor(1)] == 6 and many[many > 2].numpy().tolist() == [3, 4]
    with pytest.raises(st.DTypeError, match="only a tensor of one integer"):
        range(many)
    assert many.reshape(4).shape == many.reshape((4,)).shape == many.reshape(-1).shape == (4,)
    assert many.reshape(1, -1, 2).shape == many.reshape(shape=[1, 2, 2]).shape == (1, 2, 2)
    for wrong in [(-1, -1), (3, -1), "ab", (1.5,), (-2,)]:
        with pytest.raises((st.ShapeError, st.DTypeError)):
            many.reshape(wrong)
    with pytest.raises(st.DeviceError, match="'auto', 'cpu', 'cuda'"):
        many.to(3)


def test_numbers_take_the_type_of_what_they_meet():
    x = symbol()
    assert st.ops.add(X, 3).dtype == "float32"
    assert (x + np.ones(3)).dtype == (np.ones(3) + x).dtype == "float32"
    assert st.ops.maximum(st.Tensor([1, 5]), 3).numpy().tolist() == [3, 5]
    assert (st.Tensor([1.0, 2.0]) + [1, 2]).numpy().tolist() == [2, 4]


def test_weights_take_arrays():
    model = classifier()
    weight = model.layer("conv").weights[0]
    assert repr(weight) == "<striate.Variable 'conv/kernel' [4, 3, 3, 1] float32>"
    for value in [
        np.full((4, 3, 3, 1), 2.0),
        np.full((4, 3, 3, 1), 2, np.int16),
        np.full((4, 3, 3, 1), 2.0).tolist(),
        st.Tensor(np.full((4, 3, 3, 1), 2.0)),
    ]:
        weight.assign(np.zeros((4, 3, 3, 1)))
        weight.assign(value)
        assert (weight.value().numpy() == 2).all()  # fmt: skip
    raises(
        st.ShapeError,
        "the weight 'conv/kernel' takes the shape [4, 3, 3, 1], got [2].",
        lambda: weight.assign([1, 2]),
    )
    raises(st.DTypeError, "an array must hold numbers, got 'a'.", lambda: weight.assign("a"))
    raises(st.ShapeError, "the model has 8 weights, got 3.", lambda: model.set_weights(3))


def test_what_compile_is_told():
    model = classifier()
    for options, kind, text in [
        ({"optimizer": None}, st.DTypeError,
         'an optimizer is a name such as "adam", or made as st.Adam(1e-3), got None.'),
        ({"optimizer": st.Adam}, st.DTypeError,
         "an optimizer is made from its class, got the class Adam. Write st.Adam()."),
        ({"loss": 3}, st.DTypeError, "a loss is a name, one of striate's, or a function of "
         "symbolic (targets, output), got 3."),
        ({"loss": st.MeanSquaredError}, st.DTypeError, "a loss is made from its class, "
         "got the class MeanSquaredError. Write st.MeanSquaredError()."),
        ({"device": 0}, st.DTypeError, "device must be a string, got 0."),
        ({"precision": 16}, st.DTypeError, "precision must be a string, got 16."),
        ({"check_numerics": "yes"}, st.DTypeError,
         "check_numerics must be True or False, got 'yes'."),
        ({"shards": 1.5}, st.DTypeError, "shards must be a whole number, got 1.5."),
        ({"accumulate": 0}, st.ShapeError, "accumulate must be at least 1, got 0."),
        ({"loss_weights": "a"}, st.DTypeError, "a weight of a loss must be a number, got 'a'."),
    ]:  # fmt: skip
        given = {"optimizer": "adam", "loss": "mse", **options}
        raises(kind, text, lambda: model.compile(**given))  # noqa: B023
    raises(
        st.DTypeError,
        "gradients are of a symbolic value, by symbolic values or variables, got 3. "
        "st.Input(shape) begins a graph.",
        lambda: st.grad(3, symbol()),
    )
    raises(st.DTypeError, "an update is (optimizer, loss, weights), got 3.",
           lambda: st.Program(symbol(), symbol(), updates=[3]))  # fmt: skip


def test_texts_of_optimizers_losses_and_programs():
    model = classifier()
    assert repr(model.optimizer).startswith("Adam(learning_rate=0.1")
    assert repr(st.SparseCategoricalCrossentropy()) == "SparseCategoricalCrossentropy()"
    assert repr(model.train_step()) == f"<striate.TrainStep of {model!r}>"
    x = symbol()
    assert repr(st.Program([x], x + 1.0)) == "<striate.Program of 1 inputs>"
    with pytest.raises(st.DTypeError, match=r"\[Adam\] the arguments are .*'beta1'.*'beta_1'"):
        st.Adam(beta1=0.5)
    with pytest.raises(st.ShapeError, match=r"\[Adam\].*'beta_1'"):
        st.Adam(beta_1="large")
    with pytest.raises(st.ShapeError, match=r"\[Adam\].*a number >= 0 or a schedule, got -1"):
        st.Adam(-1)


@pytest.mark.parametrize("purpose", ["memory", "explain", "graph_nodes"])
def test_programs_that_cannot_be(purpose):
    look = getattr(classifier(), purpose)
    raises(st.ShapeError, "batch_size must be at least 1, got 0.", lambda: look(0))
    raises(st.DTypeError, "batch_size must be a whole number, got None.", lambda: look(None))
    raises(
        st.ShapeError,
        "purpose must be one of 'predict', 'train', 'test', got 'tain'. Perhaps 'train' is meant.",
        lambda: look(4, "tain"),
    )


def test_forced_kernels_must_exist():
    def force(rules):
        with st.kernels.use(rules):
            pass

    with pytest.raises(st.KernelError) as caught:
        force("conv2=reference")
    text = str(caught.value)
    assert text.startswith("kernel rules name an operation that has kernels, or *: abs, ")
    assert text.endswith("got 'conv2'. Perhaps 'conv2d' is meant.")
    with pytest.raises(st.KernelError) as caught:
        force("matmul=auto,conv2d=refrence")
    text = str(caught.value)
    assert text.startswith("an entry of conv2d must be auto or one of ") and "direct, " in text
    assert text.endswith("got 'refrence'. Perhaps 'reference' is meant.")
    with pytest.raises(st.KernelError, match="got 'fastest'. CUDA's are not among them: no CUDA"):
        force("*=fastest")
    raises(st.DTypeError, "rules must be a string, got 3.", lambda: force(3))
    force("conv2d=direct,*=auto")
    assert "conv2" not in st._striate.forced_kernels()
    with pytest.raises(st.KernelError, match="st.kernels.operations[(][)], got 'conv'"):
        st.kernels.list("conv")


def test_a_wrong_variable_forces_nothing():
    import subprocess
    import sys

    script = "import striate as st; st.ops.relu([1.0])"
    environment = {**os.environ, "STRIATE_KERNELS": "relu=refrence"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "KernelError: an entry of relu must be auto or one of" in done.stderr
    assert "Perhaps 'reference' is meant." in done.stderr


def test_files_that_are_none(tmp_path):
    model = classifier()
    for wrong in (None, 3):
        text = f"a file is named by a string or a path, got {wrong}."
        for call in (model.save, st.load, model.load_weights, st.History.load, st.data.read_idx):
            raises(st.DTypeError, text, lambda: call(wrong))  # noqa: B023
    with pytest.raises(st.FileError, match="a path must not contain a zero byte"):
        model.save(str(tmp_path / "a\0b"))
    assert not list(tmp_path.iterdir())
    missing = os.fsencode(tmp_path) + b"/\xff/m"
    with pytest.raises(st.FileError, match=r"/\\xff/m' cannot be written"):
        model.save(missing)
    for name in ("übung größe.safetensors", b"\xff.safetensors"):
        file = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
        model.save(file)
        np.testing.assert_array_equal(st.load(file).predict(X), model.predict(X))
    for call in (model.save, st.load, model.load_weights):
        with pytest.raises(st.FileError, match="it is not a regular file"):
            call(tmp_path)


def test_copies():
    tensor = st.Tensor([1.0, 2.0])
    for made in (copy.copy(tensor), copy.deepcopy([tensor])[0]):
        assert made.numpy().tolist() == [1, 2] and made.numpy() is not tensor.numpy()
    model = classifier()
    raises_copy = [
        (model, "a Model is neither pickled nor copied. get_weights() copies the weights, "
                "save(file) keeps the whole model."),
        (tensor, "a Tensor is neither pickled nor copied. numpy() shares its memory and can be "
                 "pickled."),
        (model.weights[0], "a Variable is neither pickled nor copied. value() copies its value."),
        (model.layers[0], "a Layer is neither pickled nor copied. Make another with the same "
                          "options; get_weights() copies a model's weights."),
    ]  # fmt: skip
    for value, text in raises_copy:
        with pytest.raises(st.DTypeError) as caught:
            pickle.dumps(value)
        assert str(caught.value) == text
    for value in (model, model.optimizer):
        with pytest.raises(st.DTypeError, match="an? [MO].* is neither pickled nor copied"):
            copy.deepcopy(value)
    assert repr(pickle.loads(pickle.dumps(st.Adam(0.5)))) == "Adam(learning_rate=0.5)"
    assert copy.deepcopy(st.ShapeError(rule="a", fix="b")).fix == "b"

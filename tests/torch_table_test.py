"""A table of operations, forward and backward, against torch, where it is installed.

One hand wrote our references and our kernels; torch is somebody else's. Each case is the same
function twice, of arrays in our layouts [N, H, W, C] and [out, kh, kw, in / groups].
"""

from __future__ import annotations

import numpy as np
import pytest
import striate as st

torch = pytest.importorskip("torch")  # conftest.py leaves the file out where it is absent
functional = torch.nn.functional
ops = st.ops


def _nchw(x):
    return x.permute(0, 3, 1, 2)


def _nhwc(y):
    return y.permute(0, 2, 3, 1)


def _conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution in torch of values in our layouts; padding (top, bottom, left, right)."""
    if isinstance(padding, int):
        padding = (padding,) * 4
    top, bottom, left, right = padding
    x = functional.pad(_nchw(x), (left, right, top, bottom))
    y = functional.conv2d(x, _nchw(w), b, stride=stride, dilation=dilation, groups=groups)
    return _nhwc(y)


def _pool(kind, x, size, stride, padding=0, **options):
    y = getattr(functional, kind)(_nchw(x), size, stride, padding, **options)
    return _nhwc(y)


def _random(*shape, seed=0):
    """Values on a coarse grid without zero: no ties, and no kinks of relu nearby."""
    generator = np.random.default_rng([seed, *shape])
    count = int(np.prod(shape))
    values = generator.permutation(count).astype(np.float32) - count // 2 + 0.5
    return (values * (4 / max(count, 1))).reshape(shape)


def _positive(*shape):
    return np.abs(_random(*shape)) + 0.25


X = (2, 9, 8, 6)  # odd, not square, not a multiple of a vector
MEAN, VARIANCE = _random(6, seed=2), _positive(6)

# name: (inputs, ours, torch's)
CASES = {
    "conv2d": ([X, (5, 3, 3, 6)], ops.conv2d, _conv),
    "conv2d of one channel": ([(2, 9, 8, 1), (5, 3, 3, 1)], ops.conv2d, _conv),
    "conv2d 1x1": ([X, (16, 1, 1, 6)], ops.conv2d, _conv),
    "conv2d with a bias": ([X, (5, 3, 3, 6), (5,)], ops.conv2d, _conv),
    "conv2d strides": (
        [X, (5, 3, 3, 6)],
        lambda x, w: ops.conv2d(x, w, strides=(2, 3)),
        lambda x, w: _conv(x, w, stride=(2, 3)),
    ),
    "conv2d padding on four sides": (
        [X, (5, 3, 3, 6)],
        lambda x, w: ops.conv2d(x, w, padding=(1, 0, 2, 1)),
        lambda x, w: _conv(x, w, padding=(1, 0, 2, 1)),
    ),
    "conv2d same": (
        [X, (5, 3, 3, 6)],
        lambda x, w: ops.conv2d(x, w, padding="same"),
        lambda x, w: _conv(x, w, padding=1),
    ),
    "conv2d same with strides": (
        [X, (5, 3, 3, 6)],
        lambda x, w: ops.conv2d(x, w, padding="same", strides=2),
        lambda x, w: _conv(x, w, padding=(1, 1, 0, 1), stride=2),
    ),
    "conv2d dilation": (
        [X, (5, 3, 3, 6)],
        lambda x, w: ops.conv2d(x, w, dilation_rate=(2, 3), padding=3),
        lambda x, w: _conv(x, w, dilation=(2, 3), padding=3),
    ),
    "conv2d groups": (
        [X, (9, 3, 3, 2)],
        lambda x, w: ops.conv2d(x, w, groups=3),
        lambda x, w: _conv(x, w, groups=3),
    ),
    "conv2d by channel": (
        [X, (12, 3, 3, 1)],
        lambda x, w: ops.conv2d(x, w, groups=6, strides=2, padding=1),
        lambda x, w: _conv(x, w, groups=6, stride=2, padding=1),
    ),
    "conv2d 32 channels": (
        [(2, 8, 8, 32), (32, 3, 3, 32)],
        lambda x, w: ops.conv2d(x, w, padding=1),
        lambda x, w: _conv(x, w, padding=1),
    ),
    "max_pool2d": (
        [X],
        lambda x: ops.max_pool2d(x, pool_size=2, strides=2),
        lambda x: _pool("max_pool2d", x, 2, 2),
    ),
    "max_pool2d overlapping": (
        [X],
        lambda x: ops.max_pool2d(x, pool_size=3, strides=2, padding=1),
        lambda x: _pool("max_pool2d", x, 3, 2, 1),
    ),
    "avg_pool2d": (
        [X],
        lambda x: ops.avg_pool2d(x, pool_size=(2, 3), strides=(2, 1)),
        lambda x: _pool("avg_pool2d", x, (2, 3), (2, 1)),
    ),
    "avg_pool2d padding counted": (
        [X],
        lambda x: ops.avg_pool2d(x, pool_size=3, strides=2, padding=1, count_padding=True),
        lambda x: _pool("avg_pool2d", x, 3, 2, 1),
    ),
    "avg_pool2d padding not counted": (
        [X],
        lambda x: ops.avg_pool2d(x, pool_size=3, strides=2, padding=1),
        lambda x: _pool("avg_pool2d", x, 3, 2, 1, count_include_pad=False),
    ),
    "global_avg_pool2d": ([X], ops.global_avg_pool2d, lambda x: x.mean((1, 2))),
    "pad2d constant": (
        [X],
        lambda x: ops.pad2d(x, padding=(1, 2, 0, 3)),
        lambda x: _nhwc(functional.pad(_nchw(x), (0, 3, 1, 2))),
    ),
    "pad2d reflect": (
        [X],
        lambda x: ops.pad2d(x, padding=(1, 2, 0, 3), mode="reflect"),
        lambda x: _nhwc(functional.pad(_nchw(x), (0, 3, 1, 2), mode="reflect")),
    ),
    "pad2d edge": (
        [X],
        lambda x: ops.pad2d(x, padding=(1, 2, 0, 3), mode="edge"),
        lambda x: _nhwc(functional.pad(_nchw(x), (0, 3, 1, 2), mode="replicate")),
    ),
    "matmul": ([(7, 11), (11, 5)], ops.matmul, torch.matmul),
    "relu": ([X], ops.relu, functional.relu),
    "relu6": ([X], lambda x: ops.relu6(x * 4.0), lambda x: functional.relu6(x * 4)),
    "leaky_relu": (
        [X],
        lambda x: ops.leaky_relu(x, alpha=0.2),
        lambda x: functional.leaky_relu(x, 0.2),
    ),
    "sigmoid": ([X], ops.sigmoid, torch.sigmoid),
    "tanh": ([X], ops.tanh, torch.tanh),
    "exp": ([X], ops.exp, torch.exp),
    "log": ([_positive(*X)], ops.log, torch.log),
    "sqrt": ([_positive(*X)], ops.sqrt, torch.sqrt),
    "rsqrt": ([_positive(*X)], ops.rsqrt, torch.rsqrt),
    "reciprocal": ([_positive(*X)], ops.reciprocal, torch.reciprocal),
    "square": ([X], ops.square, torch.square),
    "abs": ([X], ops.abs, torch.abs),
    "softmax": ([(6, 10)], ops.softmax, lambda x: torch.softmax(x, 1)),
    "log_softmax": ([(6, 10)], ops.log_softmax, lambda x: torch.log_softmax(x, 1)),
    "add": ([X, (8, 1)], ops.add, torch.add),
    "subtract": ([X, (6,)], ops.subtract, torch.sub),
    "multiply": ([X, (2, 1, 1, 6)], ops.multiply, torch.mul),
    "divide": ([X, _positive(9, 1, 6)], ops.divide, torch.div),
    "power": ([_positive(*X), (6,)], ops.power, torch.pow),
    "maximum": ([X, _random(*X, seed=1)], ops.maximum, torch.maximum),
    "minimum": ([X, _random(*X, seed=1)], ops.minimum, torch.minimum),
    "reduce_sum": ([X], lambda x: ops.reduce_sum(x, axes=[1, 2]), lambda x: x.sum((1, 2))),
    "reduce_mean": (
        [X],
        lambda x: ops.reduce_mean(x, axes=[0, 3], keepdims=True),
        lambda x: x.mean((0, 3), keepdim=True),
    ),
    "reduce_max": ([X], lambda x: ops.reduce_max(x, axes=[1, 2, 3]), lambda x: x.amax((1, 2, 3))),
    "concat": (
        [X, (2, 9, 8, 3)],
        lambda a, b: ops.concat(a, b, axis=3),
        lambda a, b: torch.cat([a, b], 3),
    ),
    "reshape": ([X], lambda x: ops.reshape(x, shape=[2, -1]), lambda x: x.reshape(2, -1)),
    "transpose": (
        [X],
        lambda x: ops.transpose(x, order=[0, 3, 1, 2]),
        lambda x: x.permute(0, 3, 1, 2),
    ),
    "mean_squared_error": ([X, _random(*X, seed=1)], ops.mean_squared_error, functional.mse_loss),
    "batch_norm in inference": (
        [X, (6,), (6,)],
        lambda x, gamma, beta: ops.batch_norm(
            x, gamma, beta, st.Tensor(MEAN), st.Tensor(VARIANCE), epsilon=1e-3
        ),
        lambda x, gamma, beta: _nhwc(
            functional.batch_norm(
                _nchw(x),
                torch.tensor(MEAN).double(),
                torch.tensor(VARIANCE).double(),
                gamma,
                beta,
                eps=1e-3,
            )
        ),
    ),
}


def _both(inputs, ours, theirs):
    """Return outputs and gradients of both; the gradients are those of sum(output * dy)."""
    arrays = [x if isinstance(x, np.ndarray) else _random(*x, seed=i) for i, x in enumerate(inputs)]
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    expected = theirs(*tensors)
    dy = np.random.default_rng(9).standard_normal(expected.shape).astype(np.float32)
    (expected * torch.tensor(dy)).sum().backward()
    # Every size is the program's: batches here are no batches, but whole values.
    values = [st._striate.input_value(list(a.shape), "float32", f"x{i}")
              for i, a in enumerate(arrays)]  # fmt: skip
    output = ours(*values)
    slopes = st.grad(ops.reduce_sum(output * st.Tensor(dy)), values)
    results = st.Program(values, [output, *slopes])(*arrays)
    assert tuple(results[0].shape) == tuple(expected.shape)
    wanted = [expected.detach().numpy(), *(t.grad.numpy() for t in tensors)]
    return [np.asarray(result) for result in results], wanted


def _nmse(found, expected):
    return ((found - expected) ** 2).sum() / max((expected**2).sum(), 1e-30)


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name):
    found, expected = _both(*CASES[name])
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape and np.isfinite(ours).all()
        assert _nmse(ours, theirs) <= 1e-10


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_crossentropies(smoothing):
    scores, labels = _random(6, 5), np.array([0, 4, 2, 2, 1, 3])
    x = torch.tensor(scores, dtype=torch.float64)
    expected = float(functional.cross_entropy(x, torch.tensor(labels), label_smoothing=smoothing))
    ours = ops.sparse_categorical_crossentropy(scores, labels, label_smoothing=smoothing)
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    one_hot = np.eye(5, dtype=np.float32)[labels]
    ours = ops.categorical_crossentropy(scores, one_hot, label_smoothing=smoothing)
    assert float(ours) == pytest.approx(expected, rel=1e-5)
    target = np.random.default_rng(0).integers(0, 2, (6, 5)).astype(np.float32)
    expected = functional.binary_cross_entropy_with_logits(x, torch.tensor(target).double())
    assert float(ops.binary_crossentropy(scores, target)) == pytest.approx(float(expected), 1e-5)


def _optimizers():
    return {
        "sgd": (st.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
        "momentum": (st.SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        "nesterov": (
            st.SGD(0.1, momentum=0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
        ),
        "adam": (st.Adam(0.01, epsilon=1e-8), lambda p: torch.optim.Adam(p, 0.01)),
        "adamw": (
            st.AdamW(0.01, epsilon=1e-8, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
        ),
    }


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_training_steps(name):
    optimizer, make = _optimizers()[name]
    st.seed(0)
    model = st.Sequential([
        st.Input((8, 8, 3)),
        st.Conv2D(4, 3, activation="relu"),
        st.BatchNormalization(momentum=0.9, epsilon=1e-5),
        st.MaxPool2D(2),
        st.Flatten(),
        st.Dense(5),
    ])  # fmt: skip
    model.compile(optimizer, "sparse_categorical_crossentropy")
    before = [value.astype(np.float64) for value in model.get_weights()]
    kernel, bias, gamma, beta, mean, variance, dense, last = map(torch.tensor, before)
    trained = [kernel, bias, gamma, beta, dense, last]
    for value in trained:
        value.requires_grad_()
    theirs = make(trained)
    random = np.random.default_rng(0)
    step = model.train_step()
    for _ in range(5):
        x = random.standard_normal((12, 8, 8, 3)).astype(np.float32)
        y = random.integers(0, 5, 12)
        h = functional.relu(_conv(torch.tensor(x).double(), kernel, bias))
        h = functional.batch_norm(_nchw(h), mean, variance, gamma, beta, True, 0.1, 1e-5)
        h = _nhwc(functional.max_pool2d(h, 2)).reshape(12, -1)
        loss = functional.cross_entropy(h @ dense + last, torch.tensor(y))
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        assert float(step(x, y)) == pytest.approx(loss.item(), rel=1e-3)
    # torch keeps the unbiased variance: n / (n - 1), where n = 12 * 6 * 6.
    expected = [kernel, bias, gamma, beta, mean, None, dense, last]
    for ours, value, first in zip(model.get_weights(), expected, before):
        if value is not None:
            assert _nmse(ours - first, value.detach().numpy() - first) < 1e-6

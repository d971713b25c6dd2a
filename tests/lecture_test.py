"""The lectures' figures: output sizes, parameter counts, picture kernels and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
import striate as st

ops = st.ops

# fmt: off
IDENTITY = [[0, 0, 0],
            [0, 1, 0],
            [0, 0, 0]]
BLUR = [[1 / 16, 2 / 16, 1 / 16],
        [2 / 16, 4 / 16, 2 / 16],
        [1 / 16, 2 / 16, 1 / 16]]
SHARPEN = [[ 0, -1,  0],
           [-1,  5, -1],
           [ 0, -1,  0]]
EDGE = [[-1, -1, -1],
        [-1,  8, -1],
        [-1, -1, -1]]
STRIPE = [[0, 0, 1, 1, 0, 0]] * 6
# fmt: on


def _picture(height=20, width=30):
    """A picture with smooth parts, an edge and a line."""
    row, column = np.mgrid[:height, :width].astype(np.float32)
    picture = 100 + 50 * np.sin(row / 4) + 3 * column
    picture[:, width // 2 :] += 60
    picture[height // 3] = 20
    return np.stack([picture, 255 - picture, np.full_like(picture, 77)], axis=-1)


def _filtered(picture, kernel, padding="valid"):
    """Apply one kernel to each channel of [H, W, C]."""
    kernel = np.asarray(kernel, np.float32)
    window = np.repeat(kernel[None, :, :, None], picture.shape[-1], axis=0)
    result = ops.conv2d(picture[None], window, groups=picture.shape[-1], padding=padding)
    return np.asarray(result)[0]


def _by_definition(picture, kernel):
    """y[i, j] = sum_kl w[k, l] x[i + k, j + l]: cross-correlation, called convolution."""
    kernel = np.asarray(kernel, np.float64)
    k, m = kernel.shape
    height, width = picture.shape[0] - k + 1, picture.shape[1] - m + 1
    y = np.zeros((height, width, picture.shape[2]))
    for i in range(k):
        for j in range(m):
            y += kernel[i, j] * picture[i : i + height, j : j + width]
    return y


@pytest.mark.parametrize(
    "size, window, padding, stride, expected",
    [
        (28, 3, 0, 1, 26),
        (28, 3, 1, 1, 28),
        (28, 3, 0, 2, 13),
        (28, 3, "valid", 1, 26),
        (28, 3, "same", 1, 28),
        (28, 5, "same", 1, 28),
        (28, 3, "same", 2, 14),
        (227, 11, 0, 4, 55),
    ],
)
def test_output_size_is_floor_n_plus_2p_minus_k_over_s_plus_1(
    size, window, padding, stride, expected
):
    y = st.Conv2D(2, window, strides=stride, padding=padding)(st.Input((size, size, 1)))
    assert y.shape == (None, expected, expected, 2)
    if isinstance(padding, int):
        assert expected == (size + 2 * padding - window) // stride + 1


def test_pooling_sizes():
    x = st.Input((26, 26, 4))
    assert st.MaxPool2D(2, strides=1)(x).shape == (None, 25, 25, 4)
    assert st.AveragePool2D(2, strides=1)(x).shape == (None, 25, 25, 4)
    assert st.MaxPool2D(2)(x).shape == (None, 13, 13, 4)
    data = np.array([[1, 5, 2, 0], [3, 4, 8, 6]], np.float32).reshape(1, 2, 4, 1)
    largest = ops.max_pool2d(data, pool_size=2, strides=2)
    mean = ops.avg_pool2d(data, pool_size=2, strides=2)
    assert np.asarray(largest).ravel().tolist() == [5, 8]
    assert np.asarray(mean).ravel().tolist() == [3.25, 4]


def test_parameter_counts():
    convolution = st.Sequential([st.Input((32, 32, 3)), st.Conv2D(64, 3)])
    assert convolution.count_params() == 1_792
    assert convolution.summary(as_dict=True)["bytes"] == 7 * 1024
    dense = st.Dense(10)
    dense(st.Flatten()(st.Input((720, 1280, 3))))
    count = sum(int(np.prod(weight.shape)) for weight in dense.weights)
    assert count == 27_648_010 and 110e6 < 4 * count < 111e6


def test_alexnets_first_layer():
    layer = st.Conv2D(96, 11, strides=4)
    y = layer(st.Input((227, 227, 3)))
    assert y.shape == (None, 55, 55, 96)
    kernel, bias = (int(np.prod(weight.shape)) for weight in layer.weights)
    assert kernel + bias == 34_944 and kernel // 96 + 1 == 364


def test_vertical_stripe():
    image = np.array(STRIPE, np.float32)[None, :, :, None]
    kernel = np.array([[0, 1, 0]] * 3, np.float32)[None, :, :, None]
    y = np.asarray(ops.conv2d(image, kernel))[0, :, :, 0]
    assert y.tolist() == [[0, 3, 3, 0]] * 4


@pytest.mark.parametrize("kernel", [IDENTITY, BLUR, SHARPEN, EDGE])
def test_picture_kernels_are_cross_correlations(kernel):
    picture = _picture()
    y = _filtered(picture, kernel)
    np.testing.assert_allclose(y, _by_definition(picture, kernel), rtol=1e-5, atol=1e-3)


def test_what_picture_kernels_do():
    picture = _picture()
    np.testing.assert_array_equal(_filtered(picture, IDENTITY, "same"), picture)
    inside = picture[1:-1, 1:-1]
    blurred, sharpened, edges = (_filtered(picture, k) for k in (BLUR, SHARPEN, EDGE))

    def roughness(image):
        return np.abs(np.diff(image, axis=1)).max()

    assert roughness(blurred) < roughness(inside) < roughness(sharpened)
    # The sum of the blur's and the sharpener's weights is 1, the edge detector's is 0.
    np.testing.assert_allclose(blurred[..., 2], 77, rtol=1e-5)
    np.testing.assert_allclose(sharpened[..., 2], 77, rtol=1e-5)
    np.testing.assert_allclose(edges[..., 2], 0, atol=1e-3)
    middle = picture.shape[1] // 2 - 1
    assert np.abs(edges[12, middle - 1 : middle + 1, 0]).min() > 100
    assert np.abs(edges[12, 3, 0]) < 30


@pytest.mark.parametrize("size", [5, 7])
def test_larger_blurs(size):
    row = np.array([1.0])
    for _ in range(size - 1):
        row = np.convolve(row, [1, 1])
    kernel = np.outer(row, row) / row.sum() ** 2
    picture = _picture()
    y = _filtered(picture, kernel)
    assert y.shape == (20 - size + 1, 30 - size + 1, 3)
    np.testing.assert_allclose(y, _by_definition(picture, kernel), rtol=1e-5, atol=1e-3)


def test_convolution_is_dense_with_shared_weights():
    picture = _picture(6, 6)[None, :, :, :1]
    flat = np.asarray(ops.conv2d(picture, np.array(BLUR, np.float32)[None, :, :, None])).ravel()
    matrix = np.zeros((36, 16), np.float32)
    for p in range(4):
        for q in range(4):
            for r in range(3):
                matrix[(p + r) * 6 + q : (p + r) * 6 + q + 3, p * 4 + q] = BLUR[r]
    dense = np.asarray(ops.matmul(picture.reshape(1, 36), matrix)).ravel()
    np.testing.assert_allclose(flat, dense, rtol=1e-5)
    assert np.count_nonzero(matrix) == 16 * 9 and len(np.unique(matrix)) == 4


def test_losses_by_hand():
    scores = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(ops.softmax(scores), probability, rtol=1e-5)
    loss = ops.sparse_categorical_crossentropy(scores, np.array([0, 2]))
    expected = -np.log(probability[[0, 1], [0, 2]]).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    a, b = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, -1.0]], np.float32)
    assert float(ops.mean_squared_error(a, b)) == pytest.approx((4 + 9) / 2)
    logit = np.array([[0.5], [-1.0]], np.float32)
    p = 1 / (1 + np.exp(-logit))
    expected = -(np.log(p[0]) + np.log(1 - p[1])).mean() / 2
    target = np.array([[1.0], [0.0]], np.float32)
    assert float(ops.binary_crossentropy(logit, target)) == pytest.approx(expected, rel=1e-5)


def test_the_first_program_of_the_lectures():
    # As written for the Pima Indians' data: eight numbers, one yes or no.
    random = np.random.default_rng(7)
    x = random.standard_normal((80, 8)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.float32)
    st.seed(7)
    model = st.Sequential([
        st.Input((8,)),
        st.Dense(12, activation="relu"),
        st.Dense(8, activation="relu"),
        st.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    assert model.count_params() == 12 * 9 + 8 * 13 + 9
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(x, y, epochs=150, batch_size=10, verbose=False)
    assert len(history.history["loss"]) == 150
    scores = model.evaluate(x, y)
    assert scores["accuracy"] > 0.9
    said = model.predict(x)
    assert said.shape == (80, 1) and ((said > 0) & (said < 1)).all()
    assert ((said[:, 0] > 0.5) == (y > 0.5)).mean() == pytest.approx(scores["accuracy"])


def test_the_first_layer_may_have_the_inputs_shape():
    def weights(*layers):
        st.seed(7)
        return [w.tobytes() for w in st.Sequential(layers).get_weights()]

    rest = (st.Dense(8, "relu"), st.Dense(1, "sigmoid"))
    as_taught = weights(st.Dense(12, input_dim=8, activation="relu"), *rest)
    rest = (st.Dense(8, "relu"), st.Dense(1, "sigmoid"))
    assert as_taught == weights(st.Input((8,)), st.Dense(12, activation="relu"), *rest)

    model = st.Sequential([
        st.Conv2D(64, 3, input_shape=(28, 28, 3)), st.Flatten(), st.Dense(10),
    ])  # fmt: skip
    assert model.layer("conv2d").weights[0].shape == (64, 3, 3, 3)
    assert model.predict(np.ones((2, 28, 28, 3))).shape == (2, 10)
    flat = st.Sequential([st.Flatten(input_shape=[28, 28]), st.Dense(10, input_dim=784)])
    assert flat.count_params() == 7850


def test_an_input_shape_that_does_not_fit_is_named():
    layers = [st.Input((8,)), st.Dense(12), st.Dense(3, input_dim=8, name="last")]
    with pytest.raises(st.ShapeError) as raised:
        st.Sequential(layers)
    assert str(raised.value) == (
        '[Dense "last"] it was made for the input_shape [8], got samples of [12]. '
        "Only a model's first layer needs an input_shape."
    )
    with pytest.raises(st.ShapeError, match="Sequential begins with an Input, got Dense"):
        st.Sequential([st.Dense(3)])
    with pytest.raises(TypeError, match="input_dim"):
        st.Conv2D(3, 3, input_dim=8)


def test_all_convolutional_net_strides_instead_of_pooling():
    model = st.Sequential([
        st.Input((32, 32, 3)),
        st.Conv2D(8, 3, padding="same", activation="relu"),
        st.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        st.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        st.Conv2D(10, 1),
        st.GlobalAveragePool2D(),
        st.Softmax(),
    ])  # fmt: skip
    shapes = [row["shape"][1] for row in model.summary(as_dict=True)["layers"]]
    assert shapes == [32, 32, 16, 8, 8, 10, 10]
    y = model.predict(np.ones((2, 32, 32, 3)))
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)


def test_pictures_as_bgr_are_a_slice():
    picture = _picture()
    bgr = picture[:, :, ::-1]  # a view with a negative stride
    np.testing.assert_array_equal(_filtered(bgr, BLUR), _filtered(picture, BLUR)[:, :, ::-1])

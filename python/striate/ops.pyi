# Written by tools/stubs.py from what the library registers.
from collections.abc import Sequence
from typing import Any

from striate._striate import Tensor

def names() -> list[str]:
    """Return the names of all operations."""

def as_tensor(value: Any, dtype: str | None = None) -> Tensor:
    """Return a tensor of a value: an array, whose memory it shares where it can, or numbers.

    Args:
        value: A tensor, an array, or numbers in lists.
        dtype: Element type to convert to; without it floats in lists become float32.
    """

def abs(x: Any) -> Any:
    """y = |x|; its gradient at 0 is 0, element by element.
    x: any shape -> y: the same
    """

def add(a: Any, b: Any) -> Any:
    """y = a + b, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def argmax(x: Any, *, axes: Sequence[int] = [], keepdims: bool = False) -> Any:
    """Find the place of the largest element along one axis: the first of equals, the first NaN.
    x: any shape -> y: int64, x's without the axis

    Args:
        axes: The axes; negative ones from the end; empty: all. Default: [].
        keepdims: Keep the reduced axes with size 1. Default: False.
    """

def avg_pool2d(
    x: Any,
    *,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: str | int | Sequence[int] = 'valid',
    count_padding: bool = False,
) -> Any:
    """Take the mean of each window; places in the padding count only with count_padding.
    y[n,p,q,c] = mean x[n, p stride + r - top, q stride + s - left, c]
    x: [N, H, W, C] -> y: [N, P, Q, C]

    Args:
        pool_size: Size of the window: one number or (height, width). Default: 2.
        strides: Step of the window; None: the pool size. Default: None.
        padding: 'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left,
            right). Default: 'valid'.
        count_padding: Divide by the whole window where it reaches into the padding. Default:
            False.
    """

def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    moving_mean: Any,
    moving_variance: Any,
    residual: Any | None = None,
    *,
    epsilon: float = 0.001,
    momentum: float = 0.99,
    activation: str = 'none',
) -> Any:
    """Normalise each channel (Ioffe and Szegedy 2015): by the batch's mean and variance in a
    training program, which updates moving_mean and moving_variance, else by these.
    y = act((x - mean) / sqrt(variance + epsilon) * gamma + beta + residual)
    x: [..., C], all else but residual: [C] -> y: [..., C]

    Args:
        epsilon: Added to the variance, against division by 0. Default: 0.001.
        momentum: Share of the old moving statistics that a training step keeps. Default: 0.99.
        activation: none or relu, applied last. Default: 'none'.
    """

def binary_crossentropy(
    logits: Any,
    targets: Any,
    step_block: Any | None = None,
    *,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of two classes: the mean of -t log s(logits) - (1 - t) log(1 - s(logits)).
    logits, targets: [N, ...] -> loss: [], its gradient: [N, ...]; targets count as
    constants; step_block is filled in by the program

    Args:
        from_logits: The first input holds logits; otherwise probabilities. Default: True.
        label_smoothing: Share of each target that is spread over all classes. Default: 0.0.
    """

def broadcast_to(x: Any, like_y: Any) -> Any:
    """Repeat x until it has the shape of y.
    x: a shape that broadcasts to y's, like_y: any shape -> y
    """

def cast(x: Any, *, to: str) -> Any:
    """Convert elements; floating to integer truncates and saturates, NaN becomes 0.
    x: any shape -> y: the same

    Args:
        to: float32, float16, bfloat16, uint8, int32, int64, bool or float64. Default:
            'float32'.
    """

def categorical_crossentropy(
    logits: Any,
    targets: Any,
    step_block: Any | None = None,
    *,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
) -> Any:
    """Softmax cross-entropy with a number per class: the mean of -sum t log softmax(logits).
    logits, targets: [N, ..., C] -> loss: [], its gradient: [N, ..., C]; targets count as
    constants; step_block is filled in by the program

    Args:
        from_logits: The first input holds logits; otherwise probabilities. Default: True.
        label_smoothing: Share of each target that is spread over all classes. Default: 0.0.
    """

def clip(x: Any, *, alpha: float) -> Any:
    """y = min(max(x, -alpha), alpha), element by element.
    x: any shape -> y: the same

    Args:
        alpha: The limit. Default: 1.0.
    """

def concat(*x: Any, axis: int = -1) -> Any:
    """Join values along an axis; their other sizes must agree.
    x: any number of shapes -> y: the axis holds the sum of theirs

    Args:
        axis: The axis; negative ones from the end. Default: -1.
    """

def conv2d(
    x: Any,
    w: Any,
    b: Any | None = None,
    residual: Any | None = None,
    *,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[int] = 'valid',
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: str = 'none',
    negative_slope: float = 0.01,
) -> Any:
    """Convolve images with filters (cross-correlation), add a bias and a residual.
    y[n,p,q,k] = act(b[k] + residual[n,p,q,k] + sum w[k,r,s,c] x[n, p stride + r dilation - top,
        q stride + s dilation - left, c])
    x: [N, H, W, C], w: [K, R, S, C / groups], b: [K] -> y: [N, P, Q, K]

    Args:
        strides: Step of the window: one number or (height, width). Default: 1.
        padding: 'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left,
            right). Default: 'valid'.
        dilation_rate: Distance of the window's elements. Default: 1.
        groups: Parts of the channels that are convolved apart; the number of channels:
            depthwise. Default: 1.
        activation: none, relu, relu6, leaky_relu, sigmoid or tanh. Default: 'none'.
        negative_slope: Slope of leaky_relu below 0. Default: 0.01.
    """

def conv2d_backward_input(
    dy: Any,
    w: Any,
    like_x: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[int] = 'valid',
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    bias: bool = False,
) -> Any:
    """Return the gradient of conv2d with respect to x; also the transposed convolution.
    dy: [N, P, Q, K], w: [K, R, S, C / groups], like_x: [N, H, W, C] -> dx: [N, H, W, C]

    Args:
        strides: Step of the window: one number or (height, width). Default: 1.
        padding: 'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left,
            right). Default: 'valid'.
        dilation_rate: Distance of the window's elements. Default: 1.
        groups: Parts of the channels that are convolved apart; the number of channels:
            depthwise. Default: 1.
        bias: Return the gradient of b as well. Default: False.
    """

def conv2d_backward_weight(
    x: Any,
    dy: Any,
    like_w: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: str | int | Sequence[int] = 'valid',
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    bias: bool = False,
) -> Any:
    """Return the gradients of conv2d with respect to w and, with bias=True, to b.
    x: [N, H, W, C], dy: [N, P, Q, K], like_w: [K, R, S, C / groups] -> dw like w, db: [K]

    Args:
        strides: Step of the window: one number or (height, width). Default: 1.
        padding: 'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left,
            right). Default: 'valid'.
        dilation_rate: Distance of the window's elements. Default: 1.
        groups: Parts of the channels that are convolved apart; the number of channels:
            depthwise. Default: 1.
        bias: Return the gradient of b as well. Default: False.
    """

def divide(a: Any, b: Any) -> Any:
    """y = a / b, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def dropout(x: Any, step_block: Any | None = None, *, rate: float) -> Any:
    """Drop elements at random in a training program (Srivastava et al. 2014), else return x.
    y = x / (1 - rate) where kept, 0 elsewhere
    x: [N, ...] -> y: [N, ...]; step_block is filled in by the program

    Args:
        rate: Probability that an element is dropped, in [0, 1). Default: 0.5.
    """

def equal(a: Any, b: Any) -> Any:
    """y = a == b, with broadcasting.
    a, b: any shapes -> y: bool, their broadcast
    """

def exp(x: Any) -> Any:
    """y = exp(x), element by element.
    x: any shape -> y: the same
    """

def global_avg_pool2d(x: Any) -> Any:
    """Take the mean of each channel of a picture.
    y[n,c] = mean over h, w of x[n,h,w,c]
    x: [N, H, W, C] -> y: [N, C]
    """

def greater(a: Any, b: Any) -> Any:
    """y = a > b, with broadcasting.
    a, b: any shapes -> y: bool, their broadcast
    """

def greater_equal(a: Any, b: Any) -> Any:
    """y = a >= b, with broadcasting.
    a, b: any shapes -> y: bool, their broadcast
    """

def leaky_relu(x: Any, *, alpha: float) -> Any:
    """y = x where x >= 0, else alpha x, element by element.
    x: any shape -> y: the same

    Args:
        alpha: Slope below 0. Default: 1.0.
    """

def less(a: Any, b: Any) -> Any:
    """y = a < b, with broadcasting.
    a, b: any shapes -> y: bool, their broadcast
    """

def log(x: Any) -> Any:
    """y = log(x), the natural one, element by element.
    x: any shape -> y: the same
    """

def log_softmax(x: Any) -> Any:
    """Make logarithms of probabilities of the last axis.
    y = x - max x - log sum exp(x - max x)
    x: [..., C] -> y: [..., C]
    """

def matmul(
    a: Any,
    b: Any,
    bias: Any | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    activation: str = 'none',
    negative_slope: float = 0.01,
    column_sums: bool = False,
) -> Any:
    """Multiply matrices, and add a bias to each row.
    y = act(a b + bias), a or b transposed where the options say so
    a: [M, K], b: [K, N], bias: [N] -> y: [M, N]

    Args:
        transpose_a: a is [K, M]. Default: False.
        transpose_b: b is [N, K]. Default: False.
        activation: none, relu, relu6, leaky_relu, sigmoid or tanh. Default: 'none'.
        negative_slope: Slope of leaky_relu below 0. Default: 0.01.
        column_sums: Also return the sums of the columns of b as multiplied. Default: False.
    """

def max_pool2d(
    x: Any,
    *,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: str | int | Sequence[int] = 'valid',
) -> Any:
    """Take the largest element of each window; of equal ones the first, row by row.
    y[n,p,q,c] = max x[n, p stride + r - top, q stride + s - left, c]
    x: [N, H, W, C] -> y: [N, P, Q, C], winner: its place r S + s in the window

    Args:
        pool_size: Size of the window: one number or (height, width). Default: 2.
        strides: Step of the window; None: the pool size. Default: None.
        padding: 'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left,
            right). Default: 'valid'.
    """

def maximum(a: Any, b: Any) -> Any:
    """y = the larger of a and b; of equal ones a takes the gradient, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def mean_squared_error(y: Any, targets: Any, step_block: Any | None = None) -> Any:
    """The mean of (y - target)^2.
    y, targets: [N, ...] -> loss: [], its gradient: [N, ...]
    step_block is filled in by the program
    """

def minimum(a: Any, b: Any) -> Any:
    """y = the smaller of a and b; of equal ones a takes the gradient, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def multiply(a: Any, b: Any) -> Any:
    """y = a b, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def negative(x: Any) -> Any:
    """y = -x, element by element.
    x: any shape -> y: the same
    """

def pad2d(
    x: Any,
    *,
    padding: str | int | Sequence[int],
    mode: str = 'constant',
    value: float = 0.0,
) -> Any:
    """Add rows and columns around pictures.
    y[n,p,q,c] = x[n, p - top, q - left, c] inside, by mode outside
    x: [N, H, W, C] -> y: [N, top + H + bottom, left + W + right, C]

    Args:
        padding: One number, (vertical, horizontal) or (top, bottom, left, right). Default:
            'valid'.
        mode: constant, reflect (mirror, the edge pixel not repeated) or edge (repeat it).
            Default: 'constant'.
        value: What constant padding holds. Default: 0.0.
    """

def power(a: Any, b: Any) -> Any:
    """y = a^b, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def reciprocal(x: Any) -> Any:
    """y = 1 / x, element by element.
    x: any shape -> y: the same
    """

def reduce_max(x: Any, *, axes: Sequence[int] = [], keepdims: bool = False) -> Any:
    """Take the maximum over axes; of equal elements the first takes the gradient.
    x: any shape -> y: x's without the axes

    Args:
        axes: The axes; negative ones from the end; empty: all. Default: [].
        keepdims: Keep the reduced axes with size 1. Default: False.
    """

def reduce_mean(x: Any, *, axes: Sequence[int] = [], keepdims: bool = False) -> Any:
    """Take the mean over axes.
    x: any shape -> y: x's without the axes

    Args:
        axes: The axes; negative ones from the end; empty: all. Default: [].
        keepdims: Keep the reduced axes with size 1. Default: False.
    """

def reduce_sum(x: Any, *, axes: Sequence[int] = [], keepdims: bool = False) -> Any:
    """Sum over axes.
    x: any shape -> y: x's without the axes

    Args:
        axes: The axes; negative ones from the end; empty: all. Default: [].
        keepdims: Keep the reduced axes with size 1. Default: False.
    """

def relu(x: Any) -> Any:
    """y = max(x, 0), element by element.
    x: any shape -> y: the same
    """

def relu6(x: Any) -> Any:
    """y = min(max(x, 0), 6), element by element.
    x: any shape -> y: the same
    """

def rescale(x: Any, *, scale: float, offset: float = 0.0) -> Any:
    """Make numbers of pixels: y = x scale + offset.
    x: uint8 or float32, any shape -> y: float32, the same

    Args:
        scale: The factor, such as 1/255. Default: 1.0.
        offset: Added afterwards. Default: 0.0.
    """

def reshape(x: Any, *, shape: Sequence[int | None]) -> Any:
    """Give the elements, in row-major order, another shape.
    x: any shape -> y: shape, where one size may be None: it follows from the others; of two
    the first is the batch

    Args:
        shape: The new sizes, None for one to find. Default: [].
    """

def rsqrt(x: Any) -> Any:
    """y = 1 / sqrt(x), element by element.
    x: any shape -> y: the same
    """

def scale(x: Any, *, alpha: float) -> Any:
    """y = alpha x, element by element.
    x: any shape -> y: the same

    Args:
        alpha: The factor. Default: 1.0.
    """

def shift(x: Any, *, alpha: float) -> Any:
    """y = x + alpha, element by element.
    x: any shape -> y: the same

    Args:
        alpha: The summand. Default: 1.0.
    """

def sigmoid(x: Any) -> Any:
    """y = 1 / (1 + exp(-x)), element by element.
    x: any shape -> y: the same
    """

def sign(x: Any) -> Any:
    """y = 1, 0 or -1; its gradient is 0, element by element.
    x: any shape -> y: the same
    """

def slice(x: Any, *, begin: Sequence[int], size: Sequence[int]) -> Any:
    """Take a box out of x.
    y[i, ...] = x[begin[0] + i, ...]
    x: any shape -> y: size

    Args:
        begin: First place, one number for each axis. Default: [].
        size: Sizes of the box; -1: up to the end. Default: [].
    """

def softmax(x: Any) -> Any:
    """Make probabilities of the last axis.
    y = exp(x - max x) / sum exp(x - max x)
    x: [..., C] -> y: [..., C]
    """

def sort(x: Any, *, descending: bool = False) -> Any:
    """Sort along the last axis; equal elements keep their order, NaN is larger than all.
    x: [..., C] -> y: [..., C]

    Args:
        descending: The largest first. Default: False.
    """

def sparse_categorical_crossentropy(
    logits: Any,
    labels: Any,
    step_block: Any | None = None,
    *,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
) -> Any:
    """Softmax cross-entropy with integer labels: the mean of -log softmax(logits)[label].
    logits: [N, ..., C], labels: [N, ...] -> loss: [], its gradient: [N, ..., C]
    step_block is filled in by the program

    Args:
        from_logits: The first input holds logits; otherwise probabilities. Default: True.
        label_smoothing: Share of each target that is spread over all classes. Default: 0.0.
    """

def sqrt(x: Any) -> Any:
    """y = sqrt(x), element by element.
    x: any shape -> y: the same
    """

def square(x: Any) -> Any:
    """y = x^2, element by element.
    x: any shape -> y: the same
    """

def subtract(a: Any, b: Any) -> Any:
    """y = a - b, with broadcasting.
    a, b: any shapes -> y: their broadcast
    """

def tanh(x: Any) -> Any:
    """y = tanh(x), element by element.
    x: any shape -> y: the same
    """

def top_k(x: Any, *, k: int = 1) -> Any:
    """Return the k largest elements of the last axis, the largest first, and their places;
    of equal ones the first, NaN is larger than all.
    x: [..., C] -> values: [..., k], indices: int32 [..., k]

    Args:
        k: How many; at most C. Default: 1.
    """

def top_k_correct(logits: Any, labels: Any, *, k: int = 1) -> Any:
    """Tell for each row whether fewer than k classes have a larger score than the label's.
    logits: [N, C], labels: [N] -> correct: float32 [N], 1 or 0

    Args:
        k: Largest scores among which the label may be. Default: 1.
    """

def transpose(x: Any, *, order: Sequence[int] = []) -> Any:
    """Reorder the axes: axis i of y is axis order[i] of x.
    x: any shape -> y

    Args:
        order: Axes of x; empty: all reversed. Default: [].
    """

def where(cond: Any, a: Any, b: Any) -> Any:
    """y = a where cond is not 0, else b, with broadcasting.
    cond, a, b: any shapes -> y: their broadcast
    """

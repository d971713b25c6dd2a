# Written by tools/stubs.py from what the library registers.
from collections.abc import Sequence

from striate import data as data, kernels as kernels, ops as ops, view as view
from striate import zoo as zoo
from striate._striate import (
    Tensor as Tensor,
    Value as Value,
    Variable as Variable,
    devices as devices,
    memory_stats as memory_stats,
    threads as threads,
)
from striate.errors import (
    DTypeError as DTypeError,
    DeviceError as DeviceError,
    Error as Error,
    FileError as FileError,
    KernelError as KernelError,
    LabelError as LabelError,
    NumericsError as NumericsError,
    OutOfMemoryError as OutOfMemoryError,
    ShapeError as ShapeError,
)
from striate.history import (
    History as History,
)
from striate.model import (
    Model as Model,
)
from striate.program import (
    Program as Program,
    grad as grad,
)
from striate.registered import (
    Described as Described,
    Input as Input,
    Layer as Layer,
    RegisteredLayer as RegisteredLayer,
    register as register,
)
from striate.sequential import (
    Sequential as Sequential,
    load as load,
)
from striate.settings import (
    seed as seed,
    set_threads as set_threads,
)

__version__: str

class _PlainLayer(RegisteredLayer):
    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Accuracy(Described):
    """Part of the samples whose largest score is the label's."""

    def __init__(self) -> None: ...

class Activation(RegisteredLayer):
    """Apply an activation.

    Args:
        activation: Its name.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        activation: str,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Adam(Described):
    """Adaptive moments (Kingma and Ba 2015).

    Args:
        learning_rate: A number, or a schedule of the step. Default: 0.001.
        beta_1: Decay of the mean of gradients. Default: 0.9.
        beta_2: Decay of the mean of their squares. Default: 0.999.
        epsilon: Keeps the division finite. Default: 1e-07.
        clipvalue: Limit of each element of a gradient; 0: none. Default: 0.0.
        global_clipnorm: Limit of the norm of all gradients together (Pascanu et al. 2013); 0:
            none. Default: 0.0.
        weight_decay: Part of the weights, times the learning rate, taken off at each step.
            Default: 0.0.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        clipvalue: float = 0.0,
        global_clipnorm: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None: ...

class AdamW(Described):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        learning_rate: A number, or a schedule of the step. Default: 0.001.
        beta_1: Decay of the mean of gradients. Default: 0.9.
        beta_2: Decay of the mean of their squares. Default: 0.999.
        epsilon: Keeps the division finite. Default: 1e-07.
        clipvalue: Limit of each element of a gradient; 0: none. Default: 0.0.
        global_clipnorm: Limit of the norm of all gradients together (Pascanu et al. 2013); 0:
            none. Default: 0.0.
        weight_decay: Part of the weights, times the learning rate, taken off at each step.
            Default: 0.004.
    """

    def __init__(
        self,
        learning_rate: object = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        clipvalue: float = 0.0,
        global_clipnorm: float = 0.0,
        weight_decay: float = 0.004,
    ) -> None: ...

class Add(_PlainLayer):
    """The sum of several values."""

class AveragePool2D(RegisteredLayer):
    """The mean of each window and channel.
    x: [N, H, W, C] -> y: [N, P, Q, C]

    Args:
        pool_size: The window: one number or (height, width). Default: 2.
        strides: Step of the window; None: the pool size. Default: None.
        padding: 'valid', 'same', or numbers. Default: 'valid'.
        count_padding: Divide by the whole window where it reaches into the padding. Default:
            False.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str | int | Sequence[int] = 'valid',
        count_padding: bool = False,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class BatchNormalization(RegisteredLayer):
    """Normalise each channel over the batch (Ioffe and Szegedy 2015).
    x: [N, ..., C] -> y of the same shape. freeze() stops its statistics too.

    Args:
        momentum: Part of the moving statistics that a step keeps. Default: 0.99.
        epsilon: Added to the variance. Default: 0.001.
        center: Add a trained offset beta. Default: True.
        scale: Multiply by a trained factor gamma. Default: True.
        gamma_initializer: First gamma. Default: 'Ones'.
        beta_initializer: First beta. Default: 'Zeros'.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        gamma_initializer: object = 'Ones',
        beta_initializer: object = 'Zeros',
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class BinaryCrossentropy(Described):
    """Crossentropy of independent yes-or-no targets.

    Args:
        from_logits: True: the output holds logits; False: probabilities; None: logits, and a
            softmax or sigmoid at the model's end is taken into the loss. Default: None.
        label_smoothing: Part of the target that goes to all classes alike (Szegedy et al.
            2016). Default: 0.0.
    """

    def __init__(self, from_logits: object | None = None, label_smoothing: float = 0.0) -> None: ...

class CategoricalCrossentropy(Described):
    """Crossentropy of one-hot or soft targets and scores [N, classes].

    Args:
        from_logits: True: the output holds logits; False: probabilities; None: logits, and a
            softmax or sigmoid at the model's end is taken into the loss. Default: None.
        label_smoothing: Part of the target that goes to all classes alike (Szegedy et al.
            2016). Default: 0.0.
    """

    def __init__(self, from_logits: object | None = None, label_smoothing: float = 0.0) -> None: ...

class Concatenate(RegisteredLayer):
    """Put values side by side along an axis.

    Args:
        axis: The axis; negative ones count from the end. Default: -1.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        axis: int = -1,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Constant(Described):
    """All the same value.

    Args:
        value: The value. Default: 0.0.
    """

    def __init__(self, value: float = 0.0) -> None: ...

class Conv2D(RegisteredLayer):
    """Convolve images with trained filters (cross-correlation).
    x: [N, H, W, C] -> y: [N, P, Q, filters]

    Args:
        filters: Number of output channels.
        kernel_size: The window: one number or (height, width).
        strides: Step of the window: one number or (height, width). Default: 1.
        padding: 'valid', 'same', or numbers. Default: 'valid'.
        dilation_rate: Distance of the window's elements. Default: 1.
        activation: Applied to the result. Default: 'linear'.
        use_bias: Add a trained number per filter. Default: True.
        kernel_initializer: First values of the filters. Default: 'GlorotUniform'.
        bias_initializer: First values of the bias. Default: 'Zeros'.
        groups: Parts of the channels that are convolved apart. Default: 1.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str | int | Sequence[int] = 'valid',
        dilation_rate: int | tuple[int, int] = 1,
        activation: str = 'linear',
        use_bias: bool = True,
        kernel_initializer: object = 'GlorotUniform',
        bias_initializer: object = 'Zeros',
        groups: int = 1,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class CosineDecay(Described):
    """Half a cosine down (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: First value. Default: 0.01.
        decay_steps: Steps to the end. Default: 1000.
        alpha: Last value as a fraction of the first. Default: 0.0.
    """

    def __init__(
        self,
        initial_learning_rate: float = 0.01,
        decay_steps: int = 1000,
        alpha: float = 0.0,
    ) -> None: ...

class Dense(RegisteredLayer):
    """Fully connected: y = act(x W + b).
    x: [N, ..., in] -> y: [N, ..., units]

    Args:
        units: Size of the last axis of the result.
        activation: Applied to the result. Default: 'linear'.
        use_bias: Add a trained number per unit. Default: True.
        kernel_initializer: First values of the weights [in, units]. Default: 'GlorotUniform'.
        bias_initializer: First values of the bias. Default: 'Zeros'.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
        input_dim: The same for samples of one size: `input_shape=(input_dim,)`.
    """

    def __init__(
        self,
        units: int,
        activation: str = 'linear',
        use_bias: bool = True,
        kernel_initializer: object = 'GlorotUniform',
        bias_initializer: object = 'Zeros',
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
    ) -> None: ...

class DepthwiseConv2D(RegisteredLayer):
    """Convolve each channel with filters of its own.
    x: [N, H, W, C] -> y: [N, P, Q, C * depth_multiplier]

    Args:
        kernel_size: The window: one number or (height, width).
        strides: Step of the window: one number or (height, width). Default: 1.
        padding: 'valid', 'same', or numbers. Default: 'valid'.
        dilation_rate: Distance of the window's elements. Default: 1.
        activation: Applied to the result. Default: 'linear'.
        use_bias: Add a trained number per filter. Default: True.
        kernel_initializer: First values of the filters. Default: 'GlorotUniform'.
        bias_initializer: First values of the bias. Default: 'Zeros'.
        depth_multiplier: Filters per channel. Default: 1.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str | int | Sequence[int] = 'valid',
        dilation_rate: int | tuple[int, int] = 1,
        activation: str = 'linear',
        use_bias: bool = True,
        kernel_initializer: object = 'GlorotUniform',
        bias_initializer: object = 'Zeros',
        depth_multiplier: int = 1,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Dropout(RegisteredLayer):
    """In training, set a part of the elements to 0 and enlarge the rest (Srivastava et al. 2014).
    x -> y of the same shape

    Args:
        rate: Part of the elements that is dropped.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        rate: float,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Flatten(_PlainLayer):
    """Make one row of each sample.
    x: [N, ...] -> y: [N, features]
    """

class GlobalAveragePool2D(RegisteredLayer):
    """The mean of each channel.
    x: [N, H, W, C] -> y: [N, C]

    Args:
        keepdims: Give [N, 1, 1, C]. Default: False.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        keepdims: bool = False,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class GlorotNormal(Described):
    """Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    def __init__(self) -> None: ...

class GlorotUniform(Described):
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    def __init__(self) -> None: ...

class HeNormal(Described):
    """Normal with variance 2 / fan_in (He et al. 2015)."""

    def __init__(self) -> None: ...

class HeUniform(Described):
    """Uniform with variance 2 / fan_in (He et al. 2015)."""

    def __init__(self) -> None: ...

class LecunNormal(Described):
    """Normal with variance 1 / fan_in (LeCun et al. 1998)."""

    def __init__(self) -> None: ...

class LecunUniform(Described):
    """Uniform with variance 1 / fan_in (LeCun et al. 1998)."""

    def __init__(self) -> None: ...

class MaxPool2D(RegisteredLayer):
    """The maximum of each window and channel.
    x: [N, H, W, C] -> y: [N, P, Q, C]

    Args:
        pool_size: The window: one number or (height, width). Default: 2.
        strides: Step of the window; None: the pool size. Default: None.
        padding: 'valid', 'same', or numbers. Default: 'valid'.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str | int | Sequence[int] = 'valid',
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class MeanSquaredError(Described):
    """Mean of squared differences."""

    def __init__(self) -> None: ...

class Multiply(_PlainLayer):
    """The product of several values."""

class OneCycle(Described):
    """Up, then down to almost 0 (Smith and Topin 2018).

    Args:
        max_learning_rate: Largest value. Default: 0.01.
        total_steps: Steps of the training. Default: 1000.
        warmup_fraction: Part of the steps that go up. Default: 0.3.
        start_divisor: The first value is max / this. Default: 25.0.
        end_divisor: The last value is the first / this. Default: 10000.0.
    """

    def __init__(
        self,
        max_learning_rate: float = 0.01,
        total_steps: int = 1000,
        warmup_fraction: float = 0.3,
        start_divisor: float = 25.0,
        end_divisor: float = 10000.0,
    ) -> None: ...

class Ones(Described):
    """All 1."""

    def __init__(self) -> None: ...

class RandomNormal(Described):
    """Normal numbers.

    Args:
        mean: Mean. Default: 0.0.
        stddev: Standard deviation. Default: 0.05.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05) -> None: ...

class RandomUniform(Described):
    """Uniform numbers.

    Args:
        minval: Least value. Default: -0.05.
        maxval: Largest value. Default: 0.05.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05) -> None: ...

class ReLU(RegisteredLayer):
    """max(x, 0), with an upper limit or a slope below 0.

    Args:
        max_value: 0: no limit; 6: relu6. Default: 0.0.
        negative_slope: Slope below 0 (leaky relu). Default: 0.0.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        max_value: float = 0.0,
        negative_slope: float = 0.0,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Rescale(RegisteredLayer):
    """y = x * scale + offset, for pixels of any number type.

    Args:
        scale: The factor: 1 / 255 for pixels.
        offset: Added afterwards. Default: 0.0.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        scale: float,
        offset: float = 0.0,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Reshape(RegisteredLayer):
    """Change the shape of each sample.

    Args:
        target_shape: Sizes without the batch; one may be -1.
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        target_shape: Sequence[int],
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class SGD(Described):
    """Stochastic gradient descent, with momentum (Polyak 1964).

    Args:
        learning_rate: A number, or a schedule of the step. Default: 0.01.
        momentum: Part of the last change that is kept. Default: 0.0.
        nesterov: Look ahead by the momentum (Nesterov 1983). Default: False.
        clipvalue: Limit of each element of a gradient; 0: none. Default: 0.0.
        global_clipnorm: Limit of the norm of all gradients together (Pascanu et al. 2013); 0:
            none. Default: 0.0.
        weight_decay: Part of the weights, times the learning rate, taken off at each step.
            Default: 0.0.
    """

    def __init__(
        self,
        learning_rate: object = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        clipvalue: float = 0.0,
        global_clipnorm: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None: ...

class Softmax(_PlainLayer):
    """exp(x) / sum of exp(x), over the last axis."""

class SparseCategoricalCrossentropy(Described):
    """Crossentropy of integer labels [N] and scores [N, classes].

    Args:
        from_logits: True: the output holds logits; False: probabilities; None: logits, and a
            softmax or sigmoid at the model's end is taken into the loss. Default: None.
        label_smoothing: Part of the target that goes to all classes alike (Szegedy et al.
            2016). Default: 0.0.
    """

    def __init__(self, from_logits: object | None = None, label_smoothing: float = 0.0) -> None: ...

class StepDecay(Described):
    """Multiply the learning rate by a factor at intervals.

    Args:
        initial_learning_rate: First value. Default: 0.01.
        decay_steps: Steps between changes. Default: 1000.
        decay_rate: The factor. Default: 0.1.
    """

    def __init__(
        self,
        initial_learning_rate: float = 0.01,
        decay_steps: int = 1000,
        decay_rate: float = 0.1,
    ) -> None: ...

class TopKAccuracy(Described):
    """Part of the samples whose label is among the k best scores.

    Args:
        k: How many scores count. Default: 5.
    """

    def __init__(self, k: int = 5) -> None: ...

class WarmUp(Described):
    """Grow linearly from 0 into another schedule.

    Args:
        schedule: The schedule (or number) that it follows. Default: 0.01.
        warmup_steps: Steps to grow. Default: 100.
    """

    def __init__(self, schedule: object = 0.01, warmup_steps: int = 100) -> None: ...

class ZeroPadding2D(RegisteredLayer):
    """Add rows and columns of zeros.
    x: [N, H, W, C] -> y: [N, H', W', C]

    Args:
        padding: One number, (vertical, horizontal) or (top, bottom, left, right). Default: [1,
            1, 1, 1].
        name: Path in the model. Default: given by it.
        input_shape: Sizes of one sample, in place of an `Input` before a model's first layer.
    """

    def __init__(
        self,
        padding: str | int | Sequence[int] = [1, 1, 1, 1],
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None: ...

class Zeros(Described):
    """All 0."""

    def __init__(self) -> None: ...

"""Models in Python: compile, fit, evaluate, predict, save, look inside."""

from __future__ import annotations

import time
import warnings

import numpy as np

from striate import _striate
from striate.errors import DTypeError, Error, ShapeError
from striate.listed import listed
from striate.ops import as_known_integers
from striate.registered import Input, RegisteredLayer

Tensor, Value = _striate.Tensor, _striate.Value


def _arrays(data, what):
    """Return the arrays of one or several inputs, as contiguous ones of a type we have."""
    made = []
    several = isinstance(data, (list, tuple)) and any(hasattr(item, "__array__") for item in data)
    for item in data if several else [data]:
        array = item.numpy() if isinstance(item, Tensor) else np.asarray(item)
        if array.dtype.kind not in "fuib":
            values = "None" if item is None else str(array.dtype)
            raise DTypeError(rule=f"{what} must hold numbers", values=values)
        if array.dtype in (np.float64, np.float16):
            array = array.astype(np.float32)
        array = as_known_integers(array)
        made.append(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
    return made


def _tensors(arrays):
    return [_striate.tensor_from_array(array) for array in arrays]


def _need_samples(arrays, what):
    counts = {len(a) if a.ndim else 0 for a in arrays}
    if len(counts) != 1 or 0 in counts:
        rule = "every array must have the same number of samples, at least one"
        values = f"{what} of {', '.join(str(a.shape) for a in arrays)}"
        raise ShapeError(rule=rule, values=values)
    return counts.pop()


def _function(given):
    """Return what the bindings take of a loss or metric: a name, a config, or a function."""
    if hasattr(given, "get_config"):
        return given.get_config()
    return getattr(given, "striate_name", given)


class TrainStep:
    """One training step as a function of a batch: forward, loss, gradient, update."""

    def __init__(self, model):
        self._handle = model._handle

    def __call__(self, x, y):
        """Train on one batch and return its loss, a tensor of rank 0.

        Raises:
            LabelError: A label outside the classes; its row is named and nothing has changed.
            NumericsError: The loss is not finite; the layer is named and no weight has changed.
        """
        loss, _ = self._handle.train_batch(_tensors(_arrays(x, "x")), _tensors(_arrays(y, "y")))
        return Tensor(np.float32(loss))


class Model:
    """A graph of layers with weights.

    Args:
        inputs: The input, or a list of inputs, made by `st.Input`.
        outputs: The output value, or a list of them.
        name: Name in summaries and files.

    Raises:
        ShapeError: When an output does not depend on these inputs alone, or two layers have the
            same name.

    >>> import striate as st
    >>> x = st.Input((28, 28, 1))
    >>> y = st.Dense(10)(st.Flatten()(x))
    >>> model = st.Model(x, y)
    >>> model.count_params()
    7850
    """

    def __init__(self, inputs, outputs, name="model"):
        self._adopt(_striate.Model(listed(inputs), listed(outputs), name))

    def _adopt(self, handle):
        self._handle = handle
        self._single = len(handle.outputs) == 1
        return self

    @classmethod
    def _wrap(cls, handle):
        return object.__new__(Model)._adopt(handle)

    # -- structure ---------------------------------------------------------------------------

    @property
    def name(self):
        """The model's name."""
        return self._handle.name

    @property
    def inputs(self):
        """The symbolic inputs."""
        return self._handle.inputs

    @property
    def outputs(self):
        """The symbolic outputs."""
        return self._handle.outputs

    @property
    def layers(self):
        """The layers in order of their first use."""
        return [RegisteredLayer._wrap(handle) for handle in self._handle.layers]

    def layer(self, path):
        """Return the layer of that path."""
        return RegisteredLayer._wrap(self._handle.layer(path))

    @property
    def weights(self):
        """All variables, named by `layer/weight`."""
        return self._handle.weights

    def get_weights(self):
        """Return copies of all variables' values as arrays, in order."""
        return [np.array(weight.value().numpy()) for weight in self.weights]

    def set_weights(self, values):
        """Set all variables from arrays in the order of `get_weights`.

        Args:
            values: One array per variable.

        Raises:
            ShapeError: When a value's shape or their number differs; nothing has changed then.
        """
        weights = self.weights
        if len(values) != len(weights):
            rule = f"the model has {len(weights)} weights"
            raise ShapeError(f"{rule}, got {len(values)}.", rule=rule, values=str(len(values)))
        arrays = [np.ascontiguousarray(value, dtype=np.float32) for value in values]
        for weight, array in zip(weights, arrays):
            if tuple(weight.shape) != array.shape:
                rule = f"the weight '{weight.path}' takes the shape {list(weight.shape)}"
                raise ShapeError(
                    f"{rule}, got {list(array.shape)}.", rule=rule, values=str(list(array.shape))
                )
        for weight, array in zip(weights, arrays):
            weight.assign(_striate.tensor_from_array(array))

    def count_params(self):
        """Return the number of parameters, trained or not."""
        return self._handle.count_params()

    def freeze(self, frozen=True):
        """Stop the training of all weights and statistics, or allow it with frozen=False."""
        self._handle.freeze(frozen)

    def replace_head(self, layer):
        """Return a model with the last layer replaced; the others are shared with this one."""
        return Model._wrap(self._handle.replace_head(layer._handle))

    def __call__(self, *inputs):
        """Apply the model as a layer: its layers and weights are shared."""
        if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
            inputs = inputs[0]
        outputs = self._handle.apply(list(inputs))
        return outputs[0] if len(outputs) == 1 else outputs

    # -- training ----------------------------------------------------------------------------

    def compile(
        self,
        optimizer="adam",
        loss=None,
        metrics=(),
        *,
        loss_weights=(),
        device="auto",
        precision="float32",
        check_numerics=False,
        deterministic=True,
        exact=False,
        tune=False,
        shards=1,
        accumulate=1,
        seed=None,
    ):
        """Say how the model is trained.

        Args:
            optimizer: A name ("adam") or an optimizer.
            loss: A name, a loss, or a function of symbolic (targets, output); a list for several
                outputs.
            metrics: The same for numbers to watch; of the first output.
            loss_weights: Factors of several losses.
            device: "auto", "cpu" or "cuda".
            precision: "float32"; others when the device computes in them.
            check_numerics: Look for NaN and infinity after every kernel (slow).
            deterministic: True: the same bits for the same build, thread count and kernel
                choices. "threads": for any thread count too, by kernels that allow it.
            exact: Only kernels as exact as direct sums (no Winograd with large tiles).
            tune: Measure the CPU's kernels of each layer instead of estimating. Another run may
                then choose others, whose results differ in their last bits; a checkpoint keeps
                the choice.
            shards: Equal parts of a batch whose gradients are summed by one fixed tree.
            accumulate: Parts again, one after the other; the same as more shards.
            seed: Of dropout; by default that of `st.seed`.

        Raises:
            ShapeError, DTypeError, DeviceError: For what does not exist or fit.
        """
        if deterministic not in (True, "threads"):
            rule = 'deterministic must be True or "threads": no kernel is quicker without'
            raise Error(f"{rule}, got {deterministic!r}.", rule=rule, values=repr(deterministic))
        if not isinstance(optimizer, _striate.Optimizer):
            config = optimizer.get_config() if hasattr(optimizer, "get_config") else optimizer
            optimizer = _striate.Optimizer(config)
        self._handle.compile(
            optimizer=optimizer,
            losses=[_function(item) for item in listed(loss)] if loss is not None else [],
            metrics=[_function(item) for item in listed(metrics)],
            loss_weights=[float(w) for w in loss_weights],
            device=device,
            precision=precision,
            check_numerics=check_numerics,
            exact=exact,
            same_for_threads=deterministic == "threads",
            tune=tune,
            shards=shards * accumulate,
            seed=_striate.current_seed() if seed is None else seed,
        )

    @property
    def optimizer(self):
        """The optimizer; `set_learning_rate` changes it between steps."""
        return self._handle.optimizer

    @property
    def step(self):
        """Training steps done."""
        return self._handle.step

    @property
    def metric_names(self):
        """The metrics' names, as the history has them."""
        return self._handle.metric_names

    def train_step(self, batch_size=None):
        """Return a function that trains on one batch and returns its loss.

        Args:
            batch_size: Plan for this size now, so that the first step is as quick as the others.
        """
        return TrainStep(self)

    def _results(self, prefix, sums, samples):
        names = ["loss", *self.metric_names]
        return {prefix + name: float(total / samples) for name, total in zip(names, sums)}

    def _run_epoch(self, batches, run, progress):
        sums, samples = 0.0, 0
        for x, y in batches:
            x, y = _arrays(x, "x"), _arrays(y, "y")
            loss, metrics = run(_tensors(x), _tensors(y), batches.indices)
            rows = len(x[0])
            sums = sums + rows * np.array([loss, *metrics])
            samples += rows
            if progress is not None:
                progress.update(1)
                if progress.n % 10 == 0 or progress.n == progress.total:
                    shown = self._results("", sums, samples)
                    progress.set_postfix({k: f"{v:.4f}" for k, v in shown.items()}, refresh=False)
        return sums, samples

    def fit(
        self,
        x,
        y=None,
        batch_size=32,
        epochs=1,
        validation_data=None,
        shuffle=True,
        seed=None,
        verbose=True,
        callbacks=(),
        initial_epoch=0,
    ):
        """Train for some epochs and return a `History`.

        Args:
            x: Inputs [N, ...] (a list for several), or a `st.data.Batches`.
            y: Targets [N, ...].
            batch_size: Samples in a step; a last smaller batch is trained on too.
            epochs: How often to go through the data.
            validation_data: (x, y), evaluated after each epoch.
            shuffle: Draw a new order each epoch, from the seed and the epoch alone.
            seed: Of the order; by default that of `st.seed`.
            verbose: Show a progress bar.
            callbacks: Functions called after each epoch with (model, history).
            initial_epoch: Epochs done before, when training goes on.

        Raises:
            ShapeError: For empty data or counts that differ. LabelError, NumericsError: See
            `train_step`; the sample is named by its number in the data.
        """
        from striate.data import Batches
        from striate.history import History

        if isinstance(x, Batches):
            batches = x
        else:
            arrays, targets = _arrays(x, "x"), _arrays(y, "y")
            _need_samples(arrays + targets, "x and y")
            seed = _striate.current_seed() if seed is None else seed
            one = arrays[0] if len(arrays) == 1 else arrays
            two = targets[0] if len(targets) == 1 else targets
            batches = Batches(one, two, batch_size, shuffle=shuffle, seed=seed, reuse=True)
            batches.restore({"epoch": initial_epoch, "position": 0})
        history = History()
        for epoch in range(initial_epoch, initial_epoch + epochs):
            start = time.perf_counter()
            text = f"epoch {epoch + 1}/{initial_epoch + epochs}"
            bar = self._progress(verbose, len(batches), text)
            try:
                sums, samples = self._run_epoch(batches, self._handle.train_batch, bar)
                row = self._results("", sums, samples)
                if validation_data is not None:
                    row.update(self._evaluate(*validation_data, batch_size, "val_"))
                if bar is not None:
                    bar.set_postfix({k: f"{v:.4f}" for k, v in row.items()})
            finally:
                if bar is not None:
                    bar.close()
            history.append(epoch=epoch + 1, **row, seconds=time.perf_counter() - start)
            for callback in callbacks:
                callback(self, history)
        return history

    @staticmethod
    def _progress(verbose, total, text):
        if not verbose:
            return None
        from tqdm.auto import tqdm

        return tqdm(total=total, desc=text, unit="step")

    def _evaluate(self, x, y, batch_size, prefix):
        from striate.data import Batches

        arrays, targets = _arrays(x, "x"), _arrays(y, "y")
        _need_samples(arrays + targets, "x and y")
        one = arrays[0] if len(arrays) == 1 else arrays
        two = targets[0] if len(targets) == 1 else targets
        batches = Batches(one, two, batch_size, shuffle=False, reuse=True)
        sums, samples = self._run_epoch(batches, self._handle.test_batch, None)
        return self._results(prefix, sums, samples)

    def evaluate(self, x, y, batch_size=256):
        """Return {loss, metrics} over a data set, without training.

        Args:
            x: Inputs [N, ...], or a list of them.
            y: Targets [N, ...].
            batch_size: Samples at a time; the results do not depend on it but for rounding.

        Raises:
            ShapeError: For empty data or counts that differ. LabelError: See `train_step`.
        """
        return self._evaluate(x, y, batch_size, "")

    def predict(self, x, batch_size=256):
        """Return the outputs for x as an array (a list of arrays for several outputs).

        Args:
            x: Inputs [N, ...], or a list of them.
            batch_size: Samples at a time.

        Raises:
            ShapeError: For empty data, or data that does not fit the inputs.
        """
        arrays = _arrays(x, "x")
        samples = _need_samples(arrays, "x")
        if batch_size < 1:
            raise ShapeError(rule="batch_size must be at least 1", values=str(batch_size))
        results = None
        for first in range(0, samples, batch_size):
            part = [np.ascontiguousarray(array[first : first + batch_size]) for array in arrays]
            outputs = [tensor.numpy() for tensor in self._handle.predict_batch(_tensors(part))]
            if results is None:
                results = [np.empty((samples, *o.shape[1:]), o.dtype) for o in outputs]
            for result, output in zip(results, outputs):
                result[first : first + batch_size] = output
        return results[0] if self._single else results

    # -- looking inside ----------------------------------------------------------------------

    def _batch_types(self, batch_size):
        return [
            ([batch_size if d is None else d for d in value.shape], value.dtype)
            for value in self.inputs
        ]

    def _target_types(self, batch_size, purpose):
        return [] if purpose == "predict" else self._handle.target_types(batch_size)

    def summary(self, as_dict=False, batch_size=32):
        """Print shapes, parameters, bytes and multiply-adds of each layer.

        Of convolutions it says how they are computed, such as by Winograd's F(4x4,3x3): in the
        program that trained last, else in a prediction of `batch_size` samples. `explain` says why.

        Args:
            as_dict: Return them instead.
            batch_size: Samples of the prediction.
        """
        from striate.summary import Summary

        summary = Summary(self._handle.summary(batch_size))
        if as_dict:
            return summary.data
        print(summary)
        return None

    def _repr_html_(self):
        from striate.summary import Summary

        return Summary(self._handle.summary(32))._repr_html_()

    def explain(self, batch_size=32, purpose="predict"):
        """Return, for each kernel of a program, its layer, its entry, why, and who declined.

        Args:
            batch_size: The program's batch size.
            purpose: "predict", "train" or "test".
        """
        types = self._batch_types(batch_size)
        targets = self._target_types(batch_size, purpose)
        return self._handle.explain(purpose, types, targets)

    def profile(self, x, y=None, rounds=5):
        """Return what `explain` returns for a batch, with `microseconds`: the shortest run of each.

        Args:
            x: The inputs of one batch.
            y: Its targets; given, whole training steps are run, at a learning rate of 0.
            rounds: How often the program is run.
        """
        purpose, targets = ("predict", []) if y is None else ("train", _arrays(y, "y"))
        arrays = _tensors(_arrays(x, "x"))
        return self._handle.profile(purpose, arrays, _tensors(targets), rounds)

    def memory(self, batch_size=32, purpose="predict"):
        """Return the bytes of a program: {planned, used, weights, ...}; nothing is run.

        Args:
            batch_size: The program's batch size.
            purpose: "predict", or "train" for a model with a sparse crossentropy loss.
        """
        types = self._batch_types(batch_size)
        targets = self._target_types(batch_size, purpose)
        return self._handle.program_memory(purpose, types, targets)

    def graph_nodes(self, batch_size=32, purpose="predict"):
        """Return how many kernels and copies the graph is that a GPU is given as one piece.

        It is 0 on the CPU, and before a batch of this size has been run.

        Args:
            batch_size: The program's batch size.
            purpose: "predict" or "train".
        """
        types = self._batch_types(batch_size)
        return self._handle.graph_nodes(purpose, types, self._target_types(batch_size, purpose))

    def max_batch(self, bytes, purpose="predict"):  # noqa: A002
        """Return the largest batch size whose program needs at most so many bytes.

        Args:
            bytes: The limit.
            purpose: "predict", or "train" for a model with a sparse crossentropy loss.

        Raises:
            Error: When not even one sample fits.
        """
        def needed(batch):
            memory = self.memory(batch, purpose)
            return memory["planned"] + memory["weights"] + memory["state"] + memory["persistent"]

        if needed(1) > bytes:
            rule = f"one sample needs {needed(1)} bytes"
            raise Error(f"{rule}, got {bytes}.", rule=rule, values=str(bytes))
        low, high = 1, 2
        while high < 1 << 20 and needed(high) <= bytes:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if needed(middle) <= bytes else (low, middle)
        return low

    # -- files -------------------------------------------------------------------------------

    def save(self, file, checkpoint=False):
        """Write weights and graph to one safetensors file, atomically.

        Args:
            file: Its path.
            checkpoint: Add the optimizer's state, the losses and the step, to train on later.

        Raises:
            FileError: When it cannot be written; an old file is as it was.
        """
        self._handle.save(str(file), checkpoint)

    def load_weights(self, file, partial=False):
        """Set weights by name from a safetensors file.

        Args:
            file: Its path.
            partial: Take those that fit, instead of refusing a file that does not fit wholly.

        Returns:
            {loaded, missing, unexpected, wrong_shape}: lists of names.
        """
        return self._handle.load_weights(str(file), partial)

    def __repr__(self):
        return f"<striate.Model '{self.name}': {self.count_params():,} parameters>"


class Sequential(Model):
    """Layers one after another; the first is `st.Input(shape)`, or has an `input_shape`.

    Args:
        layers: The layers.
        name: Name in summaries and files.

    Raises:
        ShapeError: When the input's shape is not given, or layers do not fit together.

    >>> import striate as st
    >>> model = st.Sequential([st.Input((4,)), st.Dense(3, activation="relu"), st.Dense(1)])
    >>> model.count_params()
    19
    """

    def __init__(self, layers, name="sequential"):
        layers = list(layers)
        if layers and getattr(layers[0], "_input_shape", None) is not None:
            layers.insert(0, Input(layers[0]._input_shape))
        if not layers or not isinstance(layers[0], Value):
            rule = "Sequential begins with an Input"
            values = type(layers[0]).__name__ if layers else "no layers"
            raise ShapeError(
                f"{rule}, got {values}. Put st.Input(shape) first.", rule=rule, values=values
            )
        # Names are given before the layers are applied, so that errors can say which one it was.
        _striate.name_layers([x._handle for x in layers if isinstance(x, RegisteredLayer)])
        x = layers[0]
        for layer in layers[1:]:
            x = layer(x)
        super().__init__(layers[0], x, name)


def load(file):
    """Read a model that `save` wrote.

    A checkpoint's kernels are chosen again where they still can be. What is otherwise than when it
    was written, such as the number of threads, is said by a warning.

    Raises:
        FileError: For a file that is absent, damaged, or holds no model.
    """
    handle = _striate.Model.load(str(file))
    for difference in handle.resume_differences:
        text = f"training on from {file} will not give the same bits: {difference}"
        warnings.warn(text, stacklevel=2)
    return Model._wrap(handle)

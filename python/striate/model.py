"""Models in Python: compile, fit, evaluate, predict, save, look inside."""

from __future__ import annotations

import math
import os
import threading
import time

import numpy as np

from striate import _striate
from striate.arguments import (
    as_array,
    file_path,
    flag,
    one_of,
    real_number,
    seed_number,
    shown,
    text,
    whole_number,
)
from striate.epoch import run_epoch
from striate.errors import DTypeError, Error, ShapeError
from striate.feeding import Feed, need_samples, one_or_list, split, tensors
from striate.listed import listed
from striate.operators import refuse_copies
from striate.program import as_optimizer, need_values
from striate.registered import RegisteredLayer

Tensor = _striate.Tensor


def _function(given, what):
    """Return what the bindings take of a loss or metric: a name, a config, or a function."""
    if isinstance(given, type) and hasattr(given, "get_config"):
        raise DTypeError(
            rule=f"{what} is made from its class", values=shown(given),
            fix=f"Write st.{given.__name__}()",
        )  # fmt: skip
    if hasattr(given, "get_config"):
        return given.get_config()
    if isinstance(given, str) or callable(given) or (isinstance(given, dict) and "type" in given):
        return getattr(given, "striate_name", given)
    rule = f"{what} is a name, one of striate's, or a function of symbolic (targets, output)"
    raise DTypeError(rule=rule, values=shown(given))


class TrainStep:
    """One training step as a function of a batch: forward, loss, gradient, update."""

    def __init__(self, model):
        self._model = model

    def __repr__(self):
        return f"<striate.TrainStep of {self._model!r}>"

    def __call__(self, x, y):
        """Train on one batch and return its loss, a tensor of rank 0.

        Raises:
            LabelError: A label outside the classes; its row is named and nothing has changed.
            NumericsError: The loss is not finite; the layer is named and no weight has changed.
        """
        model = self._model
        loss, _ = model._run(model._handle.train_batch, x, y)
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
        rule = "a model is made of symbolic inputs and outputs"
        inputs, outputs = need_values(inputs, rule), need_values(outputs, rule)
        self._adopt(_striate.Model(inputs, outputs, text(name, "a model's name")))

    def _adopt(self, handle):
        self._handle = handle
        self._feed = Feed(handle)
        self._single = len(handle.outputs) == 1
        self._one_at_a_time = threading.RLock()  # programs share memory
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
        return RegisteredLayer._wrap(self._handle.layer(text(path, "a layer's path")))

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
        if not isinstance(values, (list, tuple)) or len(values) != len(weights):
            several = isinstance(values, (list, tuple))
            raise ShapeError(
                rule=f"the model has {len(weights)} weights",
                values=str(len(values)) if several else shown(values),
            )
        arrays = [as_array(value, "a weight").astype(np.float32) for value in values]
        for weight, array in zip(weights, arrays):
            if tuple(weight.shape) != array.shape:
                rule = f"the weight '{weight.path}' takes the shape {list(weight.shape)}"
                raise ShapeError(rule=rule, values=str(list(array.shape)))
        for weight, array in zip(weights, arrays):
            weight.assign(array)

    def count_params(self):
        """Return the number of parameters, trained or not."""
        return self._handle.count_params()

    def freeze(self, frozen=True):
        """Stop the training of all weights and statistics, or allow it with frozen=False."""
        self._handle.freeze(flag(frozen, "frozen"))

    def replace_head(self, layer):
        """Return a model with the last layer replaced; the others are shared with this one."""
        if not isinstance(layer, RegisteredLayer):
            raise DTypeError(rule="a head is a layer, such as st.Dense(10)", values=shown(layer))
        return Model._wrap(self._handle.replace_head(layer._handle))

    def __call__(self, *inputs):
        """Apply the model as a layer: its layers and weights are shared."""
        if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
            inputs = inputs[0]
        rule, fix = "a model is applied as a layer to symbolic values", "predict(x) takes arrays"
        outputs = self._handle.apply(need_values(list(inputs), rule, fix))
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
            precision: "float32". On CUDA devices also "tf32", whose products cut off their factors
                10 bits after the point, and "bfloat16", mixed precision: products and what follows
                them in 16 bits; weights, statistics, softmax and losses in float32.
            check_numerics: Look for NaN and infinity after every kernel (slow). All gradients then
                lie in memory, which may change a step's last bits.
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
            raise Error(rule=rule, values=repr(deterministic))
        losses = [] if loss is None else [_function(item, "a loss") for item in listed(loss)]
        shards = whole_number(shards, "shards", 1, 4096)
        accumulate = whole_number(accumulate, "accumulate", 1, 4096)
        self._handle.compile(
            optimizer=as_optimizer(optimizer),
            losses=losses,
            metrics=[_function(item, "a metric") for item in listed(metrics)],
            loss_weights=[real_number(w, "a weight of a loss") for w in listed(loss_weights)],
            device=text(device, "device"),
            precision=text(precision, "precision"),
            check_numerics=flag(check_numerics, "check_numerics"),
            exact=flag(exact, "exact"),
            same_for_threads=deterministic == "threads",
            tune=flag(tune, "tune"),
            shards=shards * accumulate,
            seed=_striate.current_seed() if seed is None else seed_number(seed, "seed"),
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
            batch_size: Plan for this size now, for inputs of their own type and the targets that
                the loss asks for, so that the first step is as quick as the others.

        Raises:
            Error: When the model is not compiled.
        """
        if batch_size is None:
            self._handle.target_types(1)  # refuses a model that is not compiled
        else:
            self._handle.plan(*self._program(batch_size, "train"))
        return TrainStep(self)

    def _run(self, step, x, y):
        x, y = self._feed.inputs(x), self._feed.targets(y)
        with self._one_at_a_time:
            return step(tensors(x), tensors(y))

    def _results(self, prefix, sums, samples):
        names = ["loss", *self.metric_names]
        return {prefix + name: float(total / samples) for name, total in zip(names, sums)}

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
        validation_split=0.0,
    ):
        """Train for some epochs and return a `History`.

        Args:
            x: Inputs [N, ...] (a list for several, or a dict by name), or a `st.data.Batches`.
            y: Targets [N, ...].
            batch_size: Samples in a step; a last smaller batch is trained on too.
            epochs: How often to go through the data.
            validation_data: (x, y) or a `st.data.Batches`, evaluated after each epoch.
            shuffle: Draw a new order each epoch, from the seed and the epoch alone.
            seed: Of the order; by default that of `st.seed`.
            verbose: Show a progress bar.
            callbacks: Functions called after each epoch with (model, history).
            initial_epoch: Epochs done before, when training goes on.
            validation_split: Part of the samples, the last ones, to evaluate instead of training
                on them.

        Raises:
            ShapeError: For empty data or counts that differ. LabelError, NumericsError: See
            `train_step`; the sample is named by its number in the data.
        """
        from striate.data import Batches
        from striate.history import History

        epochs = whole_number(epochs, "epochs", 0)
        initial_epoch = whole_number(initial_epoch, "initial_epoch", 0)
        callbacks = listed(callbacks)
        for callback in callbacks:
            if not callable(callback):
                rule = "a callback is a function of (model, history)"
                raise DTypeError(rule=rule, values=shown(callback))
        if isinstance(x, Batches):
            batches = self._batches(x, y, batch_size)
            if validation_split:
                rule, fix = "a Batches is not split", "Pass validation_data"
                raise DTypeError(rule=rule, values=f"validation_split={validation_split}", fix=fix)
        else:
            x, y = self._feed.inputs(x), self._feed.targets(y)
            if validation_split:
                if validation_data is not None:
                    rule = "either validation_data or validation_split is given"
                    raise ShapeError(rule=rule, values="both")
                x, y, validation_data = split(x, y, validation_split)
            batches = self._batches(x, y, batch_size, shuffle=flag(shuffle, "shuffle"), seed=seed)
            batches.restore({"epoch": initial_epoch, "position": 0})
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, batch_size)
        history = History()
        for epoch in range(initial_epoch, initial_epoch + epochs):
            start = time.perf_counter()
            text = f"epoch {epoch + 1}/{initial_epoch + epochs}"
            bar = self._progress(verbose, len(batches), text)
            try:
                sums, samples = run_epoch(self, batches, self._handle.train_batch, bar)
                row = self._results("", sums, samples)
                if validation is not None:
                    sums, samples = run_epoch(self, validation, self._handle.test_batch)
                    row.update(self._results("val_", sums, samples))
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

    def _batches(self, x, y, batch_size, shuffle=False, seed=None):
        """Return the batches of a data set, or those that the user made of it."""
        from striate.data import Batches

        if isinstance(x, Batches):
            if y is not None or not x.has_targets:
                rule = "a Batches holds x and y both"
                values = f"{x!r} and y" if y is not None else "one of x alone"
                raise DTypeError(rule=rule, values=values)
            return x
        arrays, targets = self._feed.inputs(x), self._feed.targets(y)
        need_samples(arrays + targets, "x and y")
        seed = _striate.current_seed() if seed is None else seed
        x, y = one_or_list(arrays), one_or_list(targets)
        return Batches(x, y, batch_size, shuffle=shuffle, seed=seed, reuse=True)

    def _validation(self, data, batch_size):
        from striate.data import Batches

        if isinstance(data, Batches):
            return self._batches(data, None, batch_size)
        if not isinstance(data, (list, tuple)) or len(data) != 2:
            rule = "validation_data is (x, y) or a st.data.Batches"
            raise DTypeError(rule=rule, values=shown(data))
        return self._batches(*data, batch_size)

    def evaluate(self, x, y=None, batch_size=256):
        """Return {loss, metrics} over a data set, without training.

        Args:
            x: Inputs [N, ...] (a list for several, or a dict by name), or a `st.data.Batches`.
            y: Targets [N, ...].
            batch_size: Samples at a time; the results do not depend on it but for rounding.

        Raises:
            ShapeError: For empty data or counts that differ. LabelError: See `train_step`.
        """
        batches = self._batches(x, y, batch_size)
        return self._results("", *run_epoch(self, batches, self._handle.test_batch))

    def predict(self, x, batch_size=256):
        """Return the outputs for x as an array (a list of arrays for several outputs).

        Args:
            x: Inputs [N, ...], or a list or dict of them.
            batch_size: Samples at a time.

        Raises:
            ShapeError: For empty data, or data that does not fit the inputs.
        """
        arrays = self._feed.inputs(x)
        samples = need_samples(arrays, "x")
        batch_size = whole_number(batch_size, "batch_size", 1)
        results = None
        for first in range(0, samples, batch_size):
            part = [np.ascontiguousarray(array[first : first + batch_size]) for array in arrays]
            with self._one_at_a_time:
                outputs = [tensor.numpy() for tensor in self._handle.predict_batch(tensors(part))]
            if results is None:
                results = [np.empty((samples, *o.shape[1:]), o.dtype) for o in outputs]
            for result, output in zip(results, outputs):
                result[first : first + batch_size] = output
        return results[0] if self._single else results

    # -- looking inside ----------------------------------------------------------------------

    def _batch_types(self, batch_size):
        batch_size = whole_number(batch_size, "batch_size", 1, 2**31 - 1)
        return [
            ([batch_size if d is None else d for d in value.shape], value.dtype)
            for value in self.inputs
        ]

    def _program(self, batch_size, purpose):
        """Return what names a program to the bindings: its purpose and types."""
        one_of(purpose, "purpose", ("predict", "train", "test"))
        types = self._batch_types(batch_size)
        return purpose, types, [] if purpose == "predict" else self._handle.target_types(batch_size)

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
        return self._handle.explain(*self._program(batch_size, purpose))

    def profile(self, x, y=None, rounds=5):
        """Return what `explain` returns for a batch, with `microseconds`: the shortest run of each.

        Args:
            x: The inputs of one batch.
            y: Its targets; given, whole training steps are run, at a learning rate of 0: weights
                stay, but moments and moving statistics go on.
            rounds: How often the program is run.
        """
        purpose, targets = ("predict", []) if y is None else ("train", self._feed.targets(y))
        arrays = tensors(self._feed.inputs(x))
        rounds = whole_number(rounds, "rounds", 1, 2**31 - 1)
        with self._one_at_a_time:
            return self._handle.profile(purpose, arrays, tensors(targets), rounds)

    def memory(self, batch_size=32, purpose="predict"):
        """Return the bytes of a program: {planned, used, weights, ...}; nothing is run.

        Args:
            batch_size: The program's batch size.
            purpose: "predict", or "train" for a model with a sparse crossentropy loss.
        """
        return self._handle.program_memory(*self._program(batch_size, purpose))

    def graph_nodes(self, batch_size=32, purpose="predict"):
        """Return how many kernels and copies the graph is that a GPU is given as one piece.

        It is 0 on the CPU, and before a batch of this size has been run.

        Args:
            batch_size: The program's batch size.
            purpose: "predict" or "train".
        """
        return self._handle.graph_nodes(*self._program(batch_size, purpose))

    def max_batch(self, bytes, purpose="predict"):  # noqa: A002
        """Return the largest batch size whose program needs at most so many bytes.

        Args:
            bytes: The limit.
            purpose: "predict", or "train" for a model with a sparse crossentropy loss.

        Raises:
            Error: When not even one sample fits.
        """
        bytes = whole_number(bytes, "bytes")  # noqa: A001

        def needed(batch):
            try:
                memory = self.memory(batch, purpose)
            except ShapeError:  # more than a program may have
                return math.inf
            return memory["planned"] + memory["weights"] + memory["state"] + memory["persistent"]

        if needed(1) > bytes:
            raise Error(rule=f"one sample needs {needed(1)} bytes", values=str(bytes))
        low, high = 1, 2
        while needed(high) <= bytes:
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
        self._handle.save(os.fsencode(file_path(file)), flag(checkpoint, "checkpoint"))

    def load_weights(self, file, partial=False):
        """Set weights by name from a safetensors file.

        Args:
            file: Its path.
            partial: Take those that fit, instead of refusing a file that does not fit wholly.

        Returns:
            {loaded, missing, unexpected, wrong_shape}: lists of names.
        """
        return self._handle.load_weights(os.fsencode(file_path(file)), flag(partial, "partial"))

    def __repr__(self):
        return f"<striate.Model '{self.name}': {self.count_params():,} parameters>"


refuse_copies(Model, "get_weights() copies the weights, save(file) keeps the whole model")

"""Programs and gradients of symbolic values, for training that is not `fit`."""

from __future__ import annotations

import threading

from striate import _striate, ops
from striate.arguments import shown
from striate.errors import DTypeError
from striate.listed import listed
from striate.operators import refuse_copies


def need_values(given, rule, fix="st.Input(shape) begins a graph"):
    """Return a list of symbolic values; others are refused, with the rule."""
    values = listed(given)
    for value in values:
        if not isinstance(value, _striate.Value):
            raise DTypeError(rule=rule, values=shown(value), fix=fix)
    return values


def as_optimizer(given):
    """Return the optimizer that a name, a description or an optimizer means."""
    if isinstance(given, _striate.Optimizer):
        return given
    if isinstance(given, type):
        fix = f"Write st.{given.__name__}()"
        raise DTypeError(rule="an optimizer is made from its class", values=shown(given), fix=fix)
    if not isinstance(given, (str, dict)) and not hasattr(given, "get_config"):
        rule = 'an optimizer is a name such as "adam", or made as st.Adam(1e-3)'
        raise DTypeError(rule=rule, values=shown(given))
    return _striate.Optimizer(given.get_config() if hasattr(given, "get_config") else given)


def grad(output, wrt):
    """Return the gradient of a symbolic value (its sum) with respect to others.

    Args:
        output: A symbolic value.
        wrt: A symbolic value or variable, or a list of them.

    >>> import striate as st
    >>> x = st.Input((3,))
    >>> g = st.grad(st.ops.square(x), x)
    >>> g.shape
    (None, 3)
    """
    values = [w.symbol() if isinstance(w, _striate.Variable) else w for w in listed(wrt)]
    rule = "gradients are of a symbolic value, by symbolic values or variables"
    (output,), values = need_values([output], rule), need_values(values, rule)
    results = _striate.gradient(output, values)
    return results if isinstance(wrt, (list, tuple)) else results[0]


class Program:
    """A compiled graph: call it with one array per input.

    Args:
        inputs: Symbolic inputs.
        outputs: Symbolic values to return.
        updates: [(optimizer, loss, weights)]: each lessens its loss by changing its weights.
        training: Whether dropout and batch normalisation train; by default when there are updates.
    """

    def __init__(self, inputs, outputs, updates=(), training=None):
        made = []
        for update in updates:
            if not isinstance(update, (list, tuple)) or len(update) != 3:
                rule = "an update is (optimizer, loss, weights)"
                raise DTypeError(rule=rule, values=shown(update))
            optimizer, loss, weights = update
            weights = listed(weights)
            for weight in weights:
                if not isinstance(weight, _striate.Variable):
                    rule = "an update changes variables, such as layer.weights"
                    raise DTypeError(rule=rule, values=shown(weight))
            (loss,) = need_values([loss], "an update lessens a symbolic loss")
            made.append((as_optimizer(optimizer), loss, weights))
        rule = "a program is made of symbolic inputs and outputs"
        inputs, self._single = need_values(inputs, rule), not isinstance(outputs, (list, tuple))
        self._handle = _striate.Program(inputs, need_values(outputs, rule), made, training)
        self._inputs = len(inputs)
        self._one_at_a_time = threading.Lock()  # a program's runs share memory

    def __repr__(self):
        return f"<striate.Program of {self._inputs} inputs>"

    def __call__(self, *inputs):
        """Run once; return the outputs as tensors."""
        tensors = [ops.as_tensor(x) for x in inputs]
        with self._one_at_a_time:
            outputs = self._handle.run(tensors)
        return outputs[0] if self._single else outputs

    @property
    def memory(self):
        """Bytes of the last plan: {planned, used, weights, state, gradients, persistent}."""
        return self._handle.memory

    @property
    def plan_seconds(self):
        """Seconds that the last plan took."""
        return self._handle.plan_seconds

    @property
    def gradients(self):
        """Places of the weights' gradients in their one region: [{weight, offset, bytes}].

        Large dense weights that are updated where their gradient is made have none.
        """
        return self._handle.gradients

    def explain(self):
        """Return, for each kernel, its layer, its entry, why, and who declined."""
        return self._handle.explain()


refuse_copies(Program, "Make another of the same graph")

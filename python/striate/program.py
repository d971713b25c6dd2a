"""Programs and gradients of symbolic values, for training that is not `fit`."""

from __future__ import annotations

from striate import _striate, ops
from striate.listed import listed


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
        for optimizer, loss, weights in updates:
            if not isinstance(optimizer, _striate.Optimizer):
                config = optimizer.get_config() if hasattr(optimizer, "get_config") else optimizer
                optimizer = _striate.Optimizer(config)
            made.append((optimizer, loss, list(weights)))
        self._handle = _striate.Program(listed(inputs), listed(outputs), made, training)
        self._single = not isinstance(outputs, (list, tuple))

    def __call__(self, *inputs):
        """Run once; return the outputs as tensors."""
        outputs = self._handle.run([ops.as_tensor(x) for x in inputs])
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
        """Places of the weights' gradients in their one region: [{weight, offset, bytes}]."""
        return self._handle.gradients

    def explain(self):
        """Return, for each kernel, its layer, its entry, why, and who declined."""
        return self._handle.explain()

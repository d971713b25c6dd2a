"""Classes made from the C++ registrations: layers, optimizers, schedules, losses, initializers."""

from __future__ import annotations

import inspect

from striate import _striate
from striate.errors import ShapeError

Value = _striate.Value


# What Python's classes take besides the options: name, type, doc.
_NAME = ("name", "str", "Path in the model. Default: given by it.")
_SHAPE = (
    "input_shape",
    "Sequence[int]",
    "Sizes of one sample, in place of an `Input` before a model's first layer.",
)
_DIM = ("input_dim", "int", "The same for samples of one size: `input_shape=(input_dim,)`.")


def _extra(type_name):
    return (_NAME, _SHAPE, _DIM) if type_name == "Dense" else (_NAME, _SHAPE)


def _signature(fields, extra=()):
    """Required fields may be given by place; all can be given by name."""
    parameters = []
    for field in sorted(fields, key=lambda f: not f["required"]):
        default = inspect.Parameter.empty if field["required"] else field["default"]
        parameters.append(
            inspect.Parameter(
                field["name"],
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default,
                annotation=field["type"],
            )
        )
    for name, kind, _ in extra:
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        )
    return inspect.Signature(parameters)


def _doc(schema, extra=()):
    lines = [schema["doc"], ""]
    if schema["fields"] or extra:
        lines.append("Args:")
    for field in sorted(schema["fields"], key=lambda f: not f["required"]):
        default = "" if field["required"] else f" Default: {field['default']!r}."
        lines.append(f"    {field['name']}: {field['doc']}{default}")
    lines += [f"    {name}: {doc}" for name, _, doc in extra]
    return "\n".join(lines)


def options_of(schema, signature, args, kwargs):
    """Bind arguments to a schema's fields; those left out stay out."""
    bound = signature.bind(*args, **kwargs)
    return {name: value for name, value in bound.arguments.items()}


def _repr(type_name, config):
    inner = ", ".join(f"{key}={value!r}" for key, value in config.items())
    return f"{type_name}({inner})"


class Described:
    """Base of optimizers, schedules, losses, metrics and initializers: a type and its options."""

    _schema: dict = {}

    def __init__(self, *args, **kwargs):
        self._options = options_of(self._schema, self.__signature__, args, kwargs)

    def get_config(self):
        """Return {"type": name, options given}."""
        return {"type": self._schema["name"], **self._options}

    def __repr__(self):
        return _repr(self._schema["name"], self._options)


def described_classes(schemas, module):
    """Make one class for each schema, as if it were written in `module`."""
    made = {}
    for schema in schemas:
        made[schema["name"]] = type(
            schema["name"],
            (Described,),
            {
                "__doc__": _doc(schema),
                "__module__": module,
                "__signature__": _signature(schema["fields"]),
                "_schema": schema,
            },
        )
    return made


def scope_name(layer):
    """Return the path prefix of a composed layer."""
    return layer.name


class Layer:
    """A layer. Subclass it to compose others: make them in `__init__`, use them in `call`.

    >>> import striate as st
    >>> class Block(st.Layer):
    ...     def __init__(self, filters, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.conv = st.Conv2D(filters, 3, padding="same", activation="relu")
    ...         self.norm = st.BatchNormalization()
    ...     def call(self, x):
    ...         return self.norm(self.conv(x))
    >>> x = st.Input((8, 8, 3))
    >>> Block(4, name="block")(x).shape
    (None, 8, 8, 4)
    """

    _counts: dict = {}

    def __init__(self, name=None):
        if name is None:
            kind = type(self).__name__.lower()
            count = Layer._counts.get(kind, 0)
            Layer._counts[kind] = count + 1
            name = kind if count == 0 else f"{kind}_{count}"
        self.name = name

    def call(self, *inputs):
        """Return the outputs for symbolic inputs."""
        raise TypeError(f"{type(self).__name__} must define call(self, x)")

    def __call__(self, *inputs):
        scope = _striate.PathScope(scope_name(self))
        try:
            return self.call(*inputs)
        finally:
            scope.close()

    def _parts(self):
        for value in vars(self).values():
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Layer):
                    yield part

    @property
    def weights(self):
        """The variables of all layers inside, in order."""
        return [weight for part in self._parts() for weight in part.weights]

    def freeze(self, frozen=True):
        """Stop the training of all weights and statistics inside, or allow it: frozen=False."""
        for part in self._parts():
            part.freeze(frozen)


class RegisteredLayer(Layer):
    """A layer whose rules are in C++."""

    _schema: dict = {}
    _input_shape = None

    def __init__(self, *args, name=None, input_shape=None, **kwargs):
        options = options_of(self._schema, self.__signature__, args, kwargs)
        input_dim = options.pop("input_dim", None)
        if input_dim is not None:
            input_shape = (input_dim,) if input_shape is None else input_shape
        self._input_shape = None if input_shape is None else tuple(input_shape)
        self._handle = _striate.Layer(self._schema["name"], options, name or "")

    @classmethod
    def _wrap(cls, handle):
        made = object.__new__(layer_classes[handle.type])
        made._handle = handle
        return made

    def __call__(self, *inputs):
        if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
            inputs = inputs[0]
        if self._input_shape is not None:
            self._check(inputs)
        outputs = self._handle(list(inputs))
        return outputs[0] if len(outputs) == 1 else outputs

    def _check(self, inputs):
        for given in inputs:
            if tuple(given.shape[1:]) != self._input_shape:
                raise ShapeError(
                    layer=f'{self._schema["name"]} "{self.name}"',
                    rule=f"it was made for the input_shape {list(self._input_shape)}",
                    values=f"samples of {list(given.shape[1:])}",
                    fix="Only a model's first layer needs an input_shape",
                )

    @property
    def name(self):
        """The path in its model."""
        return self._handle.path

    @property
    def weights(self):
        """The variables, in order; made when the layer is first applied."""
        return self._handle.weights

    def get_config(self):
        """Return the options that differ from the defaults."""
        return self._handle.config()

    def freeze(self, frozen=True):
        """Stop the training of its weights and statistics, or allow it with frozen=False."""
        self._handle.freeze(frozen)

    def __eq__(self, other):
        return isinstance(other, RegisteredLayer) and self._handle == other._handle

    def __hash__(self):
        return hash(self._handle)

    def __repr__(self):
        config = self.get_config()
        return _repr(self._schema["name"], {**config, **({"name": self.name} if self.name else {})})


def _make_layers():
    made = {}
    for schema in _striate.layer_schemas():
        if schema["name"] == "Input":
            continue
        made[schema["name"]] = type(
            schema["name"],
            (RegisteredLayer,),
            {
                "__doc__": _doc(schema, _extra(schema["name"])),
                "__module__": "striate",
                "__signature__": _signature(schema["fields"], _extra(schema["name"])),
                "_schema": schema,
            },
        )
    return made


layer_classes = _make_layers()


def Input(shape, dtype="float32", name="input"):  # noqa: N802
    """Make the input of a model: a symbolic value.

    Args:
        shape: Sizes of one sample, without the batch; None for a free height or width.
        dtype: Element type inside the model; other ones fed are converted.
        name: Name in errors and files.
    """
    return _striate.input_value([None, *shape], dtype, name)


def register(name):
    """Give a loss or metric function a name under which files record it.

    >>> import striate as st
    >>> @st.register("mean_absolute_error")
    ... def mean_absolute_error(targets, output):
    ...     return st.ops.abs(output - targets)
    """

    def decorate(function):
        _striate.register_function(name, function)
        function.striate_name = name
        return function

    return decorate

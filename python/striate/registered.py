"""Classes made from the C++ registrations: layers, optimizers, schedules, losses, initializers."""

from __future__ import annotations

import inspect

from striate import _striate
from striate.arguments import bind, dtype_name, flag, shown, sizes, text, whole_number
from striate.errors import DTypeError, ShapeError
from striate.operators import refuse_copies

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


def _repr(type_name, config):
    inner = ", ".join(f"{key}={value!r}" for key, value in config.items())
    return f"{type_name}({inner})"


class Described:
    """Base of optimizers, schedules, losses, metrics and initializers: a type and its options."""

    _schema: dict = {}

    def __init__(self, *args, **kwargs):
        name = self._schema["name"]
        self._options = dict(bind(self.__signature__, args, kwargs, name))
        try:
            _striate.check_options(name, self._options)
        except (ShapeError, DTypeError) as error:
            raise type(error)(
                layer=name, rule=error.rule, values=error.values, fix=error.fix
            ) from None

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
        if name is not None:
            text(name, "a layer's name")
        else:
            kind = type(self).__name__.lower()
            count = Layer._counts.get(kind, 0)
            Layer._counts[kind] = count + 1
            name = kind if count == 0 else f"{kind}_{count}"
        self.name = name

    def call(self, *inputs):
        """Return the outputs for symbolic inputs."""
        raise DTypeError(layer=type(self).__name__, rule="a layer must define call(self, x)")

    def __call__(self, *inputs):
        kind = type(self).__name__
        if not hasattr(self, "name"):
            raise DTypeError(
                layer=kind,
                rule="a layer's __init__ must call super().__init__()",
                fix="Write super().__init__(**kwargs) as its first line",
            )
        scope = _striate.PathScope(self.name)
        try:
            outputs = self.call(*inputs)
        finally:
            scope.close()
        several = isinstance(outputs, (list, tuple)) and len(outputs) > 0
        if not all(isinstance(y, Value) for y in (outputs if several else [outputs])):
            raise DTypeError(
                layer=f'{kind} "{self.name}"',
                rule="call must return symbolic values",
                values=shown(outputs),
                fix="Perhaps its return is missing" if outputs is None else "",
            )
        return outputs

    def __repr__(self):
        return f"{type(self).__name__}(name={getattr(self, 'name', '')!r})"

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
            part.freeze(flag(frozen, "frozen"))


class RegisteredLayer(Layer):
    """A layer whose rules are in C++."""

    _schema: dict = {}
    _input_shape = None

    def __init__(self, *args, **kwargs):
        kind = self._schema["name"]
        options = dict(bind(self.__signature__, args, kwargs, kind))
        if options.get("activation", "") is None:
            del options["activation"]  # Keras writes None for the linear one
        name, shape, dim = (options.pop(key, None) for key in ("name", "input_shape", "input_dim"))
        if shape is None and dim is not None:
            shape = (whole_number(dim, "input_dim", 1, layer=kind),)
        self._input_shape = None if shape is None else tuple(sizes(shape, "input_shape"))
        name = "" if name is None else text(name, "a layer's name")
        self._handle = _striate.Layer(kind, options, name)

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
        self._handle.freeze(flag(frozen, "frozen"))

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
    given = sizes(shape, "an input's shape")
    if any(d is not None and d < 1 for d in given):
        values = ", ".join("?" if d is None else str(d) for d in given)
        raise ShapeError(rule="an input's sizes must be >= 1", values=f"[N, {values}]")
    return _striate.input_value([None, *given], dtype_name(dtype), text(name, "an input's name"))


def register(name):
    """Give a loss or metric function a name under which files record it.

    >>> import striate as st
    >>> @st.register("mean_absolute_error")
    ... def mean_absolute_error(targets, output):
    ...     return st.ops.abs(output - targets)
    """

    text(name, "the name of a loss or metric")

    def decorate(function):
        if not callable(function):
            rule = "a loss or metric is a function of symbolic (targets, output)"
            raise DTypeError(rule=rule, values=shown(function))
        _striate.register_function(name, function)
        function.striate_name = name
        return function

    return decorate


refuse_copies(Layer, "Make another with the same options; get_weights() copies a model's weights")
refuse_copies(_striate.Variable, "value() copies its value")
refuse_copies(_striate.Optimizer, "Make another with the options of config()")
refuse_copies(_striate.Value, "It is a step of its graph alone")

"""Keras models as graphs of layers: walked, copied and traced."""

import dataclasses
import inspect
import random
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import tree


def is_graph(model: Any) -> bool:
    """Whether `model` is a built Functional or Sequential model, whose layers are known."""
    return isinstance(model, keras.Sequential) or (
        isinstance(model, keras.Model) and hasattr(model, "inputs") and bool(model.inputs)
    )


def walk(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yields `(path, layer)` for each layer of a model, once, nested models opened.

    A path joins the names of the nested models and the layer by `/`; it is unique in the model.
    """
    seen = set()
    for path, layer in _walk(model, prefix):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield path, layer


def _walk(model, prefix):
    for layer in model.layers:
        if is_graph(layer):
            yield from _walk(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def copy_model(model: keras.Model) -> keras.Model:
    """Copies a built Functional or Sequential model with its weights, not compiled."""
    return clone(model, copy_layer, copy_weights)


def clone(
    model: keras.Model,
    convert: Callable[[keras.Layer], keras.Layer],
    fill: Callable[[keras.Layer, keras.Layer], None],
) -> keras.Model:
    """Rebuilds a Functional or Sequential model layer by layer; the clone is not compiled.

    Args:
        model: The model; it is not touched.
        convert: Gives the new, unbuilt layer for a layer. Nested models are opened before.
        fill: Called with each layer and its built clone, to set the weights.
    """
    copies: dict[int, Any] = {}
    pairs = []

    def copied(operation):
        if id(operation) not in copies:
            if is_graph(operation):
                copies[id(operation)] = _rebuild(operation, copied)
            elif isinstance(operation, keras.Layer):
                copies[id(operation)] = convert(operation)
                pairs.append((operation, copies[id(operation)]))
            else:
                copies[id(operation)] = copy_operation(operation)
        return copies[id(operation)]

    copy = _rebuild(model, copied)
    for source, target in pairs:
        fill(source, target)
    return copy


def _rebuild(model, copied):
    if isinstance(model, keras.Sequential):
        (tensor,) = model.inputs
        inputs = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        return keras.Sequential([inputs, *map(copied, model.layers)], name=model.name)
    # `clone_model` compiles the clone of a compiled model; another model on its graph is none.
    graph = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(graph, clone_function=copied)


def copy_layer(layer: keras.Layer) -> keras.Layer:
    """Makes a new, unbuilt layer of the same configuration and with the very same functions."""
    config = live_config(layer)
    if isinstance(layer, keras.layers.Lambda):
        # `Lambda.from_config` refuses Python functions; the functions themselves are at hand here.
        config |= {"function": layer.function, "mask": layer.mask, "arguments": layer.arguments}
        if isinstance(config.get("output_shape"), dict):
            # A function, which is not at hand; Keras infers the shape from the one of the layer.
            del config["output_shape"]
        return type(layer)(**config)
    if type(layer) is keras.layers.TimeDistributed:
        return keras.layers.TimeDistributed(**{**config, "layer": copy_layer(layer.layer)})
    try:
        return layer.from_config(config)
    except TypeError:  # A class whose `from_config` insists on functions in serialized form.
        return layer.from_config(layer.get_config())


def live_config(layer: keras.Layer) -> dict[str, Any]:
    """Returns the configuration of a layer with functions themselves, not their serialized form.

    A Python lambda, as an activation say, has no form that Keras reads back.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
        config = layer.get_config()
    functions = {key: getattr(layer, key, None) for key, value in config.items() if value}
    return config | {key: each for key, each in functions.items() if inspect.isfunction(each)}


def copy_operation(operation: Any) -> Any:
    """Makes a new operation of the same arguments, or returns it where it can be shared."""
    try:
        return operation.from_config(operation.get_config())
    except NotImplementedError:  # Made with an array, say; it has no state, so it can be shared.
        return operation


def copy_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Gives a built layer the weights of a layer of its kind, and what follows from them."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Wrapper):
        copy_weights(source.layer, target.layer)
    elif hasattr(target, "finalize_state"):
        # A layer that was adapted computes with values beside its weights, set only on loading.
        stored: dict[str, Any] = {}
        source.save_own_variables(stored)
        target.load_own_variables(stored)
        if hasattr(target, "set_vocabulary"):
            _copy_vocabulary(source, target, stored.get("idf_weights"))


def _copy_vocabulary(source, target, idf_weights):
    """Copies a lookup table, which is no weight."""
    vocabulary = source.get_vocabulary()
    if idf_weights is None:
        target.set_vocabulary(vocabulary)
    else:
        target.set_vocabulary(vocabulary, idf_weights=idf_weights)


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer or operation; tensors are identified by `id`.

    Attributes:
        path: Path of the layer, as in `walk`.
        operation: Layer, `keras.Operation` or function of tensors.
        args: Positional arguments, a structure with symbolic tensors as leaves.
        kwargs: Keyword arguments, likewise.
        output: Structure of symbolic tensors that the call defines.
        training: Whether it, or the call of a model around it, asks for training mode. Layers
            whose `call` has `training=True` as its default, as Keras' random layers do, don't ask:
            the graph of Keras can't tell their default from what was given.
    """

    path: str
    operation: Callable[..., Any]
    args: tuple
    kwargs: dict[str, Any]
    output: Any
    training: bool = False

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The symbolic tensors among the arguments."""
        return symbolic((self.args, self.kwargs))


@dataclasses.dataclass(frozen=True)
class Graph:
    """Inputs, calls in an order that can be executed, and outputs of a model."""

    inputs: Any
    calls: list[Call]
    outputs: Any

    def users(self) -> dict[int, list[Call | None]]:
        """Returns the calls that take each tensor, by its `id`; `None` stands for the output."""
        found: dict[int, list[Call | None]] = defaultdict(list)
        for call in self.calls:
            for tensor in call.inputs:
                found[id(tensor)].append(call)
        for tensor in symbolic(self.outputs):
            found[id(tensor)].append(None)
        return found

    def without(self, is_identity: Callable[[Call], bool]) -> "Graph":
        """Returns the graph without the calls that only hand on their first argument."""
        calls: list[Call] = []
        values: dict[int, Any] = {}
        for call in self.calls:
            args, kwargs = substitute((call.args, call.kwargs), values)
            if is_identity(call):
                bind(values, call.output, args[0])
            else:
                calls.append(dataclasses.replace(call, args=args, kwargs=kwargs))
        return Graph(self.inputs, calls, substitute(self.outputs, values))


def trace(model: keras.Model, inputs: Any) -> Graph:
    """Calls a model on symbolic inputs and lists every call, nested models flattened.

    Args:
        model: A built Functional or Sequential model, which gets new nodes: give a copy.
        inputs: Symbolic inputs, of the structure of the model's own.
    """
    return _trace(model, inputs, "", False).without(lambda call: call.operation is _hand_on)


_STRUCTURES: weakref.WeakKeyDictionary[keras.Model, tuple[Any, Graph]] = weakref.WeakKeyDictionary()


def structure(model: keras.Model) -> Graph:
    """Lists the calls of a model, as `trace` does, without touching it: by copies of its layers.

    What was found of a model is kept for as long as its layers and their settings stay the same.
    """
    state = [(id(layer), path, str(live_config(layer))) for path, layer in walk(model)]
    if model not in _STRUCTURES or _STRUCTURES[model][0] != state:
        _STRUCTURES[model] = (state, _structure(model))
    return _STRUCTURES[model][1]


def _structure(model):
    # The copies draw weights that nobody needs; what is drawn after them stays as it was.
    drawn = random.getstate()
    copy = clone(model, copy_layer, lambda source, target: None)
    random.setstate(drawn)
    own = copy.inputs[0] if isinstance(copy, keras.Sequential) else copy.input
    return trace(copy, tree.map_structure(_input_like, own))


def _input_like(tensor):
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _trace(model, inputs, prefix, training):
    calls: list[Call] = []

    def record(operation, *args, **kwargs):
        path, output = f"{prefix}{operation.name}", operation(*args, **kwargs)
        asked = training or _asks_for_training(operation, kwargs)
        if is_graph(operation):
            given = symbolic(args)
            own = tree.pack_sequence_as(operation.input, [inputs_like(each) for each in given])
            inner = _trace(operation, own, f"{path}/", asked)
            calls.append(Call(path, _hand_on, (given,), {}, inner.inputs))
            calls.extend(inner.calls)
            calls.append(Call(path, _hand_on, (tree.flatten(inner.outputs),), {}, output))
        else:
            calls.append(Call(path, operation, args, kwargs, output, asked))
        return output

    if isinstance(model, keras.Sequential):
        outputs = inputs
        for layer in model.layers:
            outputs = record(layer, outputs)
    else:
        outputs = keras.models.clone_model(
            model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=record
        ).output
    return Graph(inputs, calls, outputs)


def _asks_for_training(operation, kwargs):
    return bool(kwargs.get("training")) and not defaults_to_training(operation)


def defaults_to_training(operation: Callable[..., Any]) -> bool:
    """Whether `call` of a layer has `training=True` as its default."""
    call = getattr(operation, "call", operation)
    parameter = inspect.signature(call).parameters.get("training")
    return parameter is not None and parameter.default is True


def _hand_on(tensors):
    return tensors


def inputs_like(structure: Any) -> Any:
    """Makes inputs of batch 1 and the same names for a structure of symbolic tensors."""
    return tree.map_structure(
        lambda tensor: keras.Input(
            batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name
        ),
        structure,
    )


def symbolic(structure: Any) -> list[keras.KerasTensor]:
    """Lists the symbolic tensors in a structure."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, keras.KerasTensor)]


def substitute(structure: Any, values: dict[int, Any]) -> Any:
    """Replaces each leaf whose `id` is a key of `values`."""
    return tree.map_structure(lambda leaf: values.get(id(leaf), leaf), structure)


def bind(values: dict[int, Any], symbols: Any, results: Any) -> None:
    """Records `results` as the values of equally many symbolic tensors."""
    for symbol, result in zip(tree.flatten(symbols), tree.flatten(results), strict=True):
        values[id(symbol)] = result

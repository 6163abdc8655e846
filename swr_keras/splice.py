"""A model executed anew on copies of its layers, so that other layers come between them."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import tree

from swr_keras.graph import (
    Call,
    bind,
    copy_layer,
    copy_operation,
    copy_weights,
    is_graph,
    structure,
    substitute,
    walk,
)


class Replay:
    """The calls of a model, executed one by one on copies that keep their names and weights.

    Between two calls, `values` may be changed: what stands for a tensor of the model is what later
    calls take.

    Args:
        model: A Functional or Sequential model without models in it; it is not touched.
        convert: Makes the new, unbuilt layer for a layer, of the same name and weights.

    Attributes:
        graph: The calls of the model, see `graph.structure`.
        inputs: The new inputs, of the structure of the model's own.
        values: New tensors by `id` of the tensor in `graph` that they stand for.

    Raises:
        ValueError: If there are models in the model.
    """

    def __init__(
        self,
        model: keras.Model,
        convert: Callable[[keras.Layer], keras.Layer] = copy_layer,
    ):
        nested = [layer.name for layer in model.layers if is_graph(layer)]
        if nested:
            raise ValueError(
                "Layers can be added to a model without models in it. Received: "
                f"'{model.name}' with the models {nested}. Rebuild it of their layers."
            )
        self.graph = structure(model)
        self.inputs = _inputs_of(model)
        self.values: dict[int, Any] = {}
        bind(self.values, self.graph.inputs, self.inputs)
        self._model = model
        self._sources = dict(walk(model))
        self._convert = convert
        self._copies: dict[str, Any] = {}

    def run(self, call: Call) -> Any:
        """Executes a call, records what stands for its output, and returns it."""
        output = self._execute(call, call.path, self.values)
        bind(self.values, call.output, output)
        return output

    def again(self, calls: Iterable[Call], suffix: str) -> Any:
        """Executes calls on further copies, and returns what the last of them gives.

        Args:
            calls: Calls that follow one another and were run before.
            suffix: What the names of the copies have at the end.
        """
        values, output = dict(self.values), None
        for call in calls:
            output = self._execute(call, f"{call.path}{suffix}", values)
            bind(values, call.output, output)
        return output

    def model(self) -> keras.Model:
        """Returns the model from the inputs to what stands for the outputs, not compiled."""
        outputs = substitute(self.graph.outputs, self.values)
        model = keras.Model(self.inputs, outputs, name=self._model.name)
        for source, copy in self._copies.values():
            if isinstance(source, keras.Layer):
                copy_weights(source, copy)
        return model

    def _execute(self, call, name, values):
        if name not in self._copies:
            source = self._sources.get(call.path, call.operation)
            self._copies[name] = (source, self._copy(source, name))
        args, kwargs = substitute((call.args, call.kwargs), values)
        return self._copies[name][1](*args, **kwargs)

    def _copy(self, source, name):
        is_layer = isinstance(source, keras.Layer)
        copy = self._convert(source) if is_layer else copy_operation(source)
        if copy is not source:
            copy.name = name
        return copy


def _inputs_of(model):
    """Makes inputs of the same names for a model."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    names = {id(layer.output): layer.name for layer in layers}
    return tree.map_structure(
        lambda tensor: keras.Input(
            batch_shape=tensor.shape, dtype=tensor.dtype, name=names.get(id(tensor), tensor.name)
        ),
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
    )

"""How often a model multiplies by the weights of its convolution and dense kernels."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, tree

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_COUNTED = (
    layers.Dense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    *_TRANSPOSED,
)
_POOLING = (
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.AveragePooling3D,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.MaxPooling3D,
)
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


@dataclasses.dataclass(frozen=True)
class LayerCall:
    """One use of a layer, of batch 1.

    Attributes:
        layer: The layer.
        input_shape: Shape of its first input.
        output_shape: Shape of its first output.
        kept_shape: Shape of what the next layer takes of that output: less than all of it if that
            is a pooling of window 1 with strides.
    """

    layer: keras.Layer
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kept_shape: tuple[int, ...]

    def multiplies(self) -> tuple[int, int] | None:
        """Returns the multiplies of outputs that are kept, and of outputs that are dropped.

        A kernel weight multiplies once at each position of the output, of a transposed
        convolution at each position of the input. `None` for weights of other layers than
        convolution, dense and batch norm, about which this rule says nothing.
        """
        if not isinstance(self.layer, _COUNTED):
            is_free = not self.layer.weights
            return (0, 0) if is_free or isinstance(self.layer, layers.BatchNormalization) else None
        kernels = [getattr(self.layer, name, None) for name in _KERNELS]
        weights = sum(math.prod(kernel.shape) for kernel in kernels if kernel is not None)
        if isinstance(self.layer, _TRANSPOSED):
            return weights * self._positions(self.input_shape), 0
        kept = weights * self._positions(self.kept_shape)
        return kept, weights * self._positions(self.output_shape) - kept

    def _positions(self, shape):
        channels_first = getattr(self.layer, "data_format", None) == "channels_first"
        return math.prod(shape[2:] if channels_first else shape[1:-1])


@dataclasses.dataclass(frozen=True)
class _Use:
    path: str
    operation: Any
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def layer_calls(
    model: keras.Model, input_shapes: Sequence[tuple[int, ...]]
) -> dict[str, list[LayerCall]]:
    """Calls a model on symbolic inputs of batch 1 and lists the uses of each layer by its path.

    Args:
        model: A built Functional or Sequential model, which gets new nodes: give a copy.
        input_shapes: Shapes of its inputs without the batch, all sizes known.
    """
    inputs = [
        keras.Input(batch_shape=(1, *shape), dtype=tensor.dtype, name=tensor.name)
        for shape, tensor in zip(input_shapes, model.inputs, strict=True)
    ]
    uses: list[_Use] = []
    _trace(model, inputs, "", uses)
    users = defaultdict(list)
    for use in uses:
        for tensor in use.inputs:
            users[id(tensor)].append(use)
    calls = defaultdict(list)
    for use in uses:
        if isinstance(use.operation, keras.Layer):
            calls[use.path].append(_layer_call(use, users[id(use.outputs[0])]))
    return dict(calls)


def _trace(model, inputs, path, uses):
    def call(operation, *args, **kwargs):
        result = operation(*args, **kwargs)
        name = f"{path}{operation.name}"
        tensors = _tensors((args, kwargs))
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            _trace(operation, [_like(tensor) for tensor in tensors], f"{name}/", uses)
        else:
            uses.append(_Use(name, operation, tensors, _tensors(result)))
        return result

    if isinstance(model, keras.Sequential):
        (outputs,) = inputs
        for layer in model.layers:
            outputs = call(layer, outputs)
    else:
        outputs = keras.models.clone_model(
            model,
            input_tensors=tree.pack_sequence_as(model.input, inputs),
            clone_function=lambda layer: layer,
            call_function=call,
        ).outputs
    uses.append(_Use("", None, _tensors(outputs), []))


def _tensors(structure):
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, keras.KerasTensor)]


def _like(tensor):
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)


def _layer_call(use, users):
    output = use.outputs[0]
    strided = len(users) == 1 and _only_strides(users[0].operation)
    return LayerCall(
        layer=use.operation,
        input_shape=use.inputs[0].shape if use.inputs else (),
        output_shape=output.shape,
        kept_shape=users[0].outputs[0].shape if strided else output.shape,
    )


def _only_strides(operation):
    return isinstance(operation, _POOLING) and math.prod(operation.pool_size) == 1

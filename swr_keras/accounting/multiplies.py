"""How often a model multiplies by the weights of its convolution and dense kernels."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence

import keras
from keras import layers, tree

from swr_keras.graph import symbolic, trace

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
    if isinstance(model, keras.Sequential):
        graph = trace(model, inputs[0])
    else:
        graph = trace(model, tree.pack_sequence_as(model.input, inputs))
    users = graph.users()
    calls = defaultdict(list)
    for call in graph.calls:
        if isinstance(call.operation, keras.Layer):
            output = symbolic(call.output)[0]
            calls[call.path].append(_layer_call(call, output, users[id(output)]))
    return dict(calls)


def _layer_call(call, output, users):
    user = users[0] if len(users) == 1 else None
    kept = symbolic(user.output)[0] if user and _only_strides(user.operation) else output
    return LayerCall(
        layer=call.operation,
        input_shape=call.inputs[0].shape if call.inputs else (),
        output_shape=output.shape,
        kept_shape=kept.shape,
    )


def _only_strides(operation):
    return isinstance(operation, _POOLING) and math.prod(operation.pool_size) == 1

"""1x1 convolutions beside those of the base (residual adapters)."""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import layers

from swr_keras.graph import Graph, copy_layer, live_config
from swr_keras.layers.blocks import named_blocks
from swr_keras.layers.extension import Extension
from swr_keras.splice import Replay

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_KINDS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
_POOLING = {1: layers.MaxPooling1D, 2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
_INITIALIZERS = ("zeros", "normal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualAdapters(Extension):
    """Adds to a convolution a 1x1 convolution of the same input, stride and output channels.

    `y = convolution(x) + adapter(x)`, before the activation of the convolution and before what
    normalises it; an adapter has no bias. Named `<layer>_adapter`.

    Attributes:
        layers: Names of the convolutions that get one; depthwise ones may be among them, and get a
            full 1x1 convolution as well. By default each convolution with a window of several
            positions, depthwise ones not; and, where blocks have names (see `find_blocks`), each
            1x1 convolution that takes what its block takes to as many channels as it gives, if
            these are others. In BC-ResNet these are the stem and the convolution of each
            transition; in Res15, all.
        initializer: `"zeros"`: the model computes at first what the base does. `"normal"`: as in
            the source, normal of variance 2 / channels of the output.

    Source: parallel adapters of Rebuffi et al., "Efficient Parametrization of Multi-Domain Deep
    Neural Networks", CVPR 2018. Which convolutions of BC-ResNet have one in arXiv 2302.13435 isn't
    published; with those of the transitions, batch norm and the head, its count of parameters
    comes out.
    """

    kind: ClassVar[str] = "residual_adapters"

    layers: tuple[str, ...] = ()
    initializer: str = "zeros"

    def __post_init__(self):
        if self.initializer not in _INITIALIZERS:
            raise ValueError(
                f"`initializer` must be one of {_INITIALIZERS}. Received: {self.initializer!r}."
            )

    def extend(self, base):
        chosen: set[str] = set()

        def convert(layer):
            if layer.name not in chosen:
                return copy_layer(layer)
            return layer.from_config({**live_config(layer), "activation": "linear"})

        replay = Replay(base, convert)
        found = {call.path: call.operation for call in replay.graph.calls}
        chosen.update(self.layers or _usual(replay.graph))
        wrong = [path for path in chosen if not _is_convolution(found.get(path))]
        if wrong or not chosen:
            raise ValueError(
                "`layers` must name convolutions, which get an adapter each. Received: "
                f"{sorted(wrong) or self.layers}; the convolutions of '{base.name}' are "
                f"{[path for path, operation in found.items() if _is_convolution(operation)]}."
            )
        adapters: dict[str, _Adapter] = {}
        for call in replay.graph.calls:
            output = replay.run(call)
            if call.path in chosen:
                if call.path not in adapters:
                    adapters[call.path] = _Adapter(call.operation, output, self.initializer)
                (given,) = call.inputs
                adapted = adapters[call.path](output, replay.values[id(given)])
                replay.values[id(call.output)] = adapted
        return replay.model()


class _Adapter:
    """What adds to the output of a convolution; shared by its calls."""

    def __init__(self, convolution, output, initializer):
        rank, name = len(convolution.kernel_size), f"{convolution.name}_adapter"
        channels = output.shape[1 if convolution.data_format == "channels_first" else -1]
        if initializer == "normal":
            initializer = keras.initializers.RandomNormal(stddev=(2.0 / channels) ** 0.5)
        adapter = _KINDS[rank](
            channels,
            1,
            use_bias=False,
            kernel_initializer=initializer,
            data_format=convolution.data_format,
            dtype=convolution.dtype_policy,
            name=name,
        )
        self.steps = [
            *_cropping(convolution, f"{name}_crop"),
            *_striding(convolution, f"{name}_stride"),
            adapter,
        ]
        self.sum = layers.Add(name=f"{name}_sum")
        self.activation = None
        if convolution.activation is not keras.activations.linear:
            activation = convolution.activation
            self.activation = layers.Activation(activation, name=f"{name}_activation")

    def __call__(self, output, x):
        for step in self.steps:
            x = step(x)
        total = self.sum([output, x])
        return self.activation(total) if self.activation else total


def _cropping(convolution, name) -> list[keras.Layer]:
    """What takes away the positions that an unpadded convolution has no output for."""
    pairs = zip(convolution.kernel_size, convolution.dilation_rate, strict=True)
    lost = [(size - 1) * rate for size, rate in pairs]
    if convolution.padding != "valid" or not any(lost):
        return []
    halves = [(each // 2, each - each // 2) for each in lost]
    if len(halves) == 1:
        return [layers.Cropping1D(halves[0], name=name)]
    kind = layers.Cropping2D if len(halves) == 2 else layers.Cropping3D
    return [kind(tuple(halves), data_format=convolution.data_format, name=name)]


def _striding(convolution, name) -> list[keras.Layer]:
    """What takes away the positions that a convolution strides over.

    TensorFlow's 1x1 convolution with strides writes, for some shapes, beyond its output.
    """
    if set(convolution.strides) == {1}:
        return []
    kind = _POOLING[len(convolution.strides)]
    return [kind(1, convolution.strides, data_format=convolution.data_format, name=name)]


def _is_convolution(operation) -> bool:
    return type(operation) in (*_CONVOLUTIONS, *_DEPTHWISE)


def _usual(graph: Graph) -> list[str]:
    transitions = [
        call.path
        for calls in named_blocks(graph).values()
        for call in calls
        if _is_transition(call, calls)
    ]
    convolutions: dict[str, Any] = {
        call.path: call.operation for call in graph.calls if type(call.operation) in _CONVOLUTIONS
    }
    return [
        path
        for path, operation in convolutions.items()
        if set(operation.kernel_size) != {1} or path in transitions
    ]


def _is_transition(call, calls):
    """Whether a convolution takes the input of a block to the other number of channels it gives."""
    if type(call.operation) not in _CONVOLUTIONS or call.inputs[0] is not calls[0].inputs[0]:
        return False
    given, taken = calls[-1].output.shape[-1], call.inputs[0].shape[-1]
    return call.operation.filters == given != taken

"""Small modules beside the blocks of a base (Rep-Net)."""

import dataclasses
from typing import ClassVar

import keras
from keras import layers, ops, tree

from swr_keras.layers.blocks import Block, find_blocks
from swr_keras.layers.extension import Extension, check_image, check_range
from swr_keras.layers.normalization import FusedBatchNormalization
from swr_keras.splice import Replay

_MULTIPLE = 8
_INPUT_POOLING = 4


@keras.saving.register_keras_serializable(package="swr_keras")
class ResizeLike(layers.Layer):
    """Resizes an image to the height and width of another one, bilinearly.

    Call arguments:
        inputs: The image and the other one, `(batch, height, width, channels)` each.
    """

    def call(self, inputs):
        image, other = inputs
        return ops.image.resize(image, ops.shape(other)[1:3], interpolation="bilinear")

    def compute_output_shape(self, input_shape):
        image, other = input_shape
        return (image[0], *other[1:3], image[3])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SideModules(Extension):
    """Adds to the output of a block what a small module computes from the block's input.

    A module is average pooling, a k x k convolution, batch norm, ReLU, a 1x1 convolution, batch
    norm whose gamma is zero at first, and a bilinear resizing to the block's output: the model
    computes at first what the base does. One more module, from the first input of the model
    (pooled by 4), is added to what the first block takes. Convolutions have no bias.

    Attributes:
        at: Names of the blocks that get one, see `find_blocks`. By default each block that changes
            the shape (the first one of a stage) or, where none does, each block.
        blocks: Layers at whose outputs blocks begin and end, see `find_blocks`.
        expand: Channels between the convolutions, as a share of the channels of the input, made
            divisible by 8.
        kernel_size: Width and height of the first convolution; odd.
        pooling: Width and height of the pooling.

    Source: Yang et al., "Rep-Net: Efficient On-Device Learning via Feature Reprogramming", CVPR
    2022, for ResNet-50, where `expand` is 1, convolutions have two groups and standardised weights,
    `kernel_size` is 5, and the last block has a module, too. What it was for BC-ResNet in
    arXiv 2302.13435 isn't published.
    """

    kind: ClassVar[str] = "side_modules"

    at: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    expand: float = 0.45
    kernel_size: int = 3
    pooling: int = 2

    def __post_init__(self):
        check_range("expand", self.expand, 1e-3, 4)
        check_range("pooling", self.pooling, 1, 64)
        check_range("kernel_size", self.kernel_size, 1, 9)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd. Received: {self.kernel_size}.")

    def extend(self, base):
        replay = Replay(base)
        inputs = tree.flatten(replay.inputs)
        if len(inputs) > 1:
            raise ValueError(
                f"Side modules are for a base of one input. Received: '{base.name}' with the "
                f"inputs {[tensor.name for tensor in inputs]}. Choose another method."
            )
        found = find_blocks(replay.graph, self.blocks)
        chosen = {id(block.calls[-1]): block for block in self._chosen(found)}
        for tensor in (inputs[0], *(each.output for each in chosen.values())):
            check_image(base, tensor, "A side module")
        for call in replay.graph.calls:
            replay.run(call)
            if any(tensor is found[0].input for tensor in tree.flatten(call.output)):
                self._add(replay, "input", inputs[0], found[0].input, _INPUT_POOLING)
            if id(call) in chosen:
                block = chosen[id(call)]
                taken = replay.values[id(block.input)]
                self._add(replay, block.name, taken, block.output, self.pooling)
        return replay.model()

    def _chosen(self, found: list[Block]) -> list[Block]:
        names = [block.name for block in found]
        unknown = [name for name in self.at if name not in names]
        if unknown:
            raise ValueError(f"`at` must name blocks, some of {names}. Received: {unknown}.")
        if self.at:
            return [block for block in found if block.name in self.at]
        return [each for each in found if each.input.shape != each.output.shape] or found

    def _add(self, replay, name, taken, tensor, pooling):
        output = replay.values[id(tensor)]
        side = self._module(f"{name}_side", taken, output, pooling)
        replay.values[id(tensor)] = layers.Add(name=f"{name}_side_sum")([output, side])

    def _module(self, name, x, output, pooling):
        width = divisible(x.shape[-1] * self.expand)
        x = layers.AveragePooling2D(pooling, padding="same", name=f"{name}_pool")(x)
        x = layers.Conv2D(
            width, self.kernel_size, padding="same", use_bias=False, name=f"{name}_conv"
        )(x)
        x = FusedBatchNormalization(name=f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.Conv2D(output.shape[-1], 1, use_bias=False, name=f"{name}_out_conv")(x)
        x = FusedBatchNormalization(gamma_initializer="zeros", name=f"{name}_out_norm")(x)
        return ResizeLike(name=f"{name}_resize")([x, output])


def divisible(channels: float) -> int:
    """Rounds a number of channels to a multiple of 8, by no more than a tenth down."""
    rounded = max(_MULTIPLE, int(channels + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return rounded + _MULTIPLE if rounded < 0.9 * channels else rounded

"""Blocks of a base beside tuned copies of them, chosen for each example (SpotTune)."""

import dataclasses
from typing import ClassVar

import keras
from keras import layers, ops, tree

from swr_keras.layers.blocks import find_blocks
from swr_keras.layers.extension import Extension, check_image, check_range
from swr_keras.layers.normalization import FusedBatchNormalization
from swr_keras.layers.replicas import draw_uniform
from swr_keras.splice import Replay

AGENT = "agent_"
"""What the names of the agent's layers begin with."""

_TUNED = "_tuned"
_STAGES = 3
_MOST_WIDTH = 128
_MOST_SEED = 2**31 - 1


@keras.saving.register_keras_serializable(package="swr_keras")
class ExampleRouting(layers.Layer):
    """Decides for each example and block which of two it is: draws in training, else the likelier.

    In training a decision is a hard sample of a Gumbel-softmax, whose gradient is the soft one's.

    Args:
        temperature: Temperature of the softmax.
        seed: Seed of the draws.

    Call arguments:
        inputs: Logits `(batch, blocks, 2)`.

    Returns:
        Per block `(batch,)`: 1 where it is the second one, else 0, in one tensor `(batch, blocks)`.
    """

    def __init__(self, temperature=5.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        if not training:
            return ops.cast(inputs[..., 1] > inputs[..., 0], inputs.dtype)
        uniform = draw_uniform(ops.shape(inputs), 1e-6, 1.0 - 1e-6, self.seed_generator)
        noisy = ops.cast(inputs, "float32") - ops.log(-ops.log(uniform))
        soft = ops.softmax(noisy / self.temperature, axis=-1)[..., 1]
        hard = ops.cast(soft > 0.5, "float32")
        return ops.cast(soft + ops.stop_gradient(hard - soft), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def get_config(self):
        config = {"temperature": self.temperature, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="swr_keras")
class ExampleChoice(layers.Layer):
    """Takes, for each example, one of two tensors.

    Args:
        index: Which of the decisions counts.

    Call arguments:
        inputs: The two tensors `(batch, ...)` of one shape, and decisions `(batch, blocks)`: 0 for
            the first tensor, 1 for the second.
    """

    def __init__(self, index=0, **kwargs):
        super().__init__(**kwargs)
        self.index = index

    def call(self, inputs):
        first, second, decisions = inputs
        shape = (-1, *(1 for _ in first.shape[1:]))
        share = ops.cast(ops.reshape(decisions[:, self.index], shape), first.dtype)
        return (1.0 - share) * first + share * second

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "index": self.index}


PER_EXAMPLE = (ExampleRouting, ExampleChoice)
"""Layers that compute something else for each example of a batch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoutedBlocks(Extension):
    """Puts a tuned copy beside each block, and an agent that chooses between the two.

    The agent is a small residual network on the first input of the model: a 3x3 convolution and
    three residual blocks of two, each of twice the channels and half the size of what it takes,
    whose shortcut pools and repeats it; each convolution with batch norm and ReLU; then global
    pooling and two logits a block. Its layers are named `agent_...`, those of copies
    `<layer>_tuned`.

    Attributes:
        blocks: Layers at whose outputs blocks begin and end, see `find_blocks`.
        width: Channels of the agent's first convolution, see `usual_width`.
        temperature: Temperature of the decisions in training.
        seed: Seed of their draws.

    Source: Guo et al., "SpotTune: Transfer Learning through Adaptive Fine-tuning", CVPR 2019,
    which draws at inference, too; here the likelier block is taken.
    """

    kind: ClassVar[str] = "routed_blocks"

    blocks: tuple[str, ...] = ()
    width: int = 12
    temperature: float = 5.0
    seed: int = 0

    def __post_init__(self):
        check_range("width", self.width, 1, _MOST_WIDTH)
        check_range("temperature", self.temperature, 1e-3, 1e3)
        check_range("seed", self.seed, 0, _MOST_SEED)

    def extend(self, base):
        replay = Replay(base)
        found = find_blocks(replay.graph, self.blocks)
        inputs = tree.flatten(replay.inputs)
        check_image(base, inputs[0], "The agent of routed blocks")
        decisions = self._decisions(inputs[0], len(found))
        ends = {id(block.calls[-1]): (index, block) for index, block in enumerate(found)}
        for call in replay.graph.calls:
            frozen = replay.run(call)
            if id(call) in ends:
                index, block = ends[id(call)]
                tuned = replay.again(block.calls, _TUNED)
                choice = ExampleChoice(index, name=f"{block.name}_choice")
                replay.values[id(block.output)] = choice([frozen, tuned, decisions])
        return replay.model()

    def is_copy(self, path):
        return path.endswith(_TUNED)

    def _decisions(self, inputs, blocks):
        x = _convolution(inputs, self.width, 1, f"{AGENT}stem")
        x = layers.ReLU(name=f"{AGENT}stem_relu")(x)
        for stage in range(_STAGES):
            x = _residual(x, f"{AGENT}stage{stage}")
        x = layers.GlobalAveragePooling2D(name=f"{AGENT}pool")(x)
        x = layers.Dense(2 * blocks, name=f"{AGENT}logits")(x)
        x = layers.Reshape((blocks, 2), name=f"{AGENT}pairs")(x)
        return ExampleRouting(self.temperature, self.seed, name=f"{AGENT}routing")(x)


def usual_width(base: keras.Model) -> int:
    """Returns the width whose agent has about half as many parameters as a base.

    That is 12 for BC-ResNet-8. Those of arXiv 2302.13435 have half of BC-ResNet-8 and of Res15;
    what they were isn't published.
    """
    of_width_1 = 9 * sum(2 * c * c + (2 * c) ** 2 for c in (2**stage for stage in range(_STAGES)))
    return min(max(round((0.5 * base.count_params() / of_width_1) ** 0.5), 1), _MOST_WIDTH)


def _residual(x, name):
    width = 2 * x.shape[-1]
    pooled = layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    shortcut = layers.Concatenate(name=f"{name}_shortcut")([pooled, pooled])
    x = _convolution(x, width, 2, f"{name}_first")
    x = layers.ReLU(name=f"{name}_first_relu")(x)
    x = _convolution(x, width, 1, f"{name}_second")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_sum")([x, shortcut]))


def _convolution(x, width, stride, name):
    x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return FusedBatchNormalization(name=f"{name}_norm")(x)

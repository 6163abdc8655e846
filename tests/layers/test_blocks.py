"""Blocks are found by names, by residual sums, or where they are said to be."""

import keras
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.graph import structure
from swr_keras.layers.blocks import find_blocks

BCRESNET = [f"stage{s}_block{b}" for s, count in enumerate((2, 2, 4, 4)) for b in range(count)]
RES15 = [f"add{index}" for index in range(2, 13, 2)]
RES15_ENDS = ("relu0", *RES15, "norm13")


def residual(activation=True):
    """Two residual blocks without names, one of them with a projection."""
    x = inputs = keras.Input((8, 8, 3))
    for index, width in enumerate((3, 4)):
        y = layers.Conv2D(width, 3, padding="same", name=f"first{index}")(x)
        y = layers.Conv2D(width, 3, padding="same", name=f"second{index}")(y)
        if width != x.shape[-1]:
            x = layers.Conv2D(width, 1, name=f"projection{index}")(x)
        x = layers.Add(name=f"sum{index}")([x, y])
        if activation:
            x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x), name="residual")


BASES = {
    "bcresnet": (lambda: swr.backbones.bcresnet(1), (), BCRESNET),
    "res15": (lambda: swr.backbones.res15(4), (), RES15),
    "res15 with ends": (lambda: swr.backbones.res15(4), RES15_ENDS, [*RES15, "norm13"]),
    "residual": (residual, (), ["sum0", "sum1"]),
    "residual without activation": (lambda: residual(False), (), ["sum0", "sum1"]),
    "resnet": (
        lambda: keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=3),
        (),
        [
            f"conv{s}_block{b}"
            for s, count in enumerate((3, 4, 6, 3), 2)
            for b in range(1, count + 1)
        ],
    ),
}


@pytest.mark.parametrize("name", BASES)
def test_blocks_of(name):
    build, ends, expected = BASES[name]
    graph = structure(build())
    blocks = find_blocks(graph, ends)
    assert [block.name for block in blocks] == expected
    for block, following in zip(blocks, blocks[1:], strict=False):
        assert following.input is block.output
    inside = [call for block in blocks for call in block.calls]
    assert len({id(call) for call in inside}) == len(inside)


def paths(block):
    return [call.path for call in block.calls]


def test_which_layers_are_in_a_block(blocked_base):
    first, second = find_blocks(structure(residual()))
    assert paths(first) == ["first0", "second0", "sum0", "relu0"]
    assert sorted(paths(second)) == ["first1", "projection1", "relu1", "second1", "sum1"]
    pair = find_blocks(structure(swr.backbones.res15(4)))[1]
    assert paths(pair) == ["norm2", "conv3", "relu3", "norm3", "conv4", "relu4", "add4"]
    first, second = find_blocks(structure(blocked_base()))
    assert paths(first) == ["block0_expand", "block0_norm", "block0_relu"]
    assert first.input.shape == (None, 10, 8, 6) and first.output.shape == (None, 10, 4, 8)
    (between,) = find_blocks(structure(blocked_base()), ("stem_norm", "block0_norm"))
    assert paths(between) == ["stem_relu", "block0_expand", "block0_norm"]


def bypassed():
    """The second block takes what the first one does, too."""
    x = inputs = keras.Input((4,), name="given")
    x = layers.Dense(4, name="block0_dense")(x)
    x = layers.Add(name="block1_add")([x, inputs])
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def split():
    """A block whose two tensors are both taken."""
    x = inputs = keras.Input((4,))
    x = layers.Dense(4, name="block0_first")(x)
    y = layers.Dense(4, name="block0_second")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Add(name="sum")([x, y])))


@pytest.mark.parametrize(
    ("build", "ends", "message"),
    [
        (bypassed, (), r"'block1' of \['block1_add'\].* \['block0_dense', 'given'\]"),
        (split, (), r"gives those of \['block0_first', 'block0_second'\]"),
        (residual, ("first0", "sum1"), r"'sum1' of .*takes the outputs of"),
        (residual, ("sum1", "sum0"), "in the order of the model"),
        (residual, ("sum0", "none"), "must name two or more layers.*'none'.*the model has"),
        (residual, ("sum0",), "must name two or more layers"),
        (residual, "sum0", "must name two or more layers"),
    ],
)
def test_what_is_no_block_is_refused(build, ends, message):
    with pytest.raises(ValueError, match=message):
        find_blocks(structure(build()), ends)


def test_a_model_without_blocks_is_refused(base):
    with pytest.raises(ValueError, match="no blocks.*'depthwise'.*`blocks=`"):
        find_blocks(structure(base))

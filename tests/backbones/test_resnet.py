import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.accounting import summary
from swr_keras.backbones import BUILDERS, resnet, resnet50
from swr_keras.layers.reparametrized_model import policy_layers


@pytest.fixture(scope="module")
def large():
    return resnet50()


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def norms(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_size_of_resnet50(large):
    found = convolutions(large)
    assert len(found) == 53 and not any(layer.use_bias for layer in found)
    assert sum(layer.count_params() for layer in found) == 23_454_912
    affine = [v for norm in norms(large) for v in norm.trainable_variables]
    assert sum(int(np.prod(v.shape)) for v in affine) == 53_120
    assert large.get_layer("head").count_params() == 2049 * 1000


def test_multiplies_of_resnet50(large):
    """Torchvision states 4.089 billion for a picture."""
    counted = [row for row in summary(large).rows if row.class_name in ("Conv2D", "Dense")]
    assert sum(row.multiplies for row in counted) == 4_089_184_256


@pytest.mark.slow
def test_policy_layers_of_resnet50(large):
    units = swr.SuperNet(large, num_classes=5).units
    assert list(units) == [layer.name for layer in convolutions(large)]
    assert sum(unit.parameters for unit in units.values()) == 23_454_912


def test_shapes_of_resnet50(large):
    shapes = {layer.name: layer.output.shape[1:] for layer in large.layers}
    assert shapes["stem_conv"] == (112, 112, 64) and shapes["stem_pool"] == (56, 56, 64)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        size, width = 56 // 2**stage, 64 * 2**stage
        for block in range(blocks):
            name = f"stage{stage}_block{block}"
            # The first convolution of a block is before the stride: version 1.5.
            before = size * 2 if stage > 0 and block == 0 else size
            assert shapes[f"{name}_conv1"] == (before, before, width)
            assert shapes[f"{name}_conv2"] == (size, size, width)
            assert shapes[f"{name}_relu"] == (size, size, 4 * width)
            assert (f"{name}_shortcut_conv" in shapes) == (block == 0)
        assert f"stage{stage}_block{blocks}_relu" not in shapes


SMALL = {"resnet20": (3, 16), "resnet20-narrow": (3, 8), "resnet32": (5, 16)}
"""Blocks of a stage, and width of the first one."""


@pytest.mark.parametrize("name", SMALL)
def test_small_ones_by_name(name):
    blocks, width = SMALL[name]
    model = BUILDERS[name](num_classes=4, input_shape=(24, 32, 1))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert len(policy_layers(swr.reparametrize(model, num_classes=4))) == 6 * blocks + 3
    for stage in range(3):
        size = (24 // 2**stage, 32 // 2**stage, width * 2**stage)
        assert shapes[f"stage{stage}_block{blocks - 1}_relu"] == size
        assert f"stage{stage}_block{blocks}_relu" not in shapes
    assert model.output.shape == (None, 4)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3), (9, 17, 3), (None, None, 3)])
def test_any_size_of_8_or_more(shape):
    model = resnet(8, 4, num_classes=3, input_shape=shape)
    given = [size or 13 for size in shape]
    assert model(np.zeros((2, *given), "float32")).shape == (2, 3)


def test_batch_norm_follows_short_trainings(large):
    for norm in (*norms(large), *norms(resnet(8, 4))):
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: resnet(18), r"6n \+ 2.*depth=18"),
        (lambda: resnet(2), r"6n \+ 2.*depth=2"),
        (lambda: resnet(20, 0), "`width` must be positive"),
        (lambda: resnet(20, input_shape=(7, 8, 3)), r"at least 8x8.*\(7, 8, 3\)"),
        (lambda: resnet(20, input_shape=(32, 32)), r"must be \(height, width, channels\)"),
        (lambda: resnet50(input_shape=(224, 224)), r"must be \(height, width, channels\)"),
    ],
)
def test_impossible_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()

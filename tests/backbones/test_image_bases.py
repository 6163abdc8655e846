"""Image backbones, ours and Keras', as bases: adapted, merged, packed, extended and counted."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.accounting import summary
from swr_keras.backbones import mobilenet_v2, resnet, resnet50
from swr_keras.graph import structure
from swr_keras.layers.blocks import find_blocks
from swr_keras.layers.routed_blocks import RoutedBlocks
from swr_keras.layers.side_modules import SideModules

SHAPE = (32, 32, 3)
STAGES = [
    f"stage{stage}_block{block}" for stage, n in enumerate((3, 4, 6, 3)) for block in range(n)
]
BASES = {
    "resnet50": (lambda: resnet50(num_classes=4, input_shape=SHAPE), STAGES),
    "small resnet": (
        lambda: resnet(14, 4, num_classes=4, input_shape=SHAPE),
        [f"stage{stage}_block{block}" for stage in range(3) for block in range(2)],
    ),
    "mobilenet_v2": (
        lambda: mobilenet_v2(0.25, num_classes=4, input_shape=SHAPE),
        [f"block{index}" for index in range(17)],
    ),
    "Keras' ResNet50": (
        lambda: keras.applications.ResNet50(weights=None, input_shape=SHAPE, classes=4),
        [f"conv{2 + s}_block{1 + b}" for s, n in enumerate((3, 4, 6, 3)) for b in range(n)],
    ),
    "Keras' MobileNetV2": (
        lambda: keras.applications.MobileNetV2(
            weights=None, input_shape=SHAPE, classes=4, alpha=0.35
        ),
        [f"block_{index}" for index in range(1, 17)],
    ),
}


LARGE = ("resnet50", "Keras' ResNet50")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in BASES],
)
def named(request):
    keras.utils.set_random_seed(0)
    build, blocks = BASES[request.param]
    return build(), blocks


@pytest.fixture(scope="module")
def base(named):
    return named[0]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, *SHAPE)).astype("float32")


def test_it_is_adapted_merged_and_packed(base, images, tmp_path):
    before = [value.copy() for value in base.get_weights()]
    np.testing.assert_array_equal(swr.reparametrize(base)(images), base(images))
    units = swr.SuperNet(base, num_classes=3).units
    chosen = list(units)[::3]
    task = swr.TaskModel(base, chosen, num_classes=3)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=base.layers[-1].activation is keras.activations.linear
    )
    task.compile(keras.optimizers.SGD(1e-2), loss)
    task.fit(images, np.arange(8) % 3, epochs=1, batch_size=4, verbose=0)
    merged = task.merge(check_on=images)
    assert not [layer for layer in merged.layers if type(layer).__name__.startswith("SWR")]
    task.pack().save(tmp_path / "pack")
    again = swr.TaskPack.load(tmp_path / "pack").on(base)
    np.testing.assert_array_equal(again(images), task(images))
    for value, old in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_what_a_task_owns_is_counted(base):
    units = swr.SuperNet(base, num_classes=3).units
    chosen = list(units)[::5]
    task = swr.TaskModel(base, chosen, num_classes=3)
    costs = summary(task)
    assert costs.multiplies > 0 and not costs.uncounted
    opened = {row.path: row.owned_bytes for row in costs.rows if row.gate}
    assert opened == {path: 4 * units[path].parameters for path in chosen}


@pytest.mark.parametrize("kind", [RoutedBlocks, SideModules])
def test_blocks_are_found_and_extended(named, images, kind):
    base, expected = named
    blocks = find_blocks(structure(base))
    assert [block.name for block in blocks] == expected
    for block, following in zip(blocks, blocks[1:], strict=False):
        assert following.input is block.output
    extended = swr.reparametrize(base, num_classes=3, extension=kind())
    assert extended(images[:2]).shape == (2, 3)

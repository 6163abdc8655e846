import dataclasses
import shutil

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.device import Bundle, DeviceTask, check_emulated, check_patch_emulated, to_c
from swr_keras.export import ExportError, LiteModel, convert_int8

MISSING = [tool for tool in ("qemu-system-arm", "arm-none-eabi-gcc") if not shutil.which(tool)]
SCALE = 10 / 256
FRAMES = 20

needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")


@pytest.fixture(scope="module")
def heard(micro_features):
    pcm = np.random.default_rng(0).normal(0, 3000, 9000).astype(np.int16)
    return pcm, micro_features(pcm) * SCALE


@pytest.fixture(scope="module")
def models(heard):
    def model(seed, frames=FRAMES, classes=3, loudness=1, **options):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((frames, 40, 1))
        x = layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
        return convert_int8(
            keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x))),
            np.stack([loudness * heard[1][at : at + frames, :, None] for at in range(8)]),
            **options,
        )

    one = model(1)
    same_trunk = model(1, classes=4, like=one)
    longer, louder = model(3, FRAMES + 1), model(4, loudness=1.5)
    return {
        "one": one,
        "two": model(2),
        "same trunk": same_trunk,
        "longer": longer,
        "louder": louder,
    }


def bundle_of(models, *names, **room):
    return Bundle.build({name: DeviceTask(models[name], ()) for name in names}, **room)


def check(bundle, *heard, keep_trunk=False, **options):
    return check_emulated(bundle, to_c(bundle, keep_trunk=keep_trunk), *heard, **options)


@needs_tools
@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_all_numbers_agree(models, heard, cpu):
    found = check(bundle_of(models, "one", "two"), *heard, feature_scale=SCALE, cpu=cpu)
    assert found.features == heard[1].size
    assert found.outputs == 2 * 2 * 3
    assert all(count > 10000 for count in found.instructions_per_inference.values())
    assert found.ram_bytes > 40 * FRAMES
    assert f"{found.flash_bytes:,}" in str(found)


@needs_tools
@pytest.mark.parametrize(
    ("names", "shared_steps"), [(("one", "same trunk"), 2), (("one", "two", "same trunk"), 0)]
)
def test_what_tasks_share_is_computed_once(models, heard, names, shared_steps):
    bundle = bundle_of(models, *names)
    assert set(to_c(bundle).shared_steps.values()) == {shared_steps}
    found = check(bundle, *heard, feature_scale=SCALE, keep_trunk=True)
    alone = found.instructions_per_inference
    assert found.outputs == 3 * sum(4 if name == "same trunk" else 3 for name in names)
    if shared_steps:
        assert found.instructions_together < alone["one"] + 0.1 * alone["same trunk"]
    else:
        assert 0.8 * sum(alone.values()) < found.instructions_together < sum(alone.values())
    assert f"{found.instructions_together:,} instructions instead of" in str(found)
    assert check(bundle, *heard, feature_scale=SCALE).instructions_together is None


@needs_tools
def test_inputs_of_several_scales_are_each_heard(models, heard):
    assert LiteModel(models["louder"]).input_scale > LiteModel(models["one"]).input_scale
    once = check(bundle_of(models, "one", "two"), *heard, feature_scale=SCALE)
    found = check(bundle_of(models, "one", "louder"), *heard, feature_scale=SCALE)
    assert found.features == 4 * once.features
    assert found.instructions_per_frame == pytest.approx(once.instructions_per_frame, rel=0.02)


@needs_tools
def test_a_feature_that_differs_is_found(models, heard):
    pcm, features = heard
    features = features.copy()
    features[5, 7] += SCALE
    with pytest.raises(ExportError, match=r"1 of \d+ features aren't"):
        check(bundle_of(models, "one"), pcm, features, feature_scale=SCALE)


@needs_tools
def test_a_patch_is_applied_as_python_does(models):
    before = bundle_of(models, "one", image_bytes=32768, slot_bytes=512)
    patch = before.add("two", DeviceTask(models["two"], ("a", "b", "c")))
    check_patch_emulated(before, patch)
    start, data = patch.writes[0]
    damaged = dataclasses.replace(patch, writes=((start, data[:-1] + b"?"), *patch.writes[1:]))
    with pytest.raises(Exception, match="status 2"):
        check_patch_emulated(before, damaged)


def test_audio_that_is_too_short_is_refused(models, heard):
    with pytest.raises(ValueError, match="read 20 frames. Received: audio of 19"):
        check(bundle_of(models, "one"), heard[0], heard[1][:19], feature_scale=SCALE)


def test_tasks_with_other_inputs_are_refused(models, heard):
    with pytest.raises(ValueError, match="several shapes"):
        check(bundle_of(models, "one", "longer"), *heard, feature_scale=SCALE)

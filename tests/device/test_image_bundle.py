"""Tasks of images share a base in a bundle as keywords do."""

import keras
import numpy as np

import swr_keras as swr
from swr_keras.backbones import resnet
from swr_keras.device import convert_library
from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.flatbuffer import parse

SHAPE = (32, 32, 3)


def images(seed):
    return np.random.default_rng(seed).normal(size=(16, *SHAPE)).astype("float32")


def test_tasks_add_to_an_image_what_they_change():
    keras.utils.set_random_seed(0)
    base = resnet(8, 8, num_classes=4, input_shape=SHAPE)
    for _ in range(20):
        base(images(0), training=True)
    library = swr.TaskLibrary(base)
    layers = list(swr.SuperNet(base, num_classes=3).units)
    for task, changed in {"head": [], "late": layers[-4:]}.items():
        model = swr.TaskModel(base, changed, num_classes=3)
        for variable in model.owned_variables:
            variable.assign_add(keras.random.normal(variable.shape, 0.0, 0.02))
        library.add(task, model.pack())
    calibration = {name: images(0) for name in ("base", "head", "late")}

    bundle = convert_library(library, calibration)

    alone = {name: len(bundle.extract(name)) for name in bundle.names}
    assert bundle.own_bytes["head"] < bundle.own_bytes["late"] < alone["late"]
    assert bundle.own_bytes["head"] < alone["head"] / 4
    expected = convert_int8(library.merged("late"), images(0), like=parse(bundle.extract("base")))
    stored = LiteModel(parse(bundle.model("late")))
    inputs = stored.quantize(images(9))
    np.testing.assert_array_equal(
        stored.predict_int8(inputs), LiteModel(expected).predict_int8(inputs)
    )

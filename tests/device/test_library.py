import dataclasses

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.device import Bundle, DeviceTask, convert_library
from swr_keras.export import ExportError, LiteModel, convert_int8
from swr_keras.export.flatbuffer import parse

LABELS = {"base": ("a", "b", "c", "d"), "one": ("no", "yes"), "two": ("x", "y", "z")}
CHANGED = {"one": ["pointwise"], "two": []}


def features(seed):
    return np.random.default_rng(seed).normal(size=(16, 10, 8, 1)).astype("float32")


CALIBRATION = {"base": features(0), "one": features(1), "two": list(features(2))}


@pytest.fixture(scope="module")
def library(small_base):
    base = small_base()
    library = swr.TaskLibrary(base)
    for name, changed in CHANGED.items():
        library.add(name, pack(base, changed, len(LABELS[name])))
    return library


def pack(base, changed, classes):
    task = swr.TaskModel(base, changed, num_classes=classes)
    for seed, variable in enumerate(task.task_variables().values()):
        if "variance" not in variable.path:
            variable.assign(keras.random.normal(variable.shape, seed=seed))
    return task.pack()


@pytest.fixture(scope="module")
def bundle(library):
    return convert_library(library, CALIBRATION, labels=LABELS, image_bytes=65536, slot_bytes=512)


def answers(model, inputs):
    model = LiteModel(parse(model) if isinstance(model, bytes) else model)
    return model.predict_int8(model.quantize(inputs))


def test_each_task_is_what_a_conversion_like_the_base_gives(library, bundle):
    base = convert_int8(library.base, CALIBRATION["base"])
    assert bundle.names == ("base", "one", "two")
    np.testing.assert_array_equal(
        answers(bundle.model("base"), features(3)), answers(base, features(3))
    )
    for name in library:
        expected = convert_int8(library.merged(name), CALIBRATION[name], like=base)
        np.testing.assert_array_equal(
            answers(bundle.model(name), features(3)), answers(expected, features(3))
        )


def test_tasks_have_their_labels_and_the_image_its_size(bundle):
    assert {name: bundle.labels(name) for name in bundle.names} == LABELS
    assert len(bundle.image) == 65536
    assert bundle.table.slot_bytes == 512


def test_what_a_task_leaves_as_it_was_is_in_the_image_once(bundle):
    own = bundle.own_bytes
    alone = {name: len(bundle.extract(name)) for name in bundle.names}
    assert own["two"] < own["one"] < alone["one"] / 2


def test_a_task_is_added_later_as_the_others_were(library, bundle):
    base = parse(bundle.extract("base"))
    int8 = convert_int8(library.merged("one"), CALIBRATION["one"], like=base)
    patch = bundle.add("again", DeviceTask(int8, LABELS["one"]))
    assert len(patch.writes[0][1]) < 400


def test_labels_are_optional_and_the_image_as_small_as_can_be(library):
    bundle = convert_library(library, CALIBRATION)
    assert isinstance(bundle, Bundle)
    assert bundle.labels("one") == ()
    assert len(bundle.image) < 65536


def test_the_library_is_as_it_was(library, bundle):
    assert tuple(library) == ("one", "two")
    restored = swr.TaskLibrary(library.base)
    restored.add("one", library["one"])


@dataclasses.dataclass
class Given:
    """What isn't a TaskLibrary and has what is needed of one."""

    base: keras.Model
    models: dict

    def __iter__(self):
        return iter(self.models)

    def merged(self, name):
        return self.models[name]


def test_any_base_with_models_will_do(library, bundle):
    given = Given(library.base, {name: library.merged(name) for name in library})
    same = convert_library(given, CALIBRATION, labels=LABELS, image_bytes=65536, slot_bytes=512)
    assert same.image == bundle.image


def without(name):
    return {each: value for each, value in CALIBRATION.items() if each != name}


@pytest.mark.parametrize(
    ("calibration", "labels", "message"),
    [
        (without("base"), LABELS, r"none for \['base'\]"),
        (without("two"), LABELS, r"none for \['two'\]"),
        (CALIBRATION | {"three": features(3)}, LABELS, r"`calibration` .* \['three'\]"),
        (CALIBRATION, {"three": ("a", "b")}, r"`labels` .* \['three'\]"),
        (CALIBRATION, {"one": ("a", "b", "c")}, "'one' has 2 outputs. Received: 3 labels"),
        (CALIBRATION, {"base": ("a", "b")}, "'base' has 4 outputs. Received: 2 labels"),
        (CALIBRATION, {"one": ("a", "")}, "labels of a task"),
        (CALIBRATION | {"two": features(0)[:0]}, {}, "'two': Expected calibration examples"),
        (CALIBRATION | {"one": features(0)[..., 0]}, {}, "'one': Expected calibration of shape"),
        (CALIBRATION | {"one": features(0) * np.nan}, {}, "'one': Calibration must be finite"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_conversion(
    library, calibration, labels, message, monkeypatch
):
    monkeypatch.delattr("swr_keras.device.library.convert_int8")
    with pytest.raises(ValueError, match=message):
        convert_library(library, calibration, labels=labels)


@pytest.mark.parametrize("names", [[], ["base"], ["a" * 33]])
def test_a_library_that_is_no_bundle_is_refused(library, names, monkeypatch):
    monkeypatch.delattr("swr_keras.device.library.convert_int8")
    given = Given(library.base, {name: library.base for name in names})
    with pytest.raises(ValueError, match="one or more tasks|1 to 32 bytes"):
        convert_library(given, {name: features(0) for name in ("base", *names)})


def test_an_input_of_unknown_size_is_refused(monkeypatch):
    monkeypatch.delattr("swr_keras.device.library.convert_int8")
    inputs = keras.Input((None, 8, 1))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(ValueError, match="Task 'base': A microcontroller needs fixed sizes"):
        convert_library(Given(model, {"one": model}), {"base": features(0), "one": features(1)})


def test_a_task_that_can_not_be_converted_is_named(library):
    broken = keras.models.clone_model(library.base)
    broken.get_layer("conv").kernel.assign(np.full((3, 3, 1, 6), np.nan))
    with pytest.raises(ExportError, match="Task 'broken'.*NaN"):
        convert_library(
            Given(library.base, {"broken": broken}), {"base": features(0), "broken": features(0)}
        )


def test_an_image_that_is_too_small_is_refused(library):
    with pytest.raises(ValueError, match="image_bytes=1024"):
        convert_library(library, CALIBRATION, image_bytes=1024, slot_bytes=128)

import dataclasses
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import swr_keras as swr
from swr_keras.export.manifest import as_json, describe_front_end
from swr_keras.images import Transform, View, load_task
from swr_keras.images.crops import PaddedCrop, RandomResizedCrop
from swr_keras.split_task import BASE

VIEW = View(Transform.named("tf", size=8, short_side=9), PaddedCrop(2))


@pytest.fixture(params=["memory", "files"])
def task(request, folder):
    """The set, in memory or decoded each epoch."""
    most_bytes = 2**30 if request.param == "memory" else 0
    return load_task(folder, view=VIEW, validation_share=0.25, most_bytes=most_bytes)


def batches(dataset, count=-1):
    return [(x, y) for x, y in dataset.take(count).as_numpy_iterator()]


def joined(dataset, count=-1):
    inputs, labels = zip(*batches(dataset, count), strict=True)
    return np.concatenate(inputs), np.concatenate(labels)


def test_batches_are_what_a_network_takes(task):
    assert task.examples == {"training": 18, "validation": 6, "testing": 12}
    assert task.input_shape == (8, 8, 3)
    for dataset in (task.training(5), task.validation(), task.testing()):
        inputs, labels = batches(dataset, 1)[0]
        assert inputs.dtype == np.float32 and labels.dtype == np.int32
        assert inputs.shape[1:] == (8, 8, 3) and len(inputs) == len(labels)
        assert dataset.element_spec[0].shape.as_list() == [None, 8, 8, 3]


def test_inputs_show_the_images_of_their_labels(task):
    for dataset in (task.training(18).take(1), task.validation(), task.testing()):
        for inputs, labels in batches(dataset):
            np.testing.assert_array_equal(inputs.mean((1, 2)).argmax(-1), labels)


def test_test_inputs_are_the_transform_of_the_files(task, folder):
    inputs, labels = joined(task.testing())
    assert (np.diff(labels) >= 0).all()
    for name, found in zip(task.splits["testing"].names, inputs, strict=True):
        image = Image.open(folder / name).resize((9, 9), Image.Resampling.BILINEAR)
        expected = np.asarray(image)[:8, :8] / 127.5 - 1.0
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_training_has_no_end_and_each_epoch_all_images(task):
    assert task.steps_per_epoch(5) == 4
    assert task.training(5).cardinality() == tf.data.INFINITE_CARDINALITY
    found = batches(task.training(5), 12)
    assert [len(labels) for _, labels in found] == [5, 5, 5, 3] * 3
    for epoch in range(3):
        labels = np.concatenate([each for _, each in found[4 * epoch : 4 * epoch + 4]])
        assert np.bincount(labels).tolist() == [6, 6, 6]


def test_an_epoch_is_the_same_whenever_it_is_asked_for(task):
    whole, labels = joined(task.training(5), 12)
    again, labels_again = joined(task.training(5, first_epoch=2), 4)
    np.testing.assert_array_equal(whole[36:], again)
    np.testing.assert_array_equal(labels[36:], labels_again)
    assert not np.array_equal(whole[:18], whole[18:36])


def test_and_in_batches_of_any_size(task):
    np.testing.assert_array_equal(joined(task.training(5), 8)[0], joined(task.training(18), 2)[0])


def test_and_whether_images_are_kept_or_not(folder):
    kept, in_files = (
        load_task(folder, view=VIEW, most_bytes=most_bytes) for most_bytes in (2**30, 0)
    )
    assert kept.digest() == in_files.digest()
    np.testing.assert_array_equal(
        joined(kept.training(7), 6)[0], joined(in_files.training(7), 6)[0]
    )


@pytest.mark.parametrize("crop", [None, PaddedCrop(2), RandomResizedCrop()])
def test_images_of_all_shapes_train(folder, crop):
    for number, size in enumerate([(9, 40), (40, 9), (31, 30)]):
        Image.new("RGB", size).save(folder / "train" / "car" / f"odd{number}.png")
    view = dataclasses.replace(VIEW, crop=crop)
    inputs, _ = joined(load_task(folder, view=view).training(4), 12)
    assert inputs.shape[1:] == (8, 8, 3)
    assert np.isfinite(inputs).all() and inputs.min() >= -1 and inputs.max() <= 1


def test_another_seed_is_another_order(folder):
    views = VIEW, dataclasses.replace(VIEW, seed=1)
    first, other = (joined(load_task(folder, view=view).training(21), 1)[0] for view in views)
    assert not np.array_equal(first, other)


def test_mixed_validation_mixes_the_classes(task):
    inputs, labels = joined(task.validation())
    mixed, mixed_labels = joined(task.validation(mixed=True))
    assert (np.diff(labels) >= 0).all() and (np.diff(mixed_labels) < 0).any()
    order = lambda x: np.sort(x.reshape(len(x), -1).sum(1))  # noqa: E731
    np.testing.assert_allclose(order(inputs), order(mixed), rtol=1e-5, atol=1e-4)


def test_validation_and_test_are_the_same_at_every_pass(task):
    for dataset in (task.validation(), task.testing()):
        np.testing.assert_array_equal(joined(dataset)[0], joined(dataset)[0])


@pytest.mark.parametrize(("count", "found"), [(3, 3), (7, 7), (1000, 18)])
def test_calibration_is_spread_over_the_classes(task, count, found):
    names = task.calibration_names(count)
    assert len(names) == len(set(names)) == found
    assert {name.split("/")[1] for name in names} == {"bird", "car", "tree"}
    inputs = task.calibration(count)
    assert inputs.shape == (found, 8, 8, 3)
    np.testing.assert_array_equal(inputs, task.calibration(count))
    colours = [task.labels[at] for at in inputs.mean((1, 2)).argmax(-1)]
    assert colours == [name.split("/")[1] for name in names]


def test_a_task_goes_to_another_process_without_its_data_sets(task):
    found = joined(task.training(5), 4), joined(task.testing())
    sent = pickle.loads(pickle.dumps(task))
    assert sent.digest() == task.digest()
    np.testing.assert_array_equal(found[0][0], joined(sent.training(5), 4)[0])
    np.testing.assert_array_equal(found[1][0], joined(sent.testing())[0])


def test_a_file_that_changes_after_loading_is_named(folder):
    task = load_task(folder, view=VIEW, most_bytes=0)
    Image.new("RGB", (12, 12)).save(folder / "test" / "car" / "0.png")
    with pytest.raises(tf.errors.OpError, match=r"test/car/0.png: the file changed"):
        joined(task.testing())


def change_pixel(folder):
    path = folder / "test" / "car" / "1.png"
    image = Image.open(path).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path)


CHANGES = {
    "content": (change_pixel, {}),
    "image name": (lambda f: (f / "test/car/1.png").rename(f / "test/car/x.png"), {}),
    "class name": (
        lambda f: [(f / part / "car").rename(f / part / "cat") for part in ("train", "test")],
        {},
    ),
    "fewer": (lambda f: (f / "train/car/1.png").unlink(), {}),
    "size": (None, {"view": View(Transform.named("tf", size=9, short_side=9), PaddedCrop(2))}),
    "numbers": (None, {"view": View(Transform(8, 9), PaddedCrop(2))}),
    "crop": (None, {"view": dataclasses.replace(VIEW, crop=PaddedCrop(1))}),
    "flip": (None, {"view": dataclasses.replace(VIEW, flip=False)}),
    "seed": (None, {"view": dataclasses.replace(VIEW, seed=1)}),
    "validation": (None, {"split_seed": 1}),
    "share": (None, {"validation_share": 0.5}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_what_matters(folder, change):
    edit, options = CHANGES[change]
    before = load_task(folder, view=VIEW).digest()
    if edit:
        edit(folder)
    assert load_task(folder, **({"view": VIEW} | options)).digest() != before


def test_the_digest_changes_with_nothing_else(folder, tmp_path):
    before = load_task(folder, view=VIEW).digest()
    (folder / "train" / "notes.txt").write_bytes(b"x")
    for path in folder.rglob("*.png"):
        path.touch()
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_task(moved, "another name", view=VIEW, most_bytes=0).digest() == before


def test_another_view_of_the_same_scale_may_be_had(task):
    torch = Transform(8, 9)
    other = dataclasses.replace(task, view=View(torch))
    assert other.digest() != task.digest()
    assert joined(other.testing())[0].std() > joined(task.testing())[0].std()
    with pytest.raises(ValueError, match="scaled for another view"):
        dataclasses.replace(task, view=View(Transform(9, 9)))


def test_a_manifest_can_record_the_front_end(task):
    described = as_json(describe_front_end(task.front_end), "")
    assert described["class"] == "Transform"
    assert described["parameters"] == {
        "size": 8,
        "short_side": 9,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "order": "rgb",
    }


def test_grey_inputs(folder):
    view = View(Transform.named("tf", size=8, short_side=8, channels=1))
    task = load_task(folder, view=view)
    assert task.input_shape == (8, 8, 1)
    assert joined(task.testing())[0].shape == (12, 8, 8, 1)


def test_the_default_is_the_benchmarks_view(tmp_path, write):
    folder = write(tmp_path / "cars_cropped", train=2, test=1)
    task = load_task(folder, BASE)
    assert task.name == BASE
    assert task.input_shape == (224, 224, 3)
    assert task.front_end.short_side is None and task.view.crop is None


def test_a_network_learns_a_set(task):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(task.input_shape)
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    fit = swr.Fit(epochs=15, learning_rate=0.05, batch_size=6)
    logs = fit.run(model, task, verbose=0)
    assert logs[-1]["val_accuracy"] > 0.9

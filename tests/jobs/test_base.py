"""The job that trains a base."""

import keras
import numpy as np
import pytest

from swr_keras.backbones import PUBLISHED
from swr_keras.jobs.base import (
    PublishedBase,
    TrainBase,
    read_base,
    read_labels,
    weights_digest,
    write_base,
)
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import PlaceWithTasks
from swr_keras.jobs.store import JobStore
from swr_keras.training.fit import Fit
from swr_keras.training.given_data import GivenData
from swr_keras.training.task_model import TaskModel


class Task(GivenData):
    """Arrays as a task that jobs can measure."""

    name = "english"
    labels = ("a", "b", "c")
    input_shape = (6, 40, 1)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_base_has_its_precision_and_hands_it_on(precision, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(12, 6, 40, 1)).astype("float32"), np.arange(12) % 3
    inputs = keras.Input((6, 40, 1))
    head = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    task = Task(keras.Model(inputs, head), x, y, num_classes=3, validation_data=(x, y))
    job = TrainBase(
        backbone="bcresnet1",
        fit=Fit(epochs=1, batch_size=6),
        precision=precision,
        task="english",
        data="d",
        seed=0,
    )
    store = JobStore(tmp_path)
    assert perform(job, store, lambda data: task) is None
    assert keras.config.dtype_policy().name == "float32"
    base, labels = PlaceWithTasks(store, lambda data: task, 0).base(job)
    assert labels == task.labels
    model = TaskModel(base, ["stem_conv"])
    for layer in (base.get_layer("stem_conv"), model.model.get_layer("stem_conv")):
        assert layer.dtype_policy.name == precision
        assert layer.variable_dtype == "float32"


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_published_base_has_its_precision(precision, tmp_path, monkeypatch):
    def small(*, input_shape, weights):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))

    monkeypatch.setitem(PUBLISHED, "mobilenet_v2", small)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"any")
    job = PublishedBase(
        backbone="mobilenet_v2",
        input_shape=(4, 4, 3),
        weights=str(weights),
        precision=precision,
        task="base",
        data=weights_digest(str(weights)),
        seed=0,
    )
    store = JobStore(tmp_path / "store")
    assert perform(job, store, lambda data: None) is None
    base, labels = read_base(store.folder(job))
    assert labels is None
    assert base.layers[-1].dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", ["base.keras", "base.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"labels": 3}', b"half"])
def test_a_damaged_base_is_an_error(content, name, tmp_path):
    inputs = keras.Input((2,))
    write_base(tmp_path, keras.Model(inputs, keras.layers.Dense(2)(inputs)), ("a", "b"))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        read_base(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"labels": "yes"}', '{"labels": [1]}'])
def test_damaged_class_names_are_named(text, tmp_path):
    (tmp_path / "base.json").write_text(text)
    with pytest.raises(ValueError, match="base.json"):
        read_labels(tmp_path)

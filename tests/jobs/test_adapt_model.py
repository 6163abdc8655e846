"""The job of a method whose model isn't an ordinary task model."""

import types

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.jobs.model import AdaptModel
from swr_keras.methods import TAPS, Piggyback
from swr_keras.training.given_data import GivenData

FIT = swr.Fit(epochs=2, learning_rate=2e-2, batch_size=32)


class Measured(GivenData):
    """Arrays that are validation, test and calibration as well."""

    labels = ("a", "b", "c")
    input_shape = (10, 8, 1)

    def validation(self, *, mixed=False):
        return self.training(96).take(1)

    def testing(self):
        return self.training(96).take(1)

    def conditions(self):
        return {}

    def calibration(self, count):
        return next(iter(self.training(count)))[0]


@pytest.mark.parametrize("method", [TAPS(fit=FIT), Piggyback(fit=FIT)], ids=lambda m: m.name)
def test_its_files_and_result_tell_what_the_task_owns(method, base, arrays, tmp_path):
    place = types.SimpleNamespace(
        path=tmp_path,
        verbose=0,
        task=lambda job: Measured(base, *arrays, num_classes=3),
        files=lambda job: tmp_path / job.folder_name,
        base=lambda job: (base,),
        state=lambda job, name: tmp_path / f"{name}.safetensors",
    )
    job = AdaptModel(task="words", data="", seed=0, base=None, method=method)
    result = job.run(place)
    pack = swr.TaskPack.load(place.files(job) / "task.swr.safetensors")
    assert (result.owned_bytes, result.method) == (pack.num_bytes, method.name)
    assert result.changed_layers == pack.policy.selected_layers
    x = arrays[0][:8]
    merged = keras.saving.load_model(place.files(job) / "model.keras")
    np.testing.assert_allclose(merged(x), pack.on(base)(x), rtol=1e-4, atol=1e-5)

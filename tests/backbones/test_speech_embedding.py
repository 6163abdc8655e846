import importlib.resources
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import swr_keras as swr
from swr_keras.audio import EmbeddingMel
from swr_keras.backbones import speech_embedding
from swr_keras.export import LiteModel, convert_int8
from swr_keras.layers.reparametrized_model import policy_layers

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def models():
    """Folder of the wheel's models."""
    pytest.importorskip("pyopen_wakeword", reason="needs the extra `embedding`")
    return importlib.resources.files("pyopen_wakeword").joinpath("models")


@pytest.fixture(scope="module")
def base(models):
    keras.utils.set_random_seed(0)
    return speech_embedding(num_classes=5)


@pytest.fixture(scope="module")
def features():
    """Mel features of sweeps in noise, `(6, 97, 32, 1)`."""
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    rates_hz = rng.uniform(300, 3000, (6, 1))
    audio = 0.3 * np.sin(2 * np.pi * (200 + rates_hz * time) * time)
    audio = audio * np.exp(-(((time - 0.5) / 0.2) ** 2)) + rng.normal(0, 0.01, (6, 16000))
    return EmbeddingMel()(tf.constant(audio, tf.float32)).numpy()


def policy_for(base, target_cost):
    sizes = {layer.name: layer.count_params() for layer in base.layers if "_conv" in layer.name}
    probabilities = np.linspace(1.0, 0.5, len(sizes)).tolist()
    return swr.Policy.from_probabilities(
        list(sizes), list(sizes.values()), probabilities, target_cost
    )


def embeddings(base, x):
    return keras.Model(base.input, base.get_layer("embedding_conv").output)(x).numpy()


def test_size_and_policy_layers(base):
    assert base.count_params() == 328224 + 97 * 5
    assert len(policy_layers(swr.reparametrize(base, num_classes=12))) == 20


def test_gives_the_original_embedding_of_every_window(base, models, features):
    interpreter = Interpreter(str(models / "embedding_model.tflite"))
    interpreter.allocate_tensors()

    def original(window):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window[None])
        interpreter.invoke()
        index = interpreter.get_output_details()[0]["index"]
        return interpreter.get_tensor(index)[0, 0, 0] / 16

    rng = np.random.default_rng(1)
    noise = rng.normal(6.0, 3.0, (4, 97, 32, 1)).astype("float32")
    for x in (features, noise):
        expected = np.array([[original(clip[s : s + 76]) for s in (0, 8, 16)] for clip in x])
        np.testing.assert_allclose(embeddings(base, x)[:, :, 0], expected, atol=1e-5)
        head = base.get_layer("head")
        logits = expected.mean(axis=1) @ head.kernel.numpy() + head.bias.numpy()
        np.testing.assert_allclose(base(x), logits, atol=1e-4)


def test_a_window_every_8_frames(models):
    model = speech_embedding(num_classes=3, input_shape=(None, 32, 1))
    convolutional = keras.Model(model.input, model.get_layer("embedding_conv").output)
    for frames, windows in ((76, 1), (83, 1), (84, 2), (97, 3)):
        assert convolutional.compute_output_shape((2, frames, 32, 1)) == (2, windows, 1, 96)
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("mode", ["statistics", "affine", "frozen"])
def test_a_task_owns_its_head_and_deltas_alone(base, mode):
    policy = policy_for(base, 0.1)
    assert 0.05 < policy.achieved_cost <= 0.1
    task = swr.TaskModel(base, policy, num_classes=3, batch_norm=mode)
    deltas = {
        f"{path}/{name}_delta" for path in policy.selected_layers for name in ("kernel", "bias")
    }
    assert set(task.task_variables()) == deltas | {"head/kernel", "head/bias"}
    assert len(task.owned_variables) == len(task.task_variables())


def test_zero_deltas_are_the_base_and_merging_keeps_the_task(base, features, tmp_path):
    np.testing.assert_array_equal(swr.reparametrize(base)(features), base(features))
    task = swr.TaskModel(base, policy_for(base, 0.3), num_classes=3)
    rng = np.random.default_rng(2)
    for variable in task.owned_variables:
        variable.assign(rng.normal(0, 0.05, variable.shape))
    merged = task.merge(check_on=features)
    assert [type(layer) for layer in merged.layers] == [type(layer) for layer in base.layers]
    assert np.max(np.abs(embeddings(merged, features) - embeddings(base, features))) > 0.1
    merged.save(tmp_path / "task.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(loaded(features), merged(features))


@pytest.mark.slow
def test_all_stages_train(base, features):
    keras.utils.set_random_seed(0)
    labels = np.arange(6) % 3
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile("adam", LOSS)
    supernet.fit(features, labels, batch_size=6, epochs=2, verbose=0)
    search = swr.PolicySearch(supernet)
    search.compile("adam", LOSS)
    search.fit(features, labels, batch_size=6, verbose=0)
    task = swr.TaskModel(base, search.policy(0.1), num_classes=3)
    task.compile(keras.optimizers.Adam(1e-2), LOSS)
    losses = task.fit(features, labels, batch_size=6, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    np.testing.assert_allclose(task.merge()(features), task(features), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_int8_runs_on_tflite_micro(base, features):
    expected = base(features).numpy()
    found = LiteModel(convert_int8(base, features), engine="tflm").predict(features)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.1 * np.std(expected)


@pytest.mark.parametrize(
    "input_shape", [(75, 32, 1), (97, 40, 1), (97, 32), (97, 32, 2), (0, 32, 1)]
)
def test_impossible_input_shape(input_shape):
    with pytest.raises(ValueError, match=r"must be \(frames, 32, 1\) with at least 76 frames"):
        speech_embedding(input_shape=input_shape)


def test_names_the_extra_where_the_weights_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyopen_wakeword", None)
    with pytest.raises(ImportError, match=r'pip install "swr-keras\[embedding\]"'):
        speech_embedding()


def test_refuses_another_network(models, monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    other = (models / "melspectrogram.tflite").read_bytes()
    (tmp_path / "models" / "embedding_model.tflite").write_bytes(other)
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"holds another network.*Received: \[\(1, 512, 1, 257\)"):
        speech_embedding()

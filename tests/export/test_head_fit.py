import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.flatbuffer import parse
from swr_keras.export.head_fit import fit_head


def deep(head):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 8, 1))
    for _ in range(6):
        x = layers.Conv2D(8, 3, padding="same", activation="silu", kernel_initializer="he_normal")(
            x
        )
    x = layers.GlobalAveragePooling2D()(x)
    for layer in head():
        x = layer(x)
    return keras.Model(inputs, x)


HEADS = {
    "dense": lambda: [layers.Dense(5, bias_initializer="normal")],
    "one output": lambda: [layers.Dense(1, bias_initializer="normal")],
    "convolution": lambda: [layers.Reshape((1, 1, 8)), layers.Conv2D(5, 1), layers.Flatten()],
    "reshaped": lambda: [layers.Dense(6, bias_initializer="normal"), layers.Reshape((2, 3))],
}
UNFIT = {
    "softmax": lambda: [layers.Dense(5, activation="softmax")],
    "activation": lambda: [layers.Dense(5, activation="relu")],
    "no layer": lambda: [],
}


def draw(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 12, 8, 1)).astype("float32")


def converted(model, monkeypatch):
    """Converts without the fit."""
    with monkeypatch.context() as patch:
        patch.setattr("swr_keras.export.int8.fit_head", lambda data, *_: data)
        return convert_int8(model, draw(64, 0)).data


def error(data, model, examples):
    return np.square(LiteModel(parse(data)).predict(examples) - model.predict(examples)).mean()


def change_head(model, *, factor=1.0, shift=0.0):
    head = [layer for layer in model.layers if layer.weights][-1]
    kernel, bias = head.get_weights()
    head.set_weights([factor * kernel, bias + shift])


@pytest.mark.parametrize("change", ["factor", "shift"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_finds_what_is_off_for_examples_it_has_not_seen(head, change, monkeypatch):
    model, seen, unseen = deep(head), draw(64, 0), draw(64, 1)
    data = converted(model, monkeypatch)
    as_it_was = error(data, model, unseen)
    spread = np.std(model.predict(seen), axis=0).mean()
    change_head(model, **({"factor": 0.3} if change == "factor" else {"shift": spread}))
    off = error(data, model, unseen)
    assert off > 4 * as_it_was
    assert error(fit_head(data, seen, model.predict(seen)), model, unseen) < 0.5 * off


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_costs_next_to_nothing_where_rounding_is_chance(head, monkeypatch):
    model, seen, unseen = deep(head), draw(64, 0), draw(64, 1)
    data = converted(model, monkeypatch)
    fitted = fit_head(data, seen, model.predict(seen))
    assert fitted != data
    assert error(fitted, model, unseen) < 1.1 * error(data, model, unseen)


@pytest.mark.parametrize("head", UNFIT.values(), ids=UNFIT)
def test_other_outputs_stay(head, monkeypatch):
    model, seen = deep(head), draw(64, 0)
    data = converted(model, monkeypatch)
    assert fit_head(data, seen, model.predict(seen)) == data


def test_too_few_examples_change_nothing(monkeypatch):
    model, few = deep(HEADS["dense"]), draw(15, 0)
    data = converted(model, monkeypatch)
    assert fit_head(data, few, model.predict(few)) == data


def test_noise_is_not_fitted():
    """What nothing predicts changes the answers on other examples next to nothing."""
    model, seen, unseen = deep(HEADS["dense"]), draw(24, 0), draw(64, 1)
    data = convert_int8(model, seen).data
    outputs = model.predict(seen)
    noise = np.random.default_rng(2).normal(scale=0.05 * outputs.std(), size=outputs.shape)
    worse = error(fit_head(data, seen, outputs + noise), model, unseen)
    assert worse < error(data, model, unseen) + np.square(noise).mean() / 4


def test_other_layers_keep_their_constants(monkeypatch):
    model, seen = deep(HEADS["dense"]), draw(64, 0)
    data = converted(model, monkeypatch)
    before, after = (parse(each) for each in (data, fit_head(data, seen, model.predict(seen))))
    kernels = [
        [tensor.shape for tensor in contents.outputs] + [op.name for op in contents.operators]
        for contents in (before, after)
    ]
    assert kernels[0] == kernels[1]
    assert len(after.data) <= len(before.data) + 64

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, losses, metrics

import swr_keras as swr
from swr_keras.training.heads import default_loss, default_metrics, output_activation


def ends_in(*last):
    return keras.Sequential([keras.Input((4,)), layers.Dense(5, name="hidden"), *last])


def dense(units, activation=None):
    return lambda: ends_in(layers.Dense(units, activation=activation))


def nested(activation):
    inputs = keras.Input((5,))
    x = layers.Dense(4)(inputs)
    inner = keras.Model(inputs, layers.Dense(3, activation=activation)(x), name="inner")
    return lambda: ends_in(keras.models.clone_model(inner))


def labels(dtype, *shape):
    return tf.TensorSpec((None, *shape), dtype)


SPARSE = losses.SparseCategoricalCrossentropy, metrics.SparseCategoricalAccuracy
CATEGORICAL = losses.CategoricalCrossentropy, metrics.CategoricalAccuracy
BINARY = losses.BinaryCrossentropy, metrics.BinaryAccuracy
CASES = [
    (dense(3), None, SPARSE, None),
    (dense(3), labels("int64"), SPARSE, None),
    (dense(3, "softmax"), labels("int32", 1), SPARSE, "softmax"),
    (lambda: ends_in(layers.Dense(3), layers.Softmax()), labels("int64"), SPARSE, "softmax"),
    (lambda: ends_in(layers.Dense(3), layers.Activation("softmax")), None, SPARSE, "softmax"),
    (lambda: ends_in(layers.Dense(3, "softmax"), layers.Flatten()), None, SPARSE, "softmax"),
    (nested(None), labels("int64"), SPARSE, None),
    (nested("softmax"), labels("int64"), SPARSE, "softmax"),
    (dense(3), labels("float32", 3), CATEGORICAL, None),
    (dense(3, "softmax"), labels("float32", 3), CATEGORICAL, "softmax"),
    (dense(3, "sigmoid"), labels("float32", 3), BINARY, "sigmoid"),
    (dense(1), None, BINARY, None),
    (dense(1), labels("int64"), BINARY, None),
    (dense(1), labels("bool", 1), BINARY, None),
    (dense(1, "sigmoid"), labels("int64"), BINARY, "sigmoid"),
    (dense(1, "sigmoid"), labels("float32", 1), BINARY, "sigmoid"),
]


@pytest.mark.parametrize(("build", "spec", "expected", "activation"), CASES)
def test_loss_and_metric_follow_head_and_labels(build, spec, expected, activation):
    base = build()
    for model in (base, swr.SuperNet(base)):
        loss, (metric,) = default_loss(model, spec), default_metrics(model, spec)
        assert (type(loss), type(metric)) == expected
        assert loss.from_logits == (activation is None)
        assert output_activation(model) == activation
        assert metric.name == "accuracy"
        if isinstance(metric, metrics.BinaryAccuracy):
            assert metric.threshold == (0.5 if activation else 0.0)


@pytest.mark.parametrize(
    ("build", "spec"),
    [
        (dense(1), labels("float32")),
        (dense(1), labels("float32", 1)),
        (dense(1, "softmax"), labels("int64")),
        (dense(3), labels("float32")),
        (dense(3), labels("float32", 2)),
        (dense(3, "sigmoid"), labels("int64")),
    ],
)
def test_what_cannot_be_known_is_refused(build, spec):
    with pytest.raises(ValueError, match="No loss is known.*Pass `loss=`"):
        default_loss(build(), spec)


@pytest.mark.parametrize(("build", "spec", "expected", "activation"), CASES)
def test_smoothed_labels_go_to_all_classes_alike(build, spec, expected, activation):
    smoothing, model = 0.3, build()
    loss = default_loss(model, spec, smoothing)
    outputs = model(np.random.default_rng(0).normal(size=(5, 4)))
    binary = expected is BINARY
    classes = outputs.shape[-1]
    if binary:
        hard = np.random.default_rng(1).integers(0, 2, (5, classes))
        y = hard if spec is None or len(spec.shape) == 2 else hard[:, 0]
        soft = hard * (1 - smoothing) + smoothing / 2
        of_soft = losses.BinaryCrossentropy(from_logits=activation is None)
    else:
        y = np.arange(5) % classes
        hard = np.eye(classes)[y]
        soft = hard * (1 - smoothing) + smoothing / classes
        y = hard if expected is CATEGORICAL else y
        y = y[:, None] if spec is not None and tuple(spec.shape) == (None, 1) else y
        of_soft = losses.CategoricalCrossentropy(from_logits=activation is None)
    expected_loss = float(of_soft(soft.astype("float32"), outputs))
    assert float(loss(y, outputs)) == pytest.approx(expected_loss, rel=1e-5)
    again = losses.deserialize(losses.serialize(loss))
    assert float(again(y, outputs)) == pytest.approx(expected_loss, rel=1e-5)


X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
RISING = X[:, 0] > 0


@pytest.mark.parametrize(
    ("build", "y", "loss"),
    [
        (dense(1, "sigmoid"), RISING.astype("int64"), None),
        (dense(1), RISING.astype("int64"), None),
        (dense(2, "sigmoid"), np.float32(np.stack([RISING, ~RISING], 1)), None),
        (dense(2, "softmax"), np.float32(np.stack([RISING, ~RISING], 1)), None),
        (dense(1), X[:, :1], "mse"),
    ],
    ids=["sigmoid", "logit", "multi_label", "one_hot", "regression"],
)
@pytest.mark.parametrize("make", [swr.SuperNet, lambda base: swr.TaskModel(base, ["hidden"])])
def test_heads_of_every_kind_learn(build, y, loss, make):
    keras.utils.set_random_seed(0)
    model = make(build())
    spec = tf.TensorSpec((None, *y.shape[1:]), y.dtype)
    found = loss or default_loss(model, spec)
    model.compile(keras.optimizers.Adam(0.05), found, run_eagerly=False)
    history = model.fit(X, y, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    model.merge(check_on=X)

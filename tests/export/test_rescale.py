import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.backbones.bcresnet import bcresnet
from swr_keras.export import ExportError, LiteModel, convert_int8, verify_int8
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.export.rescale import Scale, activation_scales, set_scales, take_over


def answers(data, x):
    model = LiteModel(parse(data))
    return model.predict_int8(model.quantize(x))


def network(kind):
    """Networks whose operators tie scales, fix them, or leave them free."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, padding="same")(x)
    if kind == "tied":
        x = layers.Concatenate()([layers.MaxPooling2D(2, 1, "same")(x), layers.ReLU()(x)])
        x = layers.Reshape((4, 16, 12))(x)
    elif kind == "constant":
        x = keras.ops.maximum(
            keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "constant", 1.5), 0.3
        )
    elif kind == "transposed":
        x = layers.Conv2DTranspose(6, 3, bias_initializer="ones")(x)
    elif kind == "other scales":
        x = keras.ops.abs(layers.ReLU()(layers.Concatenate()([x, layers.Conv2D(2, 1)(x)])))
    elif kind == "fixed":
        x = layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    elif kind == "hard swish":
        x = layers.Activation("hard_swish")(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, layers.Conv2D(x.shape[-1], 1)(x)]))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


KINDS = ["free", "tied", "fixed", "constant", "transposed", "other scales", "hard swish"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_the_scales_that_are_there_change_nothing(kind, toy_examples):
    data = convert_int8(network(kind), toy_examples).data
    model = as_object(data)
    scales = activation_scales(model)
    assert len(scales) > 3
    set_scales(model, scales)
    again = to_file(model)
    np.testing.assert_array_equal(answers(again, toy_examples), answers(data, toy_examples))


@every_kind
def test_other_scales_compute_the_same_up_to_rounding(kind, toy_examples):
    net = network(kind)
    data = convert_int8(net, toy_examples).data
    model = as_object(data)
    wider = {
        activations: Scale(1.3 * scale.scale, round(scale.zero_point / 1.3))
        for activations, scale in activation_scales(model).items()
    }
    set_scales(model, wider)
    again = to_file(model)
    verify_int8(again, toy_examples)
    expected = net.predict(toy_examples, verbose=0)
    errors = [
        np.abs(LiteModel(parse(each)).predict(toy_examples) - expected).mean()
        for each in (data, again)
    ]
    assert 0 < errors[1] < 2 * errors[0] + 1 / 256


@every_kind
def test_a_task_of_any_operators_takes_the_scales_of_its_base(kind, toy_examples):
    base, task = network(kind), network(kind)
    head = task.layers[-1]
    head.set_weights([each + 0.1 for each in head.get_weights()])
    int8 = convert_int8(task, toy_examples, like=convert_int8(base, toy_examples))
    assert int8.calibration.snr_db > 10


def test_activations_that_must_have_one_scale_are_one_group(toy_examples):
    model = as_object(convert_int8(network("tied"), toy_examples).data)
    (tied,) = (each for each in activation_scales(model) if len(each) > 1)
    assert len(tied) >= 4


def test_equal_constants_do_not_matter(toy_examples):
    base, task = network("free"), network("free")
    for layer in base.layers:
        if isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1):
            layer.bias.assign(base.layers[1].bias + 1)
    files = [convert_int8(each, toy_examples).data for each in (base, task)]
    (taken,) = take_over(files[1], files[0])
    assert activation_scales(as_object(taken)) == activation_scales(as_object(files[0]))


@pytest.fixture(scope="module")
def base_and_task(log_mel):
    """BC-ResNets that differ in the head and one layer, both as int8."""
    keras.utils.set_random_seed(1)
    base = bcresnet(1)
    for _ in range(25):
        base(log_mel(32, seed=0), training=True)
    task = bcresnet(1, num_classes=5)
    for ours, theirs in zip(task.layers[:-1], base.layers[:-1], strict=True):
        ours.set_weights(theirs.get_weights())
    changed = task.get_layer("stage2_block0_expand_conv")
    changed.set_weights([1.1 * each + 0.01 for each in changed.get_weights()])
    int8 = convert_int8(base, log_mel(48, seed=0))
    return int8, task, convert_int8(task, log_mel(48, seed=2), like=int8)


def test_a_task_takes_the_scales_of_its_base(base_and_task):
    base, _, task = (
        as_object(each.data) if hasattr(each, "data") else each for each in base_and_task
    )
    assert activation_scales(task) == activation_scales(base)


def test_what_a_task_does_not_change_is_the_same_bytes(base_and_task):
    base, _, task = (
        as_object(each.data) if hasattr(each, "data") else each for each in base_and_task
    )
    constants = [
        [bytes(each.data) for each in model.buffers if each.data is not None and len(each.data) > 8]
        for model in (base, task)
    ]
    others = [each for each in constants[1] if each not in constants[0]]
    # The kernel and bias of the layer and of the head, where it has one.
    assert 2 <= len(others) <= 4


def test_outputs_stay_near_those_of_the_float_model(base_and_task, log_mel):
    _, task, int8 = base_and_task
    x = log_mel(48, seed=3)
    expected = task.predict(x, verbose=0)
    alone = convert_int8(task, log_mel(48, seed=2))
    errors = [np.square(LiteModel(each).predict(x) - expected).mean() for each in (alone, int8)]
    assert max(errors) < 0.1 * expected.var()
    assert int8.verification.num_inputs


def test_scales_that_would_ruin_a_task_are_its_own(toy_examples):
    task, base = network("free"), network("free")
    first = base.layers[1]
    first.set_weights([0.01 * each for each in first.get_weights()])
    alone = convert_int8(task, toy_examples)
    int8 = convert_int8(task, toy_examples, like=convert_int8(base, toy_examples))
    (ruined,) = take_over(alone.data, convert_int8(base, toy_examples).data)
    expected = task.predict(toy_examples, verbose=0)
    errors = [
        np.square(LiteModel(parse(each)).predict(toy_examples) - expected).mean()
        for each in (alone.data, int8.data, ruined)
    ]
    assert errors[1] <= 2 * errors[0] < 0.1 * errors[2]


def test_another_architecture_is_refused(base_and_task, toy_examples):
    with pytest.raises(ExportError, match="same architecture"):
        convert_int8(network("free"), toy_examples, like=base_and_task[0])

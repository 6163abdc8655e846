import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.backbones import BUILDERS, bcresnet
from swr_keras.layers.reparametrized_model import policy_layers
from swr_keras.model_files import load_model

PARAMETERS = {1: 9232, 1.5: 17154, 2: 27284, 3: 54168, 6: 187812, 8: 321068}


@pytest.mark.parametrize(("tau", "parameters"), PARAMETERS.items())
def test_size_and_policy_layers(tau, parameters):
    model = bcresnet(tau, num_classes=12)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters
    assert len(policy_layers(swr.reparametrize(model, num_classes=12))) == 43


@pytest.mark.parametrize(
    ("tau", "name"), [(1, "bcresnet_1"), (1.0, "bcresnet_1"), (1.5, "bcresnet_1_5")]
)
def test_name_by_width(tau, name):
    assert bcresnet(tau).name == name


@pytest.mark.parametrize(
    ("backbone", "activation"),
    [
        *((f"bcresnet{tau:g}", "silu") for tau in PARAMETERS),
        *((f"bcresnet{tau:g}-hard-swish", "hard_swish") for tau in PARAMETERS),
    ],
)
def test_activation_by_name_of_the_backbone(backbone, activation):
    model = BUILDERS[backbone](num_classes=12, input_shape=(98, 40, 1))
    found = [
        layer.activation for layer in model.layers if isinstance(layer, keras.layers.Activation)
    ]
    assert found == 12 * [keras.activations.get(activation)]


@pytest.mark.parametrize("activation", ["silu", "hard_swish"])
def test_the_activation_is_all_that_differs_and_is_kept_in_files(activation, tmp_path):
    keras.utils.set_random_seed(0)
    model, paper = bcresnet(1, activation=activation), bcresnet(1)
    paper.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 101, 40, 1)).astype("float32")
    assert np.array_equal(model(x), paper(x)) == (activation == "silu")
    np.testing.assert_allclose(model(x), paper(x), atol=0.5)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize("frames", [101, 225])
def test_output_shapes_layer_by_layer(frames):
    model = bcresnet(8, input_shape=(frames, 40, 1))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["stem_conv"] == (frames, 20, 128)
    widths, bands = (64, 96, 128, 160), (20, 10, 5, 5)
    for stage, blocks in enumerate((2, 2, 4, 4)):
        for block in range(blocks):
            name = f"stage{stage}_block{block}"
            assert shapes[f"{name}_relu"] == (frames, bands[stage], widths[stage])
            assert shapes[f"{name}_time_conv"] == (frames, 1, widths[stage])
            assert model.get_layer(f"{name}_time_depthwise").dilation_rate == (2**stage, 1)
        assert f"stage{stage}_block{blocks}_relu" not in shapes
    assert shapes["neck_depthwise"] == (frames, 1, 160)
    assert shapes["neck_conv"] == (frames, 1, 256)
    assert shapes["head"] == (12,)


def test_batch_norm_follows_short_trainings():
    norms = [
        layer for layer in bcresnet(1).layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 12 * 2 + 4 + 2
    assert all(layer.momentum == 0.9 and layer.epsilon == 1e-5 for layer in norms)


def test_strides_and_padding_are_symmetric():
    """A convolution with stride 2 and padding k // 2 has its first window centred on index 0."""
    model = bcresnet(1)
    x = np.random.default_rng(0).normal(size=(1, 101, 40, 1)).astype("float32")
    stem = keras.Model(model.input, model.get_layer("stem_conv").output)(x)[0]
    kernel = model.get_layer("stem_conv").kernel.numpy()[:, :, 0]
    padded = np.pad(x[0, :, :, 0], 2)
    for time, band in [(0, 0), (100, 19), (37, 8)]:
        window = padded[time : time + 5, 2 * band : 2 * band + 5]
        np.testing.assert_allclose(
            stem[time, band], np.einsum("tf,tfc->c", window, kernel), rtol=1e-4, atol=1e-5
        )
    name = "stage1_block0_frequency"
    before = keras.Model(model.input, model.get_layer(f"{name}_depthwise").input)(x)[0]
    after = keras.Model(model.input, model.get_layer(f"{name}_stride").output)(x)[0]
    kernel = model.get_layer(f"{name}_depthwise").kernel.numpy()[0, :, :, 0]
    padded = np.pad(before, ((0, 0), (1, 1), (0, 0)))
    for band in (0, 4, 9):
        expected = np.einsum("tfc,fc->tc", padded[:, 2 * band : 2 * band + 3], kernel)
        np.testing.assert_allclose(after[:, band], expected, rtol=1e-4, atol=1e-5)


def test_transition_blocks_have_no_shortcut():
    model = bcresnet(1)
    for stage, blocks in enumerate((2, 2, 4, 4)):
        for block in range(blocks):
            terms = model.get_layer(f"stage{stage}_block{block}_add").input
            assert len(terms) == (2 if block == 0 else 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"tau": 4}, "`tau` must be one of"),
        ({"input_shape": (101, 32, 1)}, r"must be \(time, 40, 1\)"),
        ({"input_shape": (101, 40)}, r"must be \(time, 40, 1\)"),
        ({"activation": "relu"}, r"`activation` must be one of \('silu', 'hard_swish'\)"),
    ],
)
def test_impossible_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        bcresnet(**kwargs)

"""Models with added layers run on TFLite Micro, but for those that decide by the example."""

import numpy as np
import pytest

import swr_keras as swr
from swr_keras.export import convert_int8, deploy_graph
from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.layers.routed_blocks import RoutedBlocks
from swr_keras.layers.side_modules import SideModules

EXTENSIONS = [ResidualAdapters(initializer="normal"), SideModules()]


def merged(base, extension):
    """A merged model whose added layers have an effect."""
    model = swr.TaskModel(base, [], num_classes=3, batch_norm="affine", extension=extension)
    rng = np.random.default_rng(0)
    for name, variable in model.task_variables().items():
        if name.endswith("/gamma"):
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))
    return model.merge()


def examples(base, count=48):
    return np.random.default_rng(1).normal(size=(count, *base.input_shape[1:])).astype("float32")


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: extension.kind)
def test_int8_of_a_small_base(extension, blocked_base):
    base = blocked_base()
    model, x = merged(base, extension), examples(base)
    converted = convert_int8(model, x)
    assert converted.verification.on_micro
    assert converted.calibration.snr_db > 15
    if isinstance(extension, SideModules):
        assert "RESIZE_BILINEAR" in converted.verification.operators


@pytest.mark.slow
@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda extension: extension.kind)
def test_int8_of_bcresnet(extension):
    base = swr.backbones.bcresnet(1, num_classes=4)
    model, x = merged(base, extension), examples(base)
    model.layers[-1].bias.assign([0.0, 0.5, -0.5])
    for layer in model.layers:
        if "norm" in layer.name:
            layer.momentum = 0.0
    model(x, training=True)
    converted = convert_int8(model, x)
    assert converted.verification.on_micro and converted.verification.max_lsb <= 1
    np.testing.assert_allclose(
        deploy_graph(model).predict(x, batch_size=1, verbose=0),
        model.predict(x, verbose=0),
        rtol=1e-3,
        atol=1e-3,
    )


def test_what_decides_by_the_example_is_refused(blocked_base, tmp_path):
    base = blocked_base()
    model = swr.TaskModel(base, [], num_classes=3, extension=RoutedBlocks(width=2)).merge()
    with pytest.raises(ValueError, match=r"'agent_routing'.*each example.*another method"):
        convert_int8(model, examples(base))

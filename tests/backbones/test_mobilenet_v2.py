import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.accounting import summary
from swr_keras.backbones import mobilenet_v2

STAGES = ((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))
SIZES = (112, 56, 28, 14, 14, 7, 7)


def convolutions(model):
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def test_size_and_shapes():
    model = mobilenet_v2()
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 3_504_872
    kinds = ("Conv2D", "DepthwiseConv2D", "Dense")
    counted = [row for row in summary(model).rows if row.class_name in kinds]
    # Torchvision states 0.301 billion.
    assert sum(row.multiplies for row in counted) == 300_774_272
    found = convolutions(model)
    assert len(found) == 1 + 2 + 16 * 3 + 1 and not any(layer.use_bias for layer in found)
    assert list(swr.SuperNet(model, num_classes=2).units) == [layer.name for layer in found]
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    channels = [channels for channels, count in STAGES for _ in range(count)]
    sizes = [s for s, (_, count) in zip(SIZES, STAGES, strict=True) for _ in range(count)]
    for block, (size, width) in enumerate(zip(sizes, channels, strict=True)):
        assert shapes[f"block{block}_project_norm"] == (size, size, width)
        first = block == 0 or channels[block - 1] != width
        assert (f"block{block}_add" in shapes) == (not first)
        if block > 0:
            assert shapes[f"block{block}_expand_conv"][-1] == 6 * channels[block - 1]
    assert shapes["neck_relu"] == (7, 7, 1280) and shapes["head"] == (1000,)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
        if isinstance(layer, keras.layers.ReLU):
            assert layer.max_value == 6


@pytest.mark.parametrize(
    ("width", "widths"),
    [
        (1.0, (32, 16, 24, 32, 64, 96, 160, 320, 1280)),
        (0.5, (16, 8, 16, 16, 32, 48, 80, 160, 1280)),
        (1.4, (48, 24, 32, 48, 88, 136, 224, 448, 1792)),
    ],
)
def test_channels_by_width(width, widths):
    model = mobilenet_v2(width, num_classes=3, input_shape=(32, 32, 3))
    lasts = np.cumsum([count for _, count in STAGES]) - 1
    names = ["stem_conv", *(f"block{last}_project_conv" for last in lasts), "neck_conv"]
    assert tuple(model.get_layer(name).filters for name in names) == widths


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"width": 0}, "`width` must be positive"),
        ({"input_shape": (224, 224)}, r"must be \(height, width, channels\).*\(224, 224\)"),
    ],
)
def test_impossible_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        mobilenet_v2(**kwargs)

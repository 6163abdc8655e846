"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018)."""

import keras
from keras import layers

from swr_keras.backbones.torchvision import load_torchvision
from swr_keras.layers.normalization import FusedBatchNormalization
from swr_keras.layers.side_modules import divisible

# Expansion, channels, blocks and stride of each stage: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280


def mobilenet_v2(
    width=1.0, *, num_classes=1000, input_shape=(224, 224, 3), weights=None, name=None
) -> keras.Model:
    """Builds a MobileNetV2, the one whose weights torchvision publishes, with channels last.

    Padding is the same on all four sides, as in PyTorch, also where a convolution strides, and
    batch norm has an epsilon of 1e-5; both differ in `keras.applications.MobileNetV2`.

    Args:
        width: Width multiplier; channels are rounded to multiples of 8, and the last convolution
            keeps 1,280 below a width of 1.
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`; any size, also `None`.
        weights: A file of torchvision's weights, see `load_torchvision`; `None` for random ones.
        name: Name of the model; `"mobilenet_v2"` by default.

    Returns:
        A Functional model from float32 `(batch, height, width, channels)` to logits
        `(batch, num_classes)`, with 3,504,872 trainable parameters for 1,000 classes at width 1.
        The published weights take RGB in 0 to 1, less the mean (0.485, 0.456, 0.406), divided by
        (0.229, 0.224, 0.225).

    Raises:
        ValueError: If `width` isn't positive, `input_shape` has not three axes, or `weights` is no
            such file.

    Source: torchvision; arXiv 1801.04381.
    """
    if not width > 0:
        raise ValueError(f"`width` must be positive. Received: width={width}.")
    if len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, channels). Received: input_shape={input_shape}."
        )
    inputs = keras.Input(input_shape, name="image")
    x = layers.ZeroPadding2D(1, name="stem_pad")(inputs)
    x = layers.Conv2D(divisible(_STEM * width), 3, 2, use_bias=False, name="stem_conv")(x)
    x = _activated(x, "stem")
    index = 0
    for expansion, channels, blocks, first_stride in _STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            x = _block(x, divisible(channels * width), stride, expansion, f"block{index}")
            index += 1
    last = divisible(_LAST * max(1.0, width))
    x = layers.Conv2D(last, 1, use_bias=False, name="neck_conv")(x)
    x = _activated(x, "neck")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    outputs = layers.Dense(num_classes, name="head")(x)
    model = keras.Model(inputs, outputs, name=name or "mobilenet_v2")
    if weights is not None:
        load_torchvision(model, weights)
    return model


def _block(x, channels, stride, expansion, name):
    shortcut = x
    if expansion > 1:
        wide = expansion * x.shape[-1]
        x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _activated(x, f"{name}_expand")
    padding = "same" if stride == 1 else "valid"
    if stride > 1:
        x = layers.ZeroPadding2D(1, name=f"{name}_depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        3, stride, padding=padding, use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _activated(x, f"{name}_depthwise")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = FusedBatchNormalization(name=f"{name}_project_norm")(x)
    if stride > 1 or channels != shortcut.shape[-1]:
        return x
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _activated(x, name):
    x = FusedBatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)

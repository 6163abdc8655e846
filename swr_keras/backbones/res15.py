"""Res15 (Tang and Lin, "Deep Residual Learning for Small-Footprint Keyword Spotting", 2018)."""

import keras
from keras import layers

from swr_keras.layers.normalization import FusedBatchNormalization

_CONVOLUTIONS = 13


def res15(width=45, *, num_classes=12, input_shape=(101, 40, 1), name=None) -> keras.Model:
    """Builds a Res15 as its authors' PyTorch implementation defines it, with channels last.

    A 3x3 convolution and 13 more, all without bias, with ReLU and at full resolution; number `i`
    of the 13 has the dilation `2 ** ((i - 1) // 3)` and is followed by batch norm without affine.
    Shortcuts span two convolutions each, from sum to sum, so they bypass batch norm.

    Args:
        width: Number of feature maps: 45 for res15, 19 for res15-narrow.
        num_classes: Number of logits.
        input_shape: `(time, coefficients, 1)`: `(101, 40, 1)` for 1 s at a hop of 10 ms. Any size,
            also `None`.
        name: Name of the model; `"res15_<width>"` by default.

    Returns:
        A Functional model from float32 `(batch, time, coefficients, 1)` to logits
        `(batch, num_classes)`, with 237,882 trainable parameters for 12 classes at width 45.

    Raises:
        ValueError: If `width` isn't positive or `input_shape` has not three axes.

    Source: castorini/honk; section 3 of arXiv 1710.10361.
    """
    if width < 1:
        raise ValueError(f"`width` must be positive. Received: width={width}.")
    if len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be (time, coefficients, 1). Received: input_shape={input_shape}."
        )
    inputs = keras.Input(input_shape, name="features")
    x = shortcut = _convolution(inputs, width, dilation=1, index=0)
    for index in range(1, _CONVOLUTIONS + 1):
        x = _convolution(x, width, dilation=2 ** ((index - 1) // 3), index=index)
        if index % 2 == 0:
            x = shortcut = layers.Add(name=f"add{index}")([x, shortcut])
        x = FusedBatchNormalization(center=False, scale=False, name=f"norm{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, outputs, name=name or f"res15_{width}")


def _convolution(x, width, *, dilation, index):
    x = layers.Conv2D(
        width, 3, padding="same", dilation_rate=dilation, use_bias=False, name=f"conv{index}"
    )(x)
    return layers.ReLU(name=f"relu{index}")(x)

"""BC-ResNet (Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting", 2021)."""

import keras
from keras import layers

from swr_keras.layers.normalization import FusedBatchNormalization, SubSpectralNormalization

TAUS = (1, 1.5, 2, 3, 6, 8)
ACTIVATIONS = ("silu", "hard_swish")
_BLOCKS = (2, 2, 4, 4)
_STRIDES = (1, 2, 2, 1)


def bcresnet(
    tau=8, *, num_classes=12, input_shape=(101, 40, 1), activation="silu", name=None
) -> keras.Model:
    """Builds a BC-ResNet as the official implementation defines it, with channels last.

    Time runs along the second axis and frequency along the third. Strided depthwise convolutions
    stride over frequency alone, which TensorFlow's kernel refuses; they run at stride 1 and drop
    every second frequency, with equal results.

    Args:
        tau: Width multiplier, one of `TAUS`; the stages have 8, 12, 16 and 20 times tau channels.
        num_classes: Number of logits.
        input_shape: `(time, mel, 1)`: `(101, 40, 1)` for 1 s and `(225, 40, 1)` for 2.24 s at a
            hop of 10 ms. Time may be `None`.
        activation: What follows the convolution over time: `"silu"`, as in the paper, or
            `"hard_swish"`, which is one operator in int8 instead of two.
        name: Name of the model; `"bcresnet_<tau>"` by default, such as `"bcresnet_1_5"`.

    Returns:
        A Functional model from float32 `(batch, time, mel, 1)` to logits `(batch, num_classes)`,
        with 9,232 / 17,154 / 27,284 / 54,168 / 187,812 / 321,068 trainable parameters for 12
        classes.

    Raises:
        ValueError: If `tau`, `input_shape` or `activation` is none of the above.

    Source: Qualcomm-AI-research/bcresnet; table 1 and section 3 of arXiv 2106.04140.
    """
    if tau not in TAUS:
        raise ValueError(f"`tau` must be one of {TAUS}. Received: tau={tau}.")
    if len(input_shape) != 3 or input_shape[1] != 40 or input_shape[2] != 1:
        raise ValueError(
            "`input_shape` must be (time, 40, 1), since the sub-bands and the head are made for "
            f"40 mel bands. Received: input_shape={input_shape}."
        )
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"`activation` must be one of {ACTIVATIONS}. Received: activation={activation!r}."
        )
    base = int(8 * tau)
    widths = (base, int(1.5 * base), 2 * base, int(2.5 * base))
    inputs = keras.Input(input_shape, name="features")
    x = layers.ZeroPadding2D(2, name="stem_pad")(inputs)
    x = layers.Conv2D(2 * base, 5, (1, 2), use_bias=False, name="stem_conv")(x)
    x = FusedBatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for stage, (width, blocks, stride) in enumerate(zip(widths, _BLOCKS, _STRIDES, strict=True)):
        for block in range(blocks):
            x = _block(
                x,
                width,
                stride=stride if block == 0 else 1,
                dilation=2**stage,
                activation=activation,
                name=f"stage{stage}_block{block}",
            )
    x = layers.ZeroPadding2D((2, 0), name="neck_pad")(x)
    x = layers.DepthwiseConv2D(5, use_bias=False, name="neck_depthwise")(x)
    x = layers.Conv2D(4 * base, 1, use_bias=False, name="neck_conv")(x)
    x = FusedBatchNormalization(name="neck_norm")(x)
    x = layers.ReLU(name="neck_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, outputs, name=name or f"bcresnet_{tau:g}".replace(".", "_"))


def _block(x, width, *, stride, dilation, activation, name):
    transition = x.shape[-1] != width
    shortcut = x
    if transition:
        x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = FusedBatchNormalization(name=f"{name}_expand_norm")(x)
        x = layers.ReLU(name=f"{name}_expand_relu")(x)
    x = layers.DepthwiseConv2D(
        (1, 3), padding="same", use_bias=False, name=f"{name}_frequency_depthwise"
    )(x)
    if stride > 1:
        x = layers.MaxPooling2D(1, (1, stride), name=f"{name}_frequency_stride")(x)
    x = SubSpectralNormalization(name=f"{name}_frequency_norm")(x)
    y = layers.AveragePooling2D((1, x.shape[2]), name=f"{name}_frequency_mean")(x)
    y = layers.DepthwiseConv2D(
        (3, 1),
        padding="same",
        dilation_rate=(dilation, 1),
        use_bias=False,
        name=f"{name}_time_depthwise",
    )(y)
    y = FusedBatchNormalization(name=f"{name}_time_norm")(y)
    y = layers.Activation(activation, name=f"{name}_time_{activation}")(y)
    y = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_time_conv")(y)
    y = layers.SpatialDropout2D(0.1, name=f"{name}_dropout")(y)
    terms = [x, y] if transition else [x, y, shortcut]
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")(terms))

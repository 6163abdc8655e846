"""ResNets (He et al., "Deep Residual Learning for Image Recognition", 2015)."""

import keras
from keras import layers

from swr_keras.backbones.torchvision import load_torchvision
from swr_keras.layers.normalization import FusedBatchNormalization

_LEAST_SIZE = 8


def resnet50(
    *, num_classes=1000, input_shape=(224, 224, 3), weights=None, name=None
) -> keras.Model:
    """Builds a ResNet-50 v1.5, the one whose weights torchvision publishes, with channels last.

    Stages of 3, 4, 6 and 3 bottlenecks: convolutions 1x1, 3x3 and 1x1 without bias, each with batch
    norm, of 64, 64 and 256 channels in the first stage and twice as many in each next one. Version
    1.5 strides in the 3x3 convolution, unlike `keras.applications.ResNet50`, which is version 1.
    Padding is the same on all four sides, as in PyTorch, also where a convolution strides.

    Args:
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`; any size, also `None`.
        weights: A file of torchvision's weights, see `load_torchvision`; `None` for random ones.
        name: Name of the model; `"resnet50"` by default.

    Returns:
        A Functional model from float32 `(batch, height, width, channels)` to logits
        `(batch, num_classes)`. Besides the head it has 23,454,912 weights in 53 convolutions, and
        53,120 in the affine of batch norm. The published weights take RGB in 0 to 1, less the mean
        (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).

    Raises:
        ValueError: If `input_shape` has not three axes, or `weights` is no such file.

    Source: torchvision; the stride is that of Goyal et al., arXiv 1706.02677.
    """
    inputs = _image(input_shape)
    x = layers.ZeroPadding2D(3, name="stem_pad")(inputs)
    x = _convolution(x, 64, 7, 2, padding="valid", name="stem_conv")
    x = FusedBatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    # What ReLU gives is never below the zeros around it.
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _bottleneck(x, 64 * 2**stage, stride, name=f"stage{stage}_block{block}")
    model = keras.Model(inputs, _head(x, num_classes), name=name or "resnet50")
    if weights is not None:
        load_torchvision(model, weights)
    return model


def resnet(
    depth=20, width=16, *, num_classes=10, input_shape=(32, 32, 3), name=None
) -> keras.Model:
    """Builds a ResNet for small images, as for CIFAR-10, with channels last.

    A 3x3 convolution, then three stages of `(depth - 2) / 6` blocks of two 3x3 convolutions each,
    all without bias and with batch norm; the second and third stage begin with a stride of 2. The
    shortcut of a block that changes the shape is a 1x1 convolution with batch norm (option B of the
    paper), so that the network has more convolutions than its depth says.

    Args:
        depth: 6n + 2, such as 20, 32, 44 or 56.
        width: Channels of the first stage; the second has twice, the third four times as many.
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`, of 8x8 or more; height and width may be `None`.
        name: Name of the model; `"resnet<depth>_<width>"` by default.

    Returns:
        A Functional model from float32 `(batch, height, width, channels)` to logits
        `(batch, num_classes)`.

    Raises:
        ValueError: If `depth`, `width` or `input_shape` is none of the above.

    Source: section 4.2 of arXiv 1512.03385.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"`depth` must be 6n + 2, such as 20 or 32. Received: depth={depth}.")
    if width < 1:
        raise ValueError(f"`width` must be positive. Received: width={width}.")
    inputs = _image(input_shape, _LEAST_SIZE)
    x = _convolution(inputs, width, 3, 1, padding="same", name="stem_conv")
    x = FusedBatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _basic(x, width * 2**stage, stride, name=f"stage{stage}_block{block}")
    return keras.Model(inputs, _head(x, num_classes), name=name or f"resnet{depth}_{width}")


def _image(input_shape, least=1):
    if len(input_shape) != 3 or any(size is not None and size < least for size in input_shape[:2]):
        raise ValueError(
            f"`input_shape` must be (height, width, channels), of at least {least}x{least}. "
            f"Received: input_shape={input_shape}."
        )
    return keras.Input(input_shape, name="image")


def _head(x, num_classes):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(num_classes, name="head")(x)


def _bottleneck(x, width, stride, *, name):
    y = _normalized(x, width, 1, 1, name=name, index=1)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _normalized(y, width, 3, stride, name=name, index=2)
    y = layers.ReLU(name=f"{name}_relu2")(y)
    y = _normalized(y, 4 * width, 1, 1, name=name, index=3)
    return _sum(x, y, stride, name)


def _basic(x, width, stride, *, name):
    y = _normalized(x, width, 3, stride, name=name, index=1)
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _normalized(y, width, 3, 1, name=name, index=2)
    return _sum(x, y, stride, name)


def _sum(x, y, stride, name):
    if x.shape[-1] != y.shape[-1] or stride > 1:
        width = y.shape[-1]
        x = _convolution(x, width, 1, stride, padding="valid", name=f"{name}_shortcut_conv")
        x = FusedBatchNormalization(name=f"{name}_shortcut_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _normalized(x, width, size, stride, *, name, index):
    padding = "same" if stride == 1 else "valid"
    if stride > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad{index}")(x)
    x = _convolution(x, width, size, stride, padding=padding, name=f"{name}_conv{index}")
    return FusedBatchNormalization(name=f"{name}_norm{index}")(x)


def _convolution(x, width, size, stride, *, padding, name):
    return layers.Conv2D(
        width,
        size,
        stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)

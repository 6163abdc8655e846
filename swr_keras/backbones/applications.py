"""ResNet-50 and MobileNetV2 of `keras.applications`, as bases beside those of torchvision."""

import keras
import numpy as np
from keras import layers

IMAGENET = "imagenet"
"""What stands for the weights that Keras fetches."""

_CLASSES = 1000
_FETCHED_SIZE = 224
_MOMENTUM = 0.9
# What torchvision's models, and the images of this package, are normalised by.
_MEAN, _STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
_CAFFE_MEAN = np.array((123.68, 116.779, 103.939))


def keras_mobilenet_v2(
    *, num_classes=1000, input_shape=(224, 224, 3), weights=None, name=None
) -> keras.Model:
    """Builds `keras.applications.MobileNetV2` for images normalised as torchvision's.

    It differs from Keras' in three things. A `Rescaling` in front makes of these images what Keras'
    preprocessing gives. The outputs are logits. And batch norm has a momentum of 0.9 in the place
    of 0.999, with which the statistics of a task would hardly move in a short training.

    Args:
        num_classes: Number of logits. Another one than 1,000 gives a new head.
        input_shape: `(height, width, 3)`, of 32x32 or more.
        weights: As in Keras: `"imagenet"`, which Keras downloads, those for images of this size
            where there are some, and else for 224x224; a file of its weights for this network,
            without the head unless `num_classes` is 1,000; `None` for random ones.
        name: Name of the model; `"keras_mobilenet_v2"` by default.

    Returns:
        A Functional model from float32 `(batch, height, width, 3)`, RGB in 0 to 1, less the mean
        (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225), to logits `(batch, num_classes)`.

    Raises:
        ValueError: As `keras.applications.MobileNetV2`.
    """
    x = inputs = keras.Input(input_shape, name="image")
    x = layers.Rescaling((2 * _STD).tolist(), (2 * _MEAN - 1).tolist(), name="rescale")(x)
    build = keras.applications.MobileNetV2
    sizes = (96, 128, 160, 192, _FETCHED_SIZE)
    return _finished(build, inputs, x, num_classes, weights, sizes, name or "keras_mobilenet_v2")


def keras_resnet50(
    *, num_classes=1000, input_shape=(224, 224, 3), weights=None, name=None
) -> keras.Model:
    """Builds `keras.applications.ResNet50`, version 1, for images normalised as torchvision's.

    It differs from Keras' in what `keras_mobilenet_v2` says (the momentum of batch norm is 0.99
    there), and its first convolution takes RGB in the place of BGR: its kernel is turned around.

    Args:
        num_classes, input_shape, weights, name: As of `keras_mobilenet_v2`.

    Returns:
        A Functional model from what `keras_mobilenet_v2` takes to logits `(batch, num_classes)`.

    Raises:
        ValueError: As `keras.applications.ResNet50`.
    """
    x = inputs = keras.Input(input_shape, name="image")
    offset = 255 * _MEAN - _CAFFE_MEAN
    x = layers.Rescaling((255 * _STD).tolist(), offset.tolist(), name="rescale")(x)
    build = keras.applications.ResNet50
    sizes = (_FETCHED_SIZE,)
    model = _finished(build, inputs, x, num_classes, weights, sizes, name or "keras_resnet50")
    kernel = model.get_layer("conv1_conv").kernel
    kernel.assign(kernel.numpy()[:, :, ::-1])
    return model


def _finished(build, inputs, x, num_classes, weights, sizes, name):
    with_head = num_classes == _CLASSES
    # With a head, Keras loads what it fetches into a network of its own size alone.
    fetched = with_head and weights == IMAGENET
    network = build(
        include_top=with_head,
        weights=None if fetched else weights,
        input_tensor=x,
        input_shape=tuple(inputs.shape[1:]),
        pooling=None if with_head else "avg",
        classifier_activation=None,
    )
    if fetched:
        height, width, channels = inputs.shape[1:]
        size = height if height == width and height in sizes else _FETCHED_SIZE
        published = build(weights=IMAGENET, input_shape=(size, size, channels))
        network.set_weights(published.get_weights())
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    outputs = network.output
    if not with_head:
        outputs = layers.Dense(num_classes, name="head")(outputs)
    return keras.Model(inputs, outputs, name=name)

"""Batch norm at inference: folded into a convolution, or as a 1x1 depthwise convolution."""

import keras
import numpy as np
from keras import layers

from swr_keras.layers.normalization import FusedBatchNormalization, SubSpectralNormalization

_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_LINEAR = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Dense,
    *_DEPTHWISE,
    *_SEPARABLE,
)
_TIE_MARGIN = 1e-3


def is_linear(layer) -> bool:
    """Whether `layer` is a plain Keras layer that batch norm can be folded into."""
    return (
        _has_kernels_and_bias_alone(layer)
        and layer.activation is keras.activations.linear
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


def is_batch_norm(layer, rank: int) -> bool:
    """Whether `layer` is batch norm over the last axis of a tensor with `rank` axes."""
    return type(layer) in (layers.BatchNormalization, FusedBatchNormalization) and (
        layer.axis in (-1, rank - 1)
    )


def is_sub_spectral_norm(layer) -> bool:
    """Whether `layer` is `SubSpectralNormalization` itself."""
    return type(layer) is SubSpectralNormalization


def avoid_rounding_ties(model: keras.Model) -> None:
    """Moves, in place, weights that int8 rounding could take either way off the middle.

    int8 has 255 values per output channel. Scaling a channel, as batch norm does once folded,
    changes no weight's int8 value except by float32 rounding where a weight lies half-way between
    two: about two in a million. A thousandth of a step away from there, models that share a
    kernel also share its int8 bytes.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            avoid_rounding_ties(layer)
        elif _has_kernels_and_bias_alone(layer):
            weights = layer.get_weights()
            for i in range(len(weights) - layer.use_bias):
                depthwise = type(layer) in _DEPTHWISE or (type(layer) in _SEPARABLE and i == 0)
                weights[i] = _off_ties(weights[i], channel_axes=2 if depthwise else 1)
            layer.set_weights(weights)


def fold(layer, norm, input_shape) -> keras.layers.Layer:
    """Makes the layer that computes `norm(layer(x))` at inference.

    Args:
        layer: A layer for which `is_linear` holds.
        norm: Batch norm over the channels of the layer's output.
        input_shape: Shape of the layer's input, batch included.

    Returns:
        A layer of the same class and name, with a bias.
    """
    scale, shift = _affine(norm)
    return _scaled(layer, scale, shift, input_shape)


def equalize(layer, norm, input_shape):
    """Makes a convolution and a sub-spectral normalization that compute `norm(layer(x))`.

    The scale that the sub-bands of a channel share moves from the normalization into the kernel.
    So the channels of the tensor between, which has one int8 scale for all of them, have about
    the same range; else the normalization would enlarge the rounding of those with a small one.

    Args:
        layer: A layer for which `is_linear` holds.
        norm: A `SubSpectralNormalization` with `scale=True` over the channels of its output.
        input_shape: Shape of the layer's input, batch included.

    Returns:
        The layer, with a bias, and the normalization, of the same classes and names.
    """
    scale, _ = _affine(norm)
    bands = np.abs(scale).reshape(norm.groups, -1)
    shared = bands.mean(axis=0)
    shared[shared == 0] = 1.0
    equal = type(norm).from_config(norm.get_config())
    equal.build((None, None, norm.groups, len(shared)))
    equal.set_weights(norm.get_weights())
    repeated = np.tile(shared, norm.groups)
    equal.gamma.assign(norm.gamma / repeated)
    equal.moving_mean.assign(norm.moving_mean * repeated)
    return _scaled(layer, shared, 0.0, input_shape), equal


def batch_norm_as_convolution(norm, inputs, *, name):
    """Applies batch norm to `(batch, [height,] width, channels)` as a depthwise convolution."""
    return _depthwise(inputs, *_affine(norm), name=name)


def sub_spectral_norm_as_convolution(norm, inputs, *, name):
    """Applies sub-spectral normalization without transposes and without a fifth axis.

    The frequencies are moved to the channels, `(batch, time, 1, frequency * channels)`, where
    each has a scale and a shift of its own.

    Args:
        norm: A `SubSpectralNormalization`.
        inputs: `(batch, time, frequency, channels)`.
        name: Name of the convolution.

    Returns:
        Tensor of the shape of `inputs`.
    """
    _, time, frequencies, channels = inputs.shape

    def per_frequency(values):
        bands = values.reshape(norm.groups, channels)
        return np.repeat(bands, frequencies // norm.groups, axis=0).ravel()

    scale, shift = (per_frequency(values) for values in _affine(norm))
    flat = (time, 1, frequencies * channels)
    x = layers.Reshape(flat, dtype="float32", name=f"{name}_flat")(inputs)
    x = _depthwise(x, scale, shift, name=name)
    unflat = (time, frequencies, channels)
    return layers.Reshape(unflat, dtype="float32", name=f"{name}_unflat")(x)


def _has_kernels_and_bias_alone(layer):
    lora, quantized = (getattr(layer, key, None) for key in ("lora_enabled", "quantization_mode"))
    return type(layer) in _LINEAR and not lora and not quantized


def _off_ties(kernel, *, channel_axes):
    axes = tuple(range(kernel.ndim - channel_axes))
    step = np.max(np.abs(np.float64(kernel)), axis=axes, keepdims=True) / 127
    units = kernel / np.where(step, step, 1.0)
    middle = np.floor(units) + 0.5
    away = middle + np.where(units >= middle, _TIE_MARGIN, -_TIE_MARGIN)
    return np.where(np.abs(units - middle) < _TIE_MARGIN, away, units) * step


def _scaled(layer, scale, shift, input_shape):
    """A layer of the same class and name, with a bias, that computes `scale * layer(x) + shift`."""
    scaled = type(layer).from_config({**layer.get_config(), "use_bias": True})
    scaled.build(input_shape)
    kernels = layer.get_weights()
    bias = kernels.pop() if layer.use_bias else np.zeros(len(scale))
    channels = kernels[-1].shape[-2:] if type(layer) in _DEPTHWISE else (-1,)
    kernels[-1] = kernels[-1] * scale.reshape(channels)
    scaled.set_weights([*kernels, bias * scale + shift])
    return scaled


def _affine(norm):
    mean, variance = (np.float64(v) for v in (norm.moving_mean, norm.moving_variance))
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.float64(norm.gamma)
    shift = -mean * scale
    if norm.center:
        shift = shift + np.float64(norm.beta)
    return scale, shift


def _depthwise(inputs, scale, shift, *, name):
    kind = layers.DepthwiseConv1D if len(inputs.shape) == 3 else layers.DepthwiseConv2D
    layer = kind(1, dtype="float32", name=name)
    outputs = layer(inputs)
    layer.set_weights([scale.reshape(layer.kernel.shape), shift])
    return outputs

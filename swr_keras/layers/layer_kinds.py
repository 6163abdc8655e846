"""Which classes of layers are reparametrized, by which of ours."""

from typing import Any

import keras

from swr_keras.layers import normalization
from swr_keras.layers import reparametrized as swr
from swr_keras.layers.replicas import BatchNormalizationOverReplicas

REPARAMETRIZED: dict[Any, Any] = {
    keras.layers.Dense: swr.SWRDense,
    keras.layers.Conv1D: swr.SWRConv1D,
    keras.layers.Conv2D: swr.SWRConv2D,
    keras.layers.Conv3D: swr.SWRConv3D,
    keras.layers.Conv1DTranspose: swr.SWRConv1DTranspose,
    keras.layers.Conv2DTranspose: swr.SWRConv2DTranspose,
    keras.layers.Conv3DTranspose: swr.SWRConv3DTranspose,
    keras.layers.DepthwiseConv1D: swr.SWRDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: swr.SWRDepthwiseConv2D,
    keras.layers.SeparableConv1D: swr.SWRSeparableConv1D,
    keras.layers.SeparableConv2D: swr.SWRSeparableConv2D,
}
NORMALIZATION: dict[Any, Any] = {
    keras.layers.BatchNormalization: normalization.SWRBatchNormalization,
    BatchNormalizationOverReplicas: normalization.SWRBatchNormalization,
    normalization.FusedBatchNormalization: normalization.SWRFusedBatchNormalization,
    normalization.SubSpectralNormalization: normalization.SWRSubSpectralNormalization,
}
PLAIN: dict[Any, Any] = {
    swr_class: plain for plain, swr_class in (REPARAMETRIZED | NORMALIZATION).items()
} | {
    BatchNormalizationOverReplicas: keras.layers.BatchNormalization,
    normalization.SWRBatchNormalization: keras.layers.BatchNormalization,
    normalization.SWRFusedBatchNormalization: keras.layers.BatchNormalization,
}


def is_convertible(layer: keras.layers.Layer) -> bool:
    """Whether a layer is of a class that `reparametrize` gives a delta, or has one."""
    if isinstance(layer, swr.ReparametrizedLayer):
        return True
    return type(layer) in REPARAMETRIZED and not layer.quantization_mode


def is_batch_norm(layer: keras.layers.Layer) -> bool:
    """Whether `reparametrize` gives a layer a batch norm mode, or did."""
    return type(layer) in NORMALIZATION or isinstance(layer, normalization.TaskNormalization)


def is_plain(layer: keras.layers.Layer) -> bool:
    """Whether a layer of a reparametrized model is the task's in whole: it is as Keras has it."""
    is_ours = isinstance(layer, swr.ReparametrizedLayer)
    return type(layer) in NORMALIZATION or (is_convertible(layer) and not is_ours)

"""Keras layers with frozen weights and a gated delta, and normalization layers."""

from swr_keras.layers.normalization import (
    FusedBatchNormalization,
    SubSpectralNormalization,
    SWRBatchNormalization,
    SWRFusedBatchNormalization,
    SWRSubSpectralNormalization,
)
from swr_keras.layers.reparametrized import (
    ReparametrizedLayer,
    SWRConv1D,
    SWRConv1DTranspose,
    SWRConv2D,
    SWRConv2DTranspose,
    SWRConv3D,
    SWRConv3DTranspose,
    SWRDense,
    SWRDepthwiseConv1D,
    SWRDepthwiseConv2D,
    SWRSeparableConv1D,
    SWRSeparableConv2D,
)

__all__ = [
    "FusedBatchNormalization",
    "ReparametrizedLayer",
    "SWRBatchNormalization",
    "SWRConv1D",
    "SWRConv1DTranspose",
    "SWRConv2D",
    "SWRConv2DTranspose",
    "SWRConv3D",
    "SWRConv3DTranspose",
    "SWRDense",
    "SWRDepthwiseConv1D",
    "SWRDepthwiseConv2D",
    "SWRFusedBatchNormalization",
    "SWRSeparableConv1D",
    "SWRSeparableConv2D",
    "SWRSubSpectralNormalization",
    "SubSpectralNormalization",
]

"""Layers with frozen weights and a gated delta, normalization, and what adds layers to a base."""

from swr_keras.layers.extension import Extension
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
from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.layers.routed_blocks import RoutedBlocks
from swr_keras.layers.side_modules import SideModules

__all__ = [
    "Extension",
    "FusedBatchNormalization",
    "ReparametrizedLayer",
    "ResidualAdapters",
    "RoutedBlocks",
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
    "SideModules",
    "SubSpectralNormalization",
]

"""1x1 convolutions beside those of the base."""

import dataclasses
from typing import ClassVar

from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.methods.extending import ExtendingMethod


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualAdapter(ExtendingMethod):
    """Trains a 1x1 convolution beside convolutions of the base, batch norm and a new head.

    Attributes:
        extension: Which convolutions have one, and how these begin.

    Source: Rebuffi et al., CVPR 2018; "Residual Adapter" of section 4 of arXiv 2302.13435.
    """

    name: ClassVar[str] = "residual adapter"

    batch_norm: str = "affine"
    extension: ResidualAdapters = ResidualAdapters()

"""Small modules beside the blocks of the base."""

import dataclasses
from typing import ClassVar

from swr_keras.layers.side_modules import SideModules
from swr_keras.methods.extending import ExtendingMethod


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepNet(ExtendingMethod):
    """Trains modules beside blocks of the base, the shifts of its batch norm and a new head.

    With `batch_norm="statistics"` the shifts stay the base's.

    Attributes:
        extension: The modules.

    Source: Yang et al., CVPR 2022; "Rep-Net" of section 4 of arXiv 2302.13435. There modules and
    the rest have rates of their own.
    """

    name: ClassVar[str] = "Rep-Net"

    batch_norm: str = "shift"
    extension: SideModules = SideModules()

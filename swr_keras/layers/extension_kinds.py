"""The extensions that a file may name."""

from typing import Any

from swr_keras.layers.extension import Extension
from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.layers.routed_blocks import RoutedBlocks
from swr_keras.layers.side_modules import SideModules

_KINDS: dict[Any, type[Extension]] = {
    each.kind: each for each in (ResidualAdapters, RoutedBlocks, SideModules)
}


def extension_from_dict(about: Any) -> Extension:
    """Returns what `Extension.as_dict` described.

    Raises:
        ValueError: If it is no such dict, of an unknown kind, or has other settings.
    """
    kind = about.get("kind") if isinstance(about, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(
            f"An extension is described by a dict whose `kind` is one of {sorted(_KINDS)}. "
            f"Received: {about!r:.200}."
        )
    fields = {name: value for name, value in about.items() if name != "kind"}
    return _KINDS[kind].from_fields(fields)

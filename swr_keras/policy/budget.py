"""Layers that fit a target cost, from a first one on."""

import difflib
from collections.abc import Mapping, Sequence


def fill_budget(
    sizes: Sequence[int], ranks: Sequence[float], target_cost: float, first: int = 0
) -> tuple[bool, ...]:
    """Takes layers by falling rank, each that still fits the target cost; says which.

    Args:
        sizes: Size of each layer; the cost is a share of them all.
        ranks: Rank of each layer.
        target_cost: The cost, in [0, 1].
        first: Index of the first layer that may be taken.
    """
    total = sum(sizes)
    selected, owned = [False] * len(ranks), 0
    for index in sorted(range(first, len(ranks)), key=lambda i: -ranks[i]):
        if (owned + sizes[index]) / total <= target_cost:
            selected[index] = True
            owned += sizes[index]
    return tuple(selected)


def check_first_layer(sizes: Mapping[str, int], first_layer: str | None, target_cost: float):
    """Raises ValueError unless a layer from the first on may be changed at a target cost.

    Args:
        sizes: Size of each policy layer by path, in the order of the model.
        first_layer: Path of the first layer that may be changed, or `None` for any.
        target_cost: Share of all sizes that a task may own; nothing has to fit a cost of 0.
    """
    if first_layer is None:
        return
    smallest = min(list(sizes.values())[first_index(list(sizes), first_layer) :])
    least = smallest / sum(sizes.values())
    if 0 < target_cost < least:
        raise ValueError(
            f"From '{first_layer}' on, no layer fits a target cost of {target_cost:.3g}: the "
            f"smallest takes {least:.3g} of the base. Ask for at least that much, or begin earlier."
        )


def first_index(layers: Sequence[str], first_layer: str | None) -> int:
    """Returns the index of the first layer that may be changed; errors as `check_first_layer`."""
    if first_layer is None:
        return 0
    if first_layer not in layers:
        known = [str(path) for path in layers]
        near = difflib.get_close_matches(str(first_layer), known) or known[:3]
        raise ValueError(
            "`first_layer` must be the path of a policy layer; the head is none. Received: "
            f"{first_layer!r}. Of {len(known)} layers, see {near}."
        )
    return list(layers).index(first_layer)

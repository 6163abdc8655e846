"""Parameters as the paper counts them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from swr_keras.accounting.summary import Summary
from swr_keras.layers.normalization import STATISTICS


def owned_parameters(arrays: Mapping[str, Any], head: str) -> int:
    """Returns the parameters that a task owns besides its head and the statistics of batch norm.

    These are the weights of the layers that it changes, and gamma and beta of batch norm where
    they are the task's; `summary` has the bytes of all that it stores.

    Args:
        arrays: What the task owns, by layer path and name: `task_variables()` of a task model, or
            `arrays` of a task pack.
        head: Path of its head, `head_path` of a task model, or `head` of a task pack.
    """
    return sum(
        int(np.prod(array.shape))
        for name, array in arrays.items()
        if not name.startswith(f"{head}/") and name.split("/")[-1] not in STATISTICS
    )


def base_parameters(base: Summary, head: str) -> int:
    """Returns the parameters of a base besides its head and the statistics of batch norm.

    It is what `owned_parameters` gives for a task that changes everything.

    Args:
        base: `summary` of the base.
        head: Path of its head.
    """
    return sum(row.parameters for row in base.rows if row.path != head)


def relative_parameters(base: int, owned: Iterable[int]) -> float:
    """Returns the parameters of a base and all its tasks, relative to the base's ("#Param").

    Args:
        base: Those of the base, see `base_parameters`.
        owned: What each task owns, see `owned_parameters`.

    Raises:
        ValueError: If the base has no parameters.

    Source: section 4 of arXiv 2302.13435. It doesn't say what counts. Without heads on either side
    it gives what is printed: 1.08, 1.54 and 2.00 for 1, 7 and 13 whole convolutions of Res15, and
    3x and 6x for two and five tasks that change everything, whatever the size of the heads.
    """
    if base < 1:
        raise ValueError(f"A base has one or more parameters. Received: {base}.")
    return 1.0 + sum(owned) / base

"""Parameters as the paper counts them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

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


def relative_parameters(base: int, owned: Iterable[int]) -> float:
    """Returns the parameters of a base and all its tasks, relative to the base's ("#Param").

    Args:
        base: Parameters of the base without the statistics of batch norm, `Summary.parameters`.
        owned: What each task owns, see `owned_parameters`.

    Raises:
        ValueError: If the base has no parameters.

    Source: section 4 of arXiv 2302.13435. It doesn't say what counts; this is what reproduces its
    numbers for Res15, where 1, 7 and 13 whole convolutions make 1.08, 1.54 and 2.00.
    """
    if base < 1:
        raise ValueError(f"A base has one or more parameters. Received: {base}.")
    return 1.0 + sum(owned) / base

"""How well the tasks of a device do, as the manifests of their models say."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypedDict

from swr_keras.jobs.bundle import bundle_file, bundle_task
from swr_keras.jobs.run import Run
from swr_keras.jobs.schema import conform


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Shares of right answers on the test examples; what isn't known is `None`.

    Attributes:
        examples: How many there are.
        as_float, as_int8: Of the Keras model, and of what runs on the device, in [0, 1].
    """

    examples: int | None = None
    as_float: float | None = None
    as_int8: float | None = None

    def __post_init__(self):
        shares = [share for share in (self.as_float, self.as_int8) if share is not None]
        counts = [] if self.examples is None else [self.examples]
        if not all(0 <= share <= 1 for share in shares) or any(count < 1 for count in counts):
            raise ValueError(
                "Accuracies are in [0, 1], of one or more examples. Received: "
                f"{self.as_float}, {self.as_int8} and {self.examples}."
            )


class _Told(TypedDict, total=False):
    examples: int
    float: float
    int8: float


def told_accuracy(manifest: Mapping[str, Any], where: str) -> Accuracy:
    """Returns the accuracy that the manifest of a model tells, of whoever wrote it.

    Args:
        manifest: The manifest.
        where: What it is, for messages.

    Raises:
        ValueError: If it isn't made of numbers, or of ones that can't be.
    """
    told = conform(manifest.get("accuracy"), _Told | None, f"{where}['accuracy']") or {}
    try:
        return Accuracy(told.get("examples"), told.get("float"), told.get("int8"))
    except ValueError as error:
        raise ValueError(f"{where} tells what can't be: {error}") from None


def bundle_accuracy(run: Run, stem: str) -> dict[str, Accuracy]:
    """Returns the accuracy of the tasks of a run's bundle, by their names in it.

    Args:
        run: The run.
        stem: Name of the bundle's file without its ending.

    Raises:
        ValueError: As for `told_accuracy`.
    """
    return {
        bundle_task(result.task): told_accuracy(result.manifest, f"The manifest of {result.title}")
        for result in run.results
        if result.kind == "int8" and result.manifest and bundle_file(result.target_cost) == stem
    }

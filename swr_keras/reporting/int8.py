"""The int8 models of a run as plain values: sizes, accuracy, and what was checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run
from swr_keras.reporting.results import percent

_MICRO = ("micro", "tflm")


@dataclasses.dataclass(frozen=True)
class Int8Row:
    """An int8 model; what isn't known is empty.

    Attributes:
        task, method, target_cost: Which model it is.
        flash_bytes, arena_bytes: What it takes of a device's flash and RAM.
        testing: Test accuracy.
        checked: What TFLite Micro's kernels were compared on, and how that ended.
        calibration: How many examples set the ranges of its activations.
    """

    task: str
    method: str
    target_cost: str
    flash_bytes: str
    arena_bytes: str
    testing: str
    checked: str
    calibration: str


@dataclasses.dataclass(frozen=True)
class Int8View:
    """All int8 models of a run.

    Attributes:
        rows: One for each.
        ran_on_micro: Whether TFLite Micro's kernels ran all of them.
        has_calibration: Whether it is known for any what set the ranges.
    """

    rows: tuple[Int8Row, ...]
    ran_on_micro: bool
    has_calibration: bool


def int8_view(run: Run) -> Int8View:
    """Describes the int8 models of a run that have a manifest."""
    converted = [r for r in run.results if r.kind == "int8" and r.manifest is not None]
    rows = tuple(_row(result) for result in converted)
    return Int8View(
        rows=rows,
        ran_on_micro=all(ran_on_micro(result.manifest or {}) for result in converted),
        has_calibration=any(row.calibration for row in rows),
    )


def _row(result: Result) -> Int8Row:
    manifest = result.manifest or {}
    arena = manifest["arena"]
    return Int8Row(
        task=result.task,
        method=result.method,
        target_cost="" if result.target_cost is None else f"{result.target_cost:g}",
        flash_bytes=f"{manifest['size_bytes']:,}",
        arena_bytes=f"{arena['bytes_host_estimate']:,}" if arena else "not measured",
        testing="" if result.testing_accuracy is None else percent(result.testing_accuracy),
        checked=_checked(manifest),
        calibration=_in_words(manifest.get("calibration_record")),
    )


def ran_on_micro(manifest: Mapping[str, Any]) -> bool:
    """Whether TFLite Micro's own kernels ran the model of a manifest."""
    if "verification" not in manifest:  # Written when no model was without.
        return manifest["arena"] is not None
    found = _verification(manifest)
    engines = found.get("engines", found)
    if isinstance(engines, Mapping):
        engines = [name for name, ran in engines.items() if ran]
    return any(name in str(engines).lower() for name in _MICRO)


def _verification(manifest):
    found = manifest.get("verification")
    return found if isinstance(found, Mapping) else {}


def _checked(manifest):
    if not ran_on_micro(manifest):
        return "not run"
    found = _verification(manifest)
    parts = []
    if "max_lsb" in found:
        parts.append(f"within {found['max_lsb']} LSB")
    if isinstance(found.get("differing"), int | float):
        parts.append(f"{percent(found['differing'])} differ")
    if "examples" in found:
        parts.append(f"{found['examples']} examples")
    return ", ".join(parts) or "run"


def _in_words(record):
    """A record of any shape in words: its plain values by name."""
    if isinstance(record, Mapping):
        plain = (str, int, float)
        return ", ".join(f"{name}: {v}" for name, v in record.items() if isinstance(v, plain))
    return "" if record is None else str(record)

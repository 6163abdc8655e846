"""Results as they were written before a run had one file: `metrics.json` for each task."""

import pathlib
from collections import Counter
from typing import Any, NotRequired, TypedDict

from swr_keras.jobs.result import BASE, CLASSIFIER, FINE_TUNING, History
from swr_keras.jobs.schema import conform

_INT8 = " int8"
_WITHOUT_COST = (BASE, CLASSIFIER, FINE_TUNING)
_FIELDS = (
    "validation_accuracy",
    "testing_accuracy",
    "target_cost",
    "achieved_cost",
    "changed_layers",
    "owned_bytes",
)


class _Row(TypedDict):
    method: str
    validation_accuracy: float
    testing_accuracy: float
    target_cost: NotRequired[float | None]
    achieved_cost: NotRequired[float | None]
    changed_layers: NotRequired[list[str] | None]
    owned_bytes: NotRequired[int | None]


class _Confusion(TypedDict):
    title: str
    counts: list[list[int]]


class _Bundle(TypedDict):
    target_cost: float
    stem: str
    manifest: dict[str, Any]


class _Metrics(TypedDict):
    task: str
    labels: list[str]
    clips: dict[str, int]
    results: list[_Row]
    settings: dict[str, Any]
    unreadable_clips: NotRequired[dict[str, list[str]]]
    confusions: NotRequired[list[_Confusion]]
    policy_curve: NotRequired[dict[str, Any] | None]
    policy_tracking_error: NotRequired[float | None]
    bundles: NotRequired[list[_Bundle]]
    histories: NotRequired[dict[str, History]]
    seconds: NotRequired[dict[str, float]]
    versions: NotRequired[dict[str, str]]


def find(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of a run's folder, in order of their tasks."""
    return sorted(path for path in folder.glob("*/metrics.json") if path.is_file())


def run_values(content: Any) -> dict[str, Any]:
    """Returns the fields of a `Run` of one task, as JSON has them, from the content of its file.

    Which examples each model got right was not written, so no result has `right`.

    Raises:
        ValueError: If a value is missing or of another type; says where.
    """
    task = conform(content, _Metrics, "The content")
    return {
        "settings": task["settings"],
        "base": None,
        "tasks": [_facts(task)],
        "results": [*_base(task), _search(task), *_models(task)],
        "versions": task.get("versions", {}),
    }


def _facts(task):
    left_out = task.get("unreadable_clips", {})
    return {
        "name": task["task"],
        "labels": task["labels"],
        "examples": task["clips"],
        "notes": [
            f"Left out, {split}: {clip}" for split, clips in left_out.items() for clip in clips
        ],
    }


def _base(task):
    measured = _measured(task, BASE)
    if not any(measured.values()):
        return []
    return [{"kind": "base", "title": BASE, "task": BASE, **measured}]


def _search(task):
    name = task["task"]
    return {
        "kind": "search",
        "title": f"{name}: search",
        "task": name,
        "policy_curve": task.get("policy_curve"),
        "tracking_error": task.get("policy_tracking_error"),
        **_measured(task, f"{name}: super-net", f"{name}: policy search"),
    }


def _models(task):
    name = task["task"]
    keys = [(row["method"], row.get("target_cost")) for row in task["results"]]
    seen: Counter = Counter()
    for key, row in zip(keys, task["results"], strict=True):
        seen[key] += 1
        method, cost = key
        number = f" {seen[key]}" if keys.count(key) > 1 else ""
        title = f"{name}: {method}{number}"
        if method not in _WITHOUT_COST and cost is not None:
            title += f" at c = {cost:g}"
        is_int8 = method.endswith(_INT8)
        yield {
            **{field: row[field] for field in _FIELDS if field in row},
            "kind": "int8" if is_int8 else "model",
            "title": title,
            "task": name,
            "method": method.removesuffix(_INT8),
            **_measured(task, title),
            **(_converted(task, method, cost) if is_int8 and cost is not None else {}),
        }


def _measured(task, *stages):
    """What was logged of stages, without the name of the task in their titles."""
    prefix = f"{task['task']}: "
    return {
        field: {
            stage.removeprefix(prefix): task[field][stage]
            for stage in stages
            if stage in task.get(field, {})
        }
        for field in ("histories", "seconds")
    }


def _converted(task, method, cost):
    """The files and the confusions of an int8 model."""
    found: dict[str, Any] = {}
    for bundle in task.get("bundles", ()):
        if bundle["target_cost"] == cost:
            found |= {"stem": bundle["stem"], "manifest": bundle["manifest"]}
    for confusion in task.get("confusions", ()):
        if confusion["title"] == f"{method} at c = {cost:g}":
            found["confusion"] = confusion["counts"]
    return found

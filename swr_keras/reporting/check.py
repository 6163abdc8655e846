"""Whether the dict of a run has what a report needs."""

from typing import Any

from swr_keras.reporting.results import BOTH_RIGHT, CLASSIFIER, INT8, SWR

_SPLITS = ("training", "validation", "testing")
_ACCURACIES = ("validation_accuracy", "testing_accuracy")
_POLICY = ("target_cost", "achieved_cost", "changed_layers")


def check_run(run: dict[str, Any]) -> None:
    """Raises ValueError unless `run` is what `render_report` takes; says where it isn't."""
    if not isinstance(run, dict) or not run.get("tasks"):
        raise ValueError(
            "A report needs a dict with a list `tasks` of at least one task. Received: "
            f"{sorted(run) if isinstance(run, dict) else type(run).__name__}."
        )
    for index, task in enumerate(run["tasks"]):
        where = f"tasks[{index}]"
        _require(task, ("task", "labels", "clips", "results"), where)
        _require(task["clips"], _SPLITS, f"{where}['clips']")
        for split, count in task["clips"].items():
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"{where} needs clips of every split. Received: {split}={count}.")
        compared = any(row.get("method") == CLASSIFIER for row in task["results"])
        for number, row in enumerate(task["results"]):
            _check_result(row, f"{where}['results'][{number}]", compared)
        _check_confusions(task, where)
        _check_policies(task, where)


def _require(value, keys, where):
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise ValueError(f"{where} of a report lacks {missing}. Received: {str(value)[:200]}.")


def _check_result(row, where, compared):
    _require(row, ("method", *_ACCURACIES), where)
    if row["method"] in (SWR, INT8):
        _require(row, _POLICY, where)
    if row["method"] == SWR and compared:
        _require(row, [BOTH_RIGHT], where)
    for key in _ACCURACIES:
        if not 0 <= row[key] <= 1:
            raise ValueError(f"{where} needs accuracies in [0, 1]. Received: {key}={row[key]}.")


def _check_confusions(task, where):
    size = len(task["labels"])
    for confusion in task.get("confusions", ()):
        _require(confusion, ("title", "counts"), f"{where}['confusions']")
        shape = [len(row) for row in confusion["counts"]]
        if shape != [size] * size:
            raise ValueError(
                f"{where} has {size} labels, so confusions need {size} rows of {size} counts. "
                f"Received: '{confusion['title']}' with rows of lengths {shape}."
            )


def _check_policies(task, where):
    curve = task.get("policy_curve")
    for row in task["results"] if curve else ():
        unknown = set(row.get("changed_layers") or ()) - set(curve["layers"])
        if unknown:
            raise ValueError(
                f"{where} has results with layers that its policy_curve doesn't have: "
                f"{sorted(unknown)}. Both must come from one base."
            )

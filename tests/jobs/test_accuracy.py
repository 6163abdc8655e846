import pytest

from swr_keras.jobs.accuracy import Accuracy, bundle_accuracy, told_accuracy
from swr_keras.jobs.bundle import bundle_file, bundle_task
from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run, TaskFacts

LONG = "a task of which the name is longer than a bundle has room for"
EXAMPLES = {"training": 8, "validation": 4, "testing": 4}


def int8(task, cost, accuracy):
    manifest = {
        "size_bytes": 1_000,
        "labels": ["no", "yes"],
        "front_end": {"class": "LogMel"},
        "input": {"shape": [1, 4], "scale": 0.1, "zero_point": 0},
        "operators": {},
        "arena": None,
        "accuracy": accuracy,
    }
    return Result(
        kind="int8",
        title=f"{task} at {cost}, int8",
        task=task,
        method="classifier-only",
        target_cost=cost,
        testing_accuracy=0.5,
        stem=f"{task}/model",
        manifest=manifest,
    )


def run(*results):
    tasks = tuple(TaskFacts(name, ("no", "yes"), EXAMPLES) for name in ("english", LONG))
    return Run(settings={}, base=None, tasks=tasks, results=results, versions={})


def test_accuracies_of_the_tasks_of_one_bundle():
    found = run(
        int8("english", 0.1, {"examples": 4, "float": 0.75, "int8": 0.5}),
        int8("english", 0.3, {"examples": 4, "float": 1.0, "int8": 1.0}),
        int8(LONG, 0.1, {"int8": 0.25}),
    )
    assert bundle_accuracy(found, bundle_file(0.1)) == {
        "english": Accuracy(4, 0.75, 0.5),
        bundle_task(LONG): Accuracy(as_int8=0.25),
    }
    assert bundle_accuracy(found, bundle_file(0.2)) == {}


@pytest.mark.parametrize("manifest", [{}, {"accuracy": None}, {"accuracy": {"loss": 0.1}}])
def test_what_is_not_told_is_not_known(manifest):
    assert told_accuracy(manifest, "It") == Accuracy()


@pytest.mark.parametrize(
    "accuracy",
    [
        *([], "good", {"int8": "good"}, {"int8": 1.5}, {"float": -0.1}, {"int8": float("nan")}),
        *({"examples": 0}, {"examples": -4}, {"examples": 2.5}, {"int8": True}),
    ],
)
def test_what_can_not_be_is_refused(accuracy):
    with pytest.raises(ValueError, match="^It"):
        told_accuracy({"accuracy": accuracy}, "It")

import numpy as np
import pytest

from swr_keras.jobs.result import LOSSES, Result, pack_bits
from swr_keras.jobs.run import BaseFacts, Run, TaskFacts

CURVE = {
    "layers": ["a", "b"],
    "sizes": [3, 1],
    "kinds": ["dense", "pointwise"],
    "costs": [0.0, 1.0],
    "probabilities": [[0.0, 0.0], [1.0, 1.0]],
    "expected": [0.0, 1.0],
    "threshold": [0.0, 1.0],
    "budget": [0.0, 1.0],
}
MANIFEST = {
    "size_bytes": 10,
    "labels": ["no", "yes"],
    "front_end": {"class": "LogMel"},
    "input": {"shape": [1, 4], "scale": 0.5, "zero_point": 0},
    "operators": {"ADD": 1},
    "arena": None,
    "sha256": "more is allowed",
}
HITS = np.array([True, False, True, True] * 3)


def model(task, method, accuracy, cost=None, layers=(), **more):
    """A model of a task, of which single answers aren't known."""
    return Result(
        **{
            "kind": "model",
            "title": f"{task}: {method} {cost}",
            "task": task,
            "method": method,
            "target_cost": cost,
            "achieved_cost": cost,
            "changed_layers": tuple(layers),
            "validation_accuracy": accuracy,
            "testing_accuracy": accuracy,
            **more,
        }
    )


@pytest.fixture
def make_model():
    """Makes the result of a model, see `model`."""
    return model


@pytest.fixture
def run():
    """A run with every field of every kind of result."""
    results = (
        Result(
            kind="base",
            title="base",
            task="base",
            histories={"training": {"loss": [1.5, 1.0]}},
            seconds={"training": 3.5},
        ),
        Result(
            kind="search",
            title="words: search",
            task="words",
            policy_curve=CURVE,
            tracking_error=0.01,
        ),
        Result(
            kind="policy",
            title="words: policy",
            task="words",
            target_cost=0.25,
            achieved_cost=0.25,
            changed_layers=("b",),
            policy_losses=dict(zip(LOSSES, (0.5, 0.6, 0.7, 0.8, 0.9), strict=True)),
        ),
        model("words", "classifier-only", 0.5, 0.0, owned_bytes=1_200, batch_norm="frozen"),
        model(
            "words",
            "SWR",
            0.75,
            0.25,
            ["b"],
            right=pack_bits(HITS),
            confusion=((5, 1), (2, 4)),
            owned_bytes=2_400,
            flash_bytes=1_600,
            batch_norm="owned",
            accuracy_in={"unheard noise": 0.5},
        ),
        model(
            "words",
            "SWR",
            0.75,
            0.25,
            ["b"],
            kind="int8",
            title="words: SWR int8",
            stem="words/c0.25/model",
            manifest=MANIFEST,
        ),
    )
    examples = {"training": 40, "validation": 10, "testing": 12}
    return Run(
        settings={"seed": 0, "backbone": "bcresnet1", "target_cost": [0.25]},
        base=BaseFacts("bcresnet1", parameters=9_232, multiplies=2_482_156, num_bytes=46_592),
        tasks=(TaskFacts("words", ("no", "yes"), examples, ("Left out: a.wav",)),),
        results=results,
        versions={"python": "3.11"},
    )

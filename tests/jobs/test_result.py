import json

import numpy as np
import pytest

from swr_keras.jobs.result import Result, pack_bits, unpack_bits


def test_round_trip(run):
    for result in run.results:
        assert Result.from_dict(json.loads(json.dumps(result.as_dict()))) == result


def test_only_what_was_found_is_written():
    assert Result(kind="base", title="t", task="base").as_dict() == {
        "kind": "base",
        "title": "t",
        "task": "base",
    }


def test_names_of_tables(run):
    assert [result.name for result in run.results[3:]] == ["classifier-only", "SWR", "SWR int8"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "other"}, "kind of a result"),
        ({"testing_accuracy": 93.0}, r"testing_accuracy in \[0, 1\]. Received: 93.0"),
        ({"testing_accuracy": float("nan")}, "testing_accuracy in"),
        ({"validation_accuracy": -0.1}, "validation_accuracy in"),
        ({"testing_accuracy": None}, "needs a method and its testing_accuracy"),
        ({"method": ""}, "needs a method"),
        ({"target_cost": float("nan")}, r"target_cost in \[0, 1\]"),
        ({"achieved_cost": 1.5}, r"achieved_cost in \[0, 1\]"),
        ({"confusion": ((1, -1), (0, 2))}, "counts of 0 or more"),
        ({"method": "SWR", "target_cost": None}, "a model of SWR, so it needs target_cost"),
        ({"method": "SWR", "changed_layers": None}, "a model of SWR"),
        ({"manifest": {"size_bytes": 1}}, r"\['manifest'\] lacks \['arena'"),
        ({"policy_curve": {"layers": ["a"]}}, r"\['policy_curve'\] lacks \['budget'"),
    ],
)
def test_results_that_say_nothing_are_refused(make_model, changes, message):
    with pytest.raises(ValueError, match=message):
        make_model(**{"task": "one", "method": "x", "accuracy": 0.5, "cost": 0.1, **changes})


@pytest.mark.parametrize("name", ["layers", "sizes", "costs", "probabilities", "budget"])
def test_lists_of_a_curve_have_one_length(run, name):
    values = run.results[1].as_dict()
    curve = values["policy_curve"]
    values["policy_curve"] = {**curve, name: curve[name][:1]}
    with pytest.raises(ValueError, match="lists of one length"):
        Result.from_dict(values)


def test_a_curve_has_a_probability_of_each_layer(run):
    curve = {**run.results[1].policy_curve, "probabilities": [[0.0], [1.0]]}
    with pytest.raises(ValueError, match="a probability of each layer at each cost"):
        Result(kind="search", title="t", task="one", policy_curve=curve)


def test_layers_of_a_curve_have_parameters(run):
    curve = {**run.results[1].policy_curve, "sizes": [0, 0]}
    with pytest.raises(ValueError, match="layers of a size of 1 or more"):
        Result(kind="search", title="t", task="one", policy_curve=curve)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more": 1}, r"unknown fields. Received: \['more'\]"),
        ({"title": 3}, r"\['title'\] must be text. Received: 3"),
        ({"target_cost": "0.1"}, r"\['target_cost'\] must be a number"),
        ({"target_cost": True}, r"\['target_cost'\] must be a number"),
        ({"owned_bytes": 1.5}, r"\['owned_bytes'\] must be an integer"),
        ({"changed_layers": "abc"}, r"\['changed_layers'\] must be a list"),
        ({"changed_layers": [1]}, r"\['changed_layers'\]\[0\] must be text"),
        ({"confusion": [1]}, r"\['confusion'\]\[0\] must be a list"),
        ({"histories": []}, r"\['histories'\] must be an object"),
        ({"histories": {"a": {"loss": 1}}}, r"\['histories'\]\['a'\]\['loss'\] must be a list"),
        ({"seconds": {"a": None}}, r"\['seconds'\]\['a'\] must be a number"),
        ({"policy_curve": []}, r"\['policy_curve'\] must be an object"),
    ],
)
def test_fields_of_another_type_are_refused(run, changes, message):
    with pytest.raises(ValueError, match=message):
        Result.from_dict({**run.results[3].as_dict(), **changes})


@pytest.mark.parametrize("name", ["kind", "title", "task"])
def test_missing_fields_are_refused(run, name):
    values = run.results[3].as_dict()
    del values[name]
    with pytest.raises(ValueError, match=rf"lacks \['{name}'\]"):
        Result.from_dict(values)


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_other_values_are_refused(values):
    with pytest.raises(ValueError, match="must be an object"):
        Result.from_dict(values)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1_000])
def test_bits_come_back(count):
    hits = np.random.default_rng(0).random(count) < 0.5
    assert np.array_equal(unpack_bits(pack_bits(hits), count), hits)


@pytest.mark.parametrize("text", ["AAAA", "", "***", "A", "é"])
def test_damaged_bits_are_refused(text):
    with pytest.raises(ValueError, match="Expected"):
        unpack_bits(text, 12)


def test_both_right(make_model):
    hits = [np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 1, 1], bool)]
    first, second = (
        make_model("one", "random policy", 0.6, 0.1, right=pack_bits(each)) for each in hits
    )
    assert first.both_right(second, 5) == second.both_right(first, 5) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="doesn't say which examples"):
        first.both_right(make_model("one", "base", 0.6), 5)

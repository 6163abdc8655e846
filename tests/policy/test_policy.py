import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swr_keras.policy import Policy

LAYERS = ("a", "b", "c", "d")
SIZES = (10, 40, 30, 20)
PROBABILITIES = (0.2, 0.9, 0.6, 0.4)


@st.composite
def questions(draw):
    count = draw(st.integers(1, 20))
    sizes = draw(st.lists(st.integers(1, 10_000), min_size=count, max_size=count))
    probabilities = draw(st.lists(st.floats(0, 1), min_size=count, max_size=count))
    return [f"layer{i}" for i in range(count)], sizes, probabilities, draw(st.floats(0, 1))


@given(questions())
def test_budget_is_never_exceeded_and_nothing_left_out_would_fit(question):
    layers, sizes, probabilities, target = question
    policy = Policy.from_probabilities(layers, sizes, probabilities, target)
    assert policy.achieved_cost <= target
    for size, chosen in zip(sizes, policy.selected, strict=True):
        cost = Fraction(policy.owned_size + size, sum(sizes))
        assert chosen or cost > Fraction(target)


@given(questions(), st.sets(st.integers(0, 19)))
@example((["a", "b"], [29, 71], [0.9, 0.1], 0.0), {0})
def test_the_cost_of_a_choice_is_budget_enough_for_it(question, choice):
    layers, sizes, _, _ = question
    chosen = [path for index, path in enumerate(layers) if index in choice]
    made = Policy.from_layers(dict(zip(layers, sizes, strict=True)), chosen)
    read = Policy.from_probabilities(layers, sizes, made.probabilities, made.achieved_cost)
    assert read.selected_layers == made.selected_layers


@given(questions())
def test_threshold_takes_just_the_likely_layers(question):
    layers, sizes, probabilities, target = question
    policy = Policy.from_probabilities(layers, sizes, probabilities, target, "threshold")
    assert policy.selected == tuple(p > 0.5 for p in probabilities)


@given(questions(), st.sampled_from(["budget", "threshold"]))
def test_json_round_trip(question, reading):
    policy = Policy.from_probabilities(*question, reading)
    assert Policy.from_json(policy.to_json()) == policy


@given(questions(), st.data(), st.sampled_from(["budget", "threshold"]))
def test_nothing_before_the_first_layer_is_changed(question, data, reading):
    layers, sizes, _, target = question
    first = data.draw(st.integers(0, len(layers) - 1))
    smallest = Fraction(min(sizes[first:]), sum(sizes))
    if 0 < target < smallest:
        with pytest.raises(ValueError, match=f"From 'layer{first}' on, no layer fits"):
            Policy.from_probabilities(*question, reading, first_layer=layers[first])
        return
    policy = Policy.from_probabilities(*question, reading, first_layer=layers[first])
    assert policy.smallest_cost == pytest.approx(float(smallest))
    assert not any(policy.selected[:first])
    assert Policy.from_json(policy.to_json()) == policy
    everything = Policy.from_probabilities(*question, reading)
    if reading == "threshold":
        assert policy.selected[first:] == everything.selected[first:]
        return
    assert policy.achieved_cost <= target
    for size, chosen in zip(sizes[first:], policy.selected[first:], strict=True):
        cost = Fraction(policy.owned_size + size, sum(sizes))
        assert chosen or cost > Fraction(target)


def test_a_first_layer_is_written_only_where_there_is_one():
    question = (LAYERS, SIZES, PROBABILITIES, 0.5)
    policy = Policy.from_probabilities(*question)
    assert "first_layer" not in policy.as_dict()
    assert Policy.from_dict(policy.as_dict()).first_layer is None
    later = Policy.from_probabilities(*question, first_layer="c")
    assert later.as_dict()["first_layer"] == "c"
    assert later.selected_layers == ("c", "d")
    assert later.achieved_cost == 0.5


@pytest.mark.parametrize("first_layer", ["b", "e", 3])
def test_a_first_layer_that_the_choice_contradicts_is_refused(first_layer):
    fields = Policy.from_layers(dict(zip(LAYERS, SIZES, strict=True)), ["a"]).as_dict()
    with pytest.raises(ValueError, match="first_layer"):
        Policy.from_dict({**fields, "first_layer": first_layer})


def test_budget_fills_by_falling_probability():
    policy = Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 0.75)
    assert policy.selected_layers == ("b", "c")
    assert policy.owned_size == 70
    assert policy.achieved_cost == 0.7
    assert policy.expected_cost == pytest.approx((2 + 36 + 18 + 8) / 100)
    assert Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 1.0).selected == (True,) * 4
    assert Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 0.0).selected == (False,) * 4


def test_table_shows_every_layer_and_the_costs():
    text = str(Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 0.75))
    rows = text.splitlines()
    assert [row.split()[0] for row in rows[1:5]] == list(LAYERS)
    assert rows[2].split() == ["b", "40", "40.0%", "0.90", "yes"]
    assert "2 of 4 layers changed, 70 of 100 parameters" in rows[-1]
    assert "achieved cost 0.700 for a target of 0.750" in rows[-1]


@pytest.mark.parametrize("cost", [-0.1, 1.5, float("nan"), "0.1", None])
def test_impossible_target_cost(cost):
    with pytest.raises(ValueError, match="a number from 0 to 1. Received"):
        Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, cost)


@pytest.mark.parametrize("cost", [np.float32(0.5), np.float64(0.5), np.int64(1), Fraction(1, 2)])
def test_any_real_number_is_a_target_cost(cost):
    policy = Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, cost)
    assert policy.target_cost == cost
    assert Policy.from_json(policy.to_json()) == policy


@pytest.mark.parametrize("reading", ["budget", "threshold"])
@pytest.mark.parametrize(
    ("sizes", "probabilities"), [(SIZES[:3], PROBABILITIES), (SIZES, PROBABILITIES[:3]), ((), ())]
)
def test_lengths_that_differ(sizes, probabilities, reading):
    with pytest.raises(ValueError, match="of one length"):
        Policy.from_probabilities(LAYERS, sizes, probabilities, 0.5, reading)


def test_impossible_arguments():
    with pytest.raises(ValueError, match="reading of a policy.*'best'"):
        Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 0.1, "best")
    with pytest.raises(ValueError, match="of one length"):
        Policy(LAYERS, SIZES, PROBABILITIES, (True,), 0.1, "budget")
    with pytest.raises(ValueError, match="must differ"):
        Policy.from_probabilities(("a", "a"), (1, 2), (0.5, 0.5), 0.1)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        Policy.from_probabilities(("a",), (1,), (1.5,), 0.1)


def test_json_of_something_else_is_refused():
    with pytest.raises(ValueError, match="must be JSON"):
        Policy.from_json("{")
    with pytest.raises(ValueError, match="format"):
        Policy.from_json('{"layers": []}')
    fields = json.loads(Policy.from_probabilities(LAYERS, SIZES, PROBABILITIES, 0.1).to_json())
    del fields["selected"]
    fields["chosen"] = []
    with pytest.raises(ValueError, match=r"missing \['selected'\], unknown \['chosen'\]"):
        Policy.from_json(json.dumps(fields))


def test_policies_of_the_first_format_count_parameters():
    policy = Policy.from_layers({"a": 3, "b": 5}, ["b"])
    fields = {**policy.as_dict(), "format": "swr_keras.policy/1"}
    fields["num_parameters"] = fields.pop("sizes")
    del fields["cost"]
    assert Policy.from_dict(fields) == policy


def test_probabilities_have_no_refined_reading():
    with pytest.raises(ValueError, match="found on a super-net.*Received: reading='refined'"):
        Policy.from_probabilities(["a"], [1], [0.5], 0.5, "refined")
    with pytest.raises(ValueError, match="cost of a policy must be one of.*Received: 'bytes'"):
        Policy.from_layers({"a": 3}, [], "bytes")

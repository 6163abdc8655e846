"""Tests of parameters as the paper counts them."""

import keras
import pytest

import swr_keras as swr
from swr_keras.accounting import base_parameters, owned_parameters, relative_parameters, summary
from swr_keras.layers.head import find_head
from swr_keras.layers.units import policy_units


@pytest.fixture(scope="module")
def res15():
    return swr.backbones.res15(num_classes=12)


@pytest.mark.parametrize(
    ("convolutions", "printed"), [((1, 0), "1.08"), ((3, 4), "1.54"), ((13, 0), "2.00")]
)
@pytest.mark.parametrize("batch_norm", ["statistics", "affine", "owned"])
def test_convolutions_of_res15_over_two_tasks_are_the_printed_numbers(
    convolutions, printed, batch_norm, res15
):
    whole = list(policy_units(res15))[1:]
    tasks = [
        swr.TaskModel(res15, whole[:count], num_classes=12, batch_norm=batch_norm)
        for count in convolutions
    ]
    costs = summary(res15)
    assert costs.parameters == 237_882
    base = base_parameters(costs, find_head(res15))
    assert base == 237_882 - (45 * 12 + 12)
    owned = [owned_parameters(task.task_variables(), task.head_path) for task in tasks]
    assert owned == [18_225 * count for count in convolutions]
    assert f"{relative_parameters(base, owned):.2f}" == printed
    packs = [task.pack() for task in tasks]
    assert [owned_parameters(pack.arrays, pack.head) for pack in packs] == owned


@pytest.mark.parametrize(
    ("layers", "batch_norm", "owned"),
    [
        ([], "statistics", 0),
        ([], "affine", 2 * 6),
        (["depthwise"], "frozen", 9 * 6 + 6),
        (["conv"], "owned", 9 * 6 + 2 * 6),
        (["conv", "pointwise"], "statistics", 9 * 6 + 6 * 8 + 8),
    ],
)
def test_gamma_and_beta_count_where_they_are_the_tasks(layers, batch_norm, owned, base):
    task = swr.TaskModel(base, layers, num_classes=3, batch_norm=batch_norm)
    assert owned_parameters(task.task_variables(), task.head_path) == owned


@pytest.mark.parametrize("classes", [2, 1000])
def test_fine_tuning_all_of_two_tasks_makes_three_bases_of_any_head(classes):
    base = swr.backbones.bcresnet(1, num_classes=classes)
    task = swr.TaskModel(base, list(policy_units(base)), num_classes=3, batch_norm="affine")
    owned = owned_parameters(task.task_variables(), task.head_path)
    assert relative_parameters(base_parameters(summary(base), find_head(base)), [owned] * 2) == 3.0


def test_the_head_is_what_the_base_has_besides():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    base = keras.Model(inputs, keras.layers.Dense(2, name="scores")(hidden))
    assert base_parameters(summary(base), "scores") == 4 * 3 + 3
    assert base_parameters(summary(base), "hidden") == 3 * 2 + 2


def test_a_base_without_tasks_is_one_base():
    assert relative_parameters(237_330, []) == 1.0
    with pytest.raises(ValueError, match="one or more parameters. Received: 0"):
        relative_parameters(0, [1])

import dataclasses
import unicodedata

import pytest

from swr_keras.jobs.run import TaskFacts
from swr_keras.jobs.table import gains, results_table


def test_table_has_every_model(run):
    assert results_table(run).splitlines() == [
        "words: accuracy on 10 validation and 12 test examples, 2 classes",
        "method           batch norm  target  achieved  layers  validation   test  flash",
        "classifier-only      frozen    0.00     0.000       0       50.0%  50.0%",
        "SWR                   owned    0.25     0.250       1       75.0%  75.0%  1,600",
        "SWR int8                       0.25     0.250       1       75.0%  75.0%",
    ]


def test_tasks_stand_below_each_other(run, make_model):
    other = dataclasses.replace(run.tasks[0], name="other")
    both = dataclasses.replace(
        run,
        tasks=(*run.tasks, other),
        results=(
            *run.results,
            make_model("other", "base", 0.25, achieved_cost=None, changed_layers=None),
        ),
    )
    words, others = results_table(both).split("\n\n")
    assert words == results_table(run)
    assert others.splitlines()[2].split() == ["base", "25.0%", "25.0%"]


@pytest.mark.parametrize("method", ["随机策略", "ランダム", "हिंदी", "e\u0301tude", "abc", "ﾊﾝ"])
def test_columns_stay_aligned_in_any_script(run, make_model, method):
    """A terminal takes two columns for a wide character, and none for a mark on another."""
    results = (*run.results, make_model("words", method, 0.5, 0.1))
    lines = results_table(dataclasses.replace(run, results=results)).splitlines()[1:]
    ends = {columns(line[: line.index("%") + 1]) for line in lines[1:]}
    assert len(ends) == 1
    assert ends == {lines[0].index("validation") + len("validation")}


def columns(text):
    marks = sum(unicodedata.category(character) == "Mn" for character in text)
    wide = sum(unicodedata.east_asian_width(character) == "W" for character in text)
    return len(text) - marks + wide


def test_a_task_without_models_has_its_heading(run):
    empty = dataclasses.replace(run, results=())
    assert results_table(empty).splitlines()[0].startswith("words: accuracy on 10")
    assert isinstance(empty.tasks[0], TaskFacts)


def test_a_sentence_a_task_says_what_was_gained_for_how_many_bytes(run, make_model):
    assert gains(run) == "words: SWR at 0.25 gets 75.0% right with 1,600 bytes of flash."
    others = (
        make_model("words", "classifier-only", 0.5, None, flash_bytes=600),
        make_model("words", "fine-tuning all", 0.8, None, flash_bytes=22_000),
    )
    results = [r for r in run.results if r.method != "classifier-only"]
    assert gains(dataclasses.replace(run, results=(*results, *others))) == (
        "words: SWR at 0.25 gets 75.0% right, +25.0 points against the classifier alone, for 1,000 "
        "more bytes of flash; a model of its own takes 22,000, and gets 80.0% right."
    )
    assert gains(dataclasses.replace(run, results=())) == ""

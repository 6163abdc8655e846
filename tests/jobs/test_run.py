import dataclasses
import json

import pytest

from swr_keras.jobs.run import FILE, Run, TaskFacts


def test_round_trip(run, tmp_path):
    run.save(tmp_path)
    assert Run.load(tmp_path) == run


def test_rows_of_a_table_hold_repetitions_together(run, make_model):
    again = make_model("words", "SWR", 0.5, 0.25, title="another seed")
    rows = dataclasses.replace(run, results=(*run.results, again)).rows("words")
    assert list(rows) == [("classifier-only", 0.0), ("SWR", 0.25), ("SWR int8", 0.25)]
    assert [result.title for result in rows["SWR", 0.25]] == ["words: SWR 0.25", "another seed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: {"tasks": ()}, "needs one or more tasks"),
        (lambda run: {"tasks": run.tasks * 2}, "tasks of different names"),
        (lambda run: {"results": run.results * 2}, r"Received twice: \['base'"),
        (
            lambda run: {"tasks": (dataclasses.replace(run.tasks[0], name="other"),)},
            "of a task that the run doesn't have. Received: 'words'",
        ),
        (
            lambda run: {"tasks": (dataclasses.replace(run.tasks[0], labels=("no",)),)},
            r"has 1 labels.*lengths \[2, 2\]",
        ),
        (
            lambda run: {"results": (dataclasses.replace(run.results[4], testing_accuracy=0.5),)},
            "0.750000 of the test examples right by its field right. Received: .*0.5",
        ),
        (
            lambda run: {"results": (dataclasses.replace(run.results[4], right="AAAAAA=="),)},
            "Expected 12 bits",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(run, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(run, **change(run))


@pytest.mark.parametrize("split", ["training", "validation", "testing"])
@pytest.mark.parametrize("count", [0, -1, None])
def test_every_split_has_examples(split, count):
    examples = {"training": 1, "validation": 1, "testing": 1, split: count}
    if count is None:
        del examples[split]
    with pytest.raises(ValueError, match="Task 'one' needs examples of every split"):
        TaskFacts("one", ("a",), examples)


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: {**values, "format": "other/1"},
        lambda values: {**values, "more": 1},
        *[
            lambda values, name=name: {k: v for k, v in values.items() if k != name}
            for name in ("format", "settings", "base", "tasks", "results", "versions")
        ],
        *[
            lambda values, name=name, bad=bad: {**values, name: bad}
            for name in ("settings", "base", "tasks", "results", "versions")
            for bad in (3, "text", [1], {"a": []})
            if not (name == "settings" and isinstance(bad, dict))
        ],
        lambda values: {**values, "tasks": [{"name": "words"}]},
        lambda values: {**values, "results": [{**values["results"][0], "kind": "other"}]},
        lambda values: [values],
        lambda values: None,
    ],
)
def test_damaged_values_are_refused_with_the_name_of_the_file(run, tmp_path, damage):
    run.save(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=r"results.json' holds no results of a run: "):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{\x00", b"[" * 100_000, b'{"format": 1}', b"\x00" * 10]
)
def test_damaged_files_are_refused_with_their_name(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"results.json' holds no results of a run: "):
        Run.load(tmp_path)


@pytest.mark.parametrize("name", ["", "missing"])
def test_folders_without_results_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="has no results. Give the folder of a run"):
        Run.load(tmp_path / name)

import dataclasses
import json
import pathlib
import shutil

import pytest

from swr_keras.jobs.run import FILE, Run, TaskFacts

RESULTS = pathlib.Path(__file__).parents[2] / "recipes" / "results"
OLD_RUNS = sorted({path.parents[1] for path in RESULTS.rglob("metrics.json")})


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
            lambda run: {"results": (dataclasses.replace(run.results[3], testing_accuracy=0.5),)},
            "0.750000 of the test examples right by its field right. Received: .*0.5",
        ),
        (
            lambda run: {"results": (dataclasses.replace(run.results[3], right="AAAAAA=="),)},
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


@pytest.mark.parametrize("folder", OLD_RUNS, ids=lambda path: path.name)
def test_results_of_the_old_layout_load(folder, tmp_path):
    run = Run.load(folder)
    for task in run.tasks:
        old = json.loads((folder / task.name / "metrics.json").read_text())
        assert task.examples == old["clips"]
        assert [
            (r.name, r.target_cost, r.validation_accuracy, r.testing_accuracy, r.owned_bytes)
            for r in run.of_task(task.name)
        ] == [
            (
                row["method"],
                row.get("target_cost"),
                row["validation_accuracy"],
                row["testing_accuracy"],
                row.get("owned_bytes"),
            )
            for row in old["results"]
        ]
        assert run.policy_curve(task.name) == old["policy_curve"]
        stages = [stage for r in run.results if r.task == task.name for stage in r.histories]
        kept = [f"{task.name}: {stage}" for stage in stages]
        assert sorted(kept) == sorted(stage for stage in old["histories"] if stage != "base")
        int8 = [r for r in run.of_task(task.name) if r.kind == "int8"]
        assert [r.stem for r in int8] == [bundle["stem"] for bundle in old["bundles"]]
        assert [[list(row) for row in r.confusion] for r in int8] == [
            confusion["counts"] for confusion in old["confusions"]
        ]
    run.save(tmp_path)
    assert Run.load(tmp_path) == run


@pytest.fixture
def old_run(tmp_path):
    """A copy of a run of the old layout, and the content of its first file."""
    path = tmp_path / "run" / "english" / "metrics.json"
    path.parent.mkdir(parents=True)
    shutil.copy(OLD_RUNS[0] / "english" / "metrics.json", path)
    return path, json.loads(path.read_text())


def test_old_results_say_what_was_left_out(old_run):
    path, values = old_run
    values["unreadable_clips"] = {"training": ["yes/a.wav: too short"], "testing": []}
    path.write_text(json.dumps(values))
    (task,) = Run.load(path.parents[1]).tasks
    assert task.notes == ("Left out, training: yes/a.wav: too short",)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("task", 3),
        ("labels", "ab"),
        ("clips", {"training": 1}),
        ("results", [{"method": "SWR"}]),
        ("results", [{"method": "SWR", "validation_accuracy": 0.5, "testing_accuracy": 0.5}]),
        ("results", [{"method": "base", "validation_accuracy": 50, "testing_accuracy": 0.5}]),
        ("settings", None),
        ("results", [{"method": "SWR int8", "validation_accuracy": 0.5, "testing_accuracy": 0.5}]),
        ("confusions", [{"title": 1, "counts": []}]),
        ("policy_curve", {"layers": []}),
        ("bundles", [{"target_cost": 0.1, "stem": "a", "manifest": 3}]),
        ("histories", {"a": [1]}),
        ("seconds", {"a": "b"}),
    ],
)
def test_damaged_old_results_are_refused_with_the_name_of_the_file(old_run, name, bad):
    path, values = old_run
    path.write_text(json.dumps({**values, name: bad}))
    with pytest.raises(ValueError, match=r"metrics.json' holds no results of a run: "):
        Run.load(path.parents[1])


@pytest.mark.parametrize("name", ["task", "labels", "clips", "results", "settings"])
def test_old_results_that_lack_something_are_refused(old_run, name):
    path, values = old_run
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"metrics.json' holds.*lacks \['{name}'\]"):
        Run.load(path.parents[1])


def test_files_of_different_runs_are_refused(old_run):
    path, values = old_run
    other = path.parents[1] / "other" / "metrics.json"
    other.parent.mkdir()
    other.write_text(json.dumps({**values, "task": "other", "settings": {"seed": 5}}))
    with pytest.raises(ValueError, match="tasks have different settings"):
        Run.load(path.parents[1])

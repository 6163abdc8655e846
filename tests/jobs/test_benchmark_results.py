"""Tables of a benchmark, from results that are made up and written to a file."""

import dataclasses
import pathlib

import pytest

from swr_keras.jobs.benchmark_results import BenchmarkResults, Row
from swr_keras.jobs.benchmark_table import SPLITS, ablations_tables, methods_table
from swr_keras.jobs.record import FILE, Record, read_records, write_records
from swr_keras.jobs.result import Result

RESULTS = pathlib.Path(__file__).parents[2] / "recipes" / "results"
BASE_PARAMETERS, BASE_MULTIPLIES = 1000, 5000


def record(result, *, backbone="bcresnet1", seed=0, fold=None, **more):
    settings = more.pop("settings", {})
    address = more.pop("address", f"{backbone} {seed} {fold} {result.title}")
    values = {"seconds": 1.5, "peak_memory_bytes": 10**6, "versions": {"keras": "3"}, **more}
    return Record(
        result=result,
        backbone=backbone,
        seed=seed,
        fold=fold,
        address=address,
        settings=settings,
        **values,
    )


def base(**place):
    result = Result(
        kind="base",
        title="base",
        task="base",
        owned_parameters=BASE_PARAMETERS,
        multiplies=BASE_MULTIPLIES,
    )
    return record(result, **place)


def model(task, method, percent, cost=None, owned=100, title="", **place):
    result = Result(
        kind="model",
        title=title or f"{task}: {method} {cost}",
        task=task,
        method=method,
        target_cost=0.5 if cost is None else cost,
        achieved_cost=0.5 if cost is None else 0.9 * cost,
        changed_layers=(),
        owned_parameters=owned,
        flash_bytes=2 * owned,
        multiplies=BASE_MULTIPLIES,
        validation_accuracy=(percent + 1) / 100,
        testing_accuracy=percent / 100,
    )
    return record(result, settings={"target_cost": cost}, **place)


def seeds(task, method, percents, cost=None, **more):
    return [model(task, method, p, cost, seed=seed, **more) for seed, p in enumerate(percents)]


@pytest.fixture
def records():
    one, two = ("english", "mandarin")
    return [
        *(base(seed=seed) for seed in range(3)),
        *seeds(one, "SWR", (90, 91, 92), 0.1),
        *seeds(two, "SWR", (80, 81, 82), 0.1, owned=300),
        *seeds(one, "SWR", (94, 94, 94), 0.3),
        *seeds(two, "SWR", (84, 84, 84), 0.3),
        *seeds(one, "TAPS", (89, 88, 87), owned=500),
        *seeds(two, "TAPS", (79, 80, 81), owned=530),
        *seeds(one, "SWR, not staged", (70, 71, 72), 0.1),
        *seeds(one, "random policy", (80, 80, 80), 0.1, title="first"),
        *seeds(one, "random policy", (84, 84, 84), 0.1, title="second"),
    ]


def int8(of, percent):
    """The record of a model that lost something as int8."""
    result = dataclasses.replace(
        of.result,
        kind="int8",
        title=f"{of.result.title}, int8",
        testing_accuracy=percent / 100,
        validation_accuracy=(percent + 1) / 100,
    )
    return dataclasses.replace(of, result=result, address=f"{of.address}, int8")


def cells(table):
    return {row[:2]: dict(zip(table.headings, row, strict=True)) for row in table.rows}


def written(records, path):
    write_records(path, records)
    return BenchmarkResults(read_records(path))


def test_a_table_has_all_methods_with_intervals_over_seeds(records, tmp_path):
    table = methods_table(written(records, tmp_path))
    found = cells(table)
    assert list(found) == [("SWR", "0.1"), ("SWR", "0.3"), ("TAPS", ""), ("random policy", "0.1")]
    swr, taps = found["SWR", "0.1"], found["TAPS", ""]
    # Student's t for two degrees of freedom is 4.303, and 1 / sqrt(3) the standard error.
    assert swr["english"] == "91.0 ± 2.5"
    assert swr["minus SWR"] == ""
    # 1 + (100 + 300) / 1000 and 1 + (500 + 530) / 1000
    assert (swr["#Param"], taps["#Param"], taps["#Mult"]) == ("1.40x", "2.03x", "1.00x")
    assert swr["achieved cost"] == "0.090"
    assert taps["flash bytes"] == "1,030"
    assert "over 3 seeds" in table.title


def test_differences_are_paired_by_seed_over_the_mean_of_its_tasks(records, tmp_path):
    found = cells(methods_table(written(records, tmp_path)))
    # By seed: (-1 - 1) / 2, (-3 - 1) / 2, (-5 - 1) / 2.
    assert found["TAPS", ""]["minus SWR"] == "-2.0 ± 2.5"
    assert found["random policy", "0.1"]["english"] == "82.0 ± 0.0"
    assert found["random policy", "0.1"]["minus SWR"] == "-9.0 ± 2.5"


def test_int8_is_told_as_what_it_loses(records, tmp_path):
    assert "int8 minus float" not in methods_table(written(records, tmp_path)).headings
    of_swr = [r for r in records if r.result.method == "SWR" and r.result.target_cost == 0.1]
    lost = [int8(r, 100 * r.result.testing_accuracy - 1 - r.seed) for r in of_swr]
    table = cells(methods_table(written([*records, *lost], tmp_path)))
    assert table["SWR", "0.1"]["int8 minus float"] == "-2.0 ± 2.5"
    assert table["SWR", "0.1"]["english"] == "91.0 ± 2.5"
    assert table["TAPS", ""]["int8 minus float"] == ""


def test_ablations_have_a_table_of_their_own(records, tmp_path):
    results = written(records, tmp_path)
    (table,) = ablations_tables(results)
    assert list(cells(table)) == [("SWR", "0.1"), ("SWR, not staged", "0.1"), ("SWR", "0.3")]
    assert cells(table)["SWR, not staged", "0.1"]["minus SWR"] == "-20.0 ± 0.0"
    assert "bcresnet1" in table.title
    assert not ablations_tables(BenchmarkResults(records[:9]))
    assert cells(methods_table(results, "validation"))["SWR", "0.3"]["english"] == "95.0 ± 0.0"


def test_backbones_stand_side_by_side(records, tmp_path):
    other = [dataclasses.replace(r, backbone="res15") for r in records[:9]]
    table = methods_table(written([*records, *other], tmp_path))
    assert "res15: english" in table.headings and "bcresnet1: #Param" in table.headings
    assert cells(table)["TAPS", ""]["res15: english"] == ""
    assert cells(table)["SWR", "0.1"]["res15: english"] == "91.0 ± 2.5"
    assert table.markdown().splitlines()[2].startswith("| method | target cost |")


def test_seeds_of_a_fold_are_averaged_first(tmp_path):
    found = [
        model("english", "SWR", percent, 0.1, seed=seed, fold=fold)
        for fold, percents in enumerate([(90, 92), (80, 82)])
        for seed, percent in enumerate(percents)
    ]
    results = written(found, tmp_path)
    assert (results.repetitions, results.repeated) == (2, "fold")
    assert results.values("bcresnet1", Row("SWR", 0.1), lambda r: 100 * r.testing_accuracy) == {
        (0, "english"): pytest.approx(91),
        (1, "english"): pytest.approx(81),
    }
    assert "over 2 folds, taken as independent" in methods_table(results).title
    with pytest.raises(ValueError, match="cross-validation, others aren't"):
        BenchmarkResults([*found, model("english", "SWR", 90, 0.1)])


def test_what_was_tried_for_a_rate_is_no_result(records):
    tried = [dataclasses.replace(model("english", "SWR", 1, 0.1), tried=True)]
    assert cells(methods_table(BenchmarkResults([*records, *tried]))) == cells(
        methods_table(BenchmarkResults(records))
    )


def test_a_job_of_several_benchmarks_counts_once_and_others_of_its_title_are_refused(records):
    first, again = records[0], records[3]
    together = BenchmarkResults([*records, again, *seeds("english", "Rep-Net", (88, 88, 88))])
    assert together.records[: len(records)] == records
    assert len(together.records) == len(records) + 3
    for other in (first, again):
        changed = dataclasses.replace(other, address="of other settings")
        with pytest.raises(ValueError, match=f"Two results are called '{other.result.title}'"):
            BenchmarkResults([*records, changed])
        assert BenchmarkResults([*records, dataclasses.replace(changed, tried=True)])


def test_searches_of_methods_of_other_rates_have_one_title(records):
    search = record(Result(kind="search", title="english: policy search", task="english"))
    other = dataclasses.replace(search, address="of another rate")
    assert BenchmarkResults([*records, search, other]).records[-2:] == [search, other]


def test_a_search_of_another_rate_than_that_of_swr_is_none_of_swr(run):
    def search(rate, **more):
        learning = {"learning": {"rate": rate}, "cost": "flash"}
        result = Result(
            kind="search",
            title="english: policy search",
            task="english",
            policy_curve=run.results[1].policy_curve,
            **more,
        )
        return record(result, settings=learning, address=f"{rate} {more}")

    of_swr = model("english", "SWR", 90, 0.5, seed=7)
    of_swr = dataclasses.replace(of_swr, settings={"method": {"learning": {"rate": 1}}})
    others = [search(2), search(1), search(2, differences=("without super-net",))]
    found = BenchmarkResults([of_swr, *others]).searches("bcresnet1")
    assert {name: len(curves) for name, curves in found.items()} == {
        "SWR": 1,
        "SWR, without super-net": 1,
    }
    assert len(BenchmarkResults(others[:2]).searches("bcresnet1")["SWR"]) == 2


def test_what_lacks_is_left_empty_and_told(records):
    results = BenchmarkResults([r for r in records if r.result.title != "mandarin: TAPS None"])
    row = cells(methods_table(results))["TAPS", ""]
    assert row["mandarin"] == ""
    # Sums and means over some of the tasks aren't those of the other rows.
    for heading in ("achieved cost", "#Param", "#Mult", "flash bytes"):
        assert row[heading] == ""
    assert "bcresnet1: TAPS has 3 of 6 results." in results.notes()


def test_means_over_tasks_weigh_them_alike_where_repetitions_lack(records):
    lacking = [r for r in records if (r.result.title, r.seed) != ("mandarin: TAPS None", 1)]
    row = cells(methods_table(BenchmarkResults(lacking)))["TAPS", ""]
    assert (row["#Param"], row["flash bytes"]) == ("2.03x", "1,030")


def test_a_backbone_counts_the_tasks_that_it_was_adapted_to(records):
    english = [r for r in records if r.result.task in ("base", "english")]
    other = [dataclasses.replace(r, backbone="res15", address=f"{r.address}, too") for r in english]
    row = cells(methods_table(BenchmarkResults([*records, *other])))["TAPS", ""]
    assert (row["bcresnet1: #Param"], row["res15: #Param"]) == ("2.03x", "1.50x")


def test_the_multilingual_model_is_the_base_itself():
    result = Result(
        kind="model",
        title="english: base",
        task="english",
        method="base",
        validation_accuracy=0.6,
        testing_accuracy=0.6,
    )
    found = cells(methods_table(BenchmarkResults([base(), record(result)])))
    row = found["multi-lingual", ""]
    assert (row["english"], row["#Param"], row["#Mult"]) == ("60.0", "1.00x", "1.00x")


def test_a_line_is_a_job(records, tmp_path):
    write_records(tmp_path, records)
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) == len(records)
    assert read_records(tmp_path) == records


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"seed": 0}', '{"result": {"kind": "model"}}', "\x00", "[" * 5000]
)
def test_a_damaged_line_is_named(line, records, tmp_path):
    write_records(tmp_path, records[:1])
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match="Line 2 of .* is no result"):
        read_records(tmp_path)


def test_results_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="Name the folder of a benchmark"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "path", sorted(RESULTS.rglob(FILE)), ids=lambda p: f"{p.parents[1].name}/{p.parent.name}"
)
def test_published_results_give_the_published_tables(path):
    results = BenchmarkResults(read_records(path.parent))
    published = (path.parent / "tables.md").read_text().splitlines()
    for split in SPLITS:
        for table in (methods_table(results, split), *ablations_tables(results, split)):
            lines = table.markdown().splitlines()
            assert len(lines) > 5
            assert set(lines) <= set(published)

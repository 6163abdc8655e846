"""Any benchmark, from data to tables."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from swr_keras.files import write_atomically, write_json
from swr_keras.jobs.benchmark_results import MEASURED, BenchmarkResults
from swr_keras.jobs.int8 import ConvertInt8
from swr_keras.jobs.local_engine import LocalEngine
from swr_keras.jobs.ray_engine import RayEngine
from swr_keras.jobs.record import Record, read_records, write_records
from swr_keras.jobs.result import Result
from swr_keras.jobs.schedule import Engine, Failure, check_done, run_jobs
from swr_keras.jobs.store import JobStore
from swr_keras.recipes.benchmark_jobs import Group, PlannedJob, plan, without_base_row
from swr_keras.recipes.benchmark_libraries import write_libraries
from swr_keras.recipes.benchmark_settings import BenchmarkSettings
from swr_keras.recipes.benchmark_source import KnownTask, Repetition, TaskSource
from swr_keras.recipes.benchmark_tuning import Tried, chosen_rates, tried, tuning_jobs
from swr_keras.recipes.setting_flags import as_flat
from swr_keras.reporting import accuracy_per_byte, benchmark_tables, render_benchmark


def run(settings: BenchmarkSettings) -> None:
    """Runs the benchmark and writes its tables; does what is missing if it was run before.

    Raises:
        ValueError: For anything wrong with the data, before training starts; or, once all
            else is done and the tables are written, if jobs failed.
        ImportError: If Ray is asked for and isn't installed.
        OSError: If a file can't be written.
    """
    beside = [record for folder in settings.beside for record in read_records(folder)]
    store = JobStore(pathlib.Path(settings.store_dir))
    source = settings.source(_cache_dir(settings))
    groups = _groups(settings, source)
    lacking = without_base_row(settings, groups)
    for line in lacking:
        print(line, flush=True)
    trials = tuning_jobs(settings, groups)
    # A rate at which training fails isn't chosen; else it is among the jobs, and tried again.
    _do(trials, settings, store, source)
    found = tried(trials, _results(store, trials))
    jobs = plan(settings, groups, chosen_rates(settings, found))
    _check_beside(beside, jobs)
    failures = _do(jobs, settings, store, source)
    records = _records(store, jobs, trials)
    folder = pathlib.Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder, records)
    write_json(folder / "settings.json", as_flat(settings))
    notes = [*_data_notes(groups), *lacking]
    _write_tables(folder, settings, [*records, *beside], notes, found, failures)
    write_libraries(folder / "libraries", store, jobs)
    check_done(failures)


def _cache_dir(settings: BenchmarkSettings) -> pathlib.Path | None:
    """Returns where jobs here share what they compute; those of a cluster share no disk."""
    return pathlib.Path(settings.store_dir) / "epochs" if settings.engine == "local" else None


def _groups(settings: BenchmarkSettings, source: TaskSource) -> list[Group]:
    groups = []
    for repetition in settings.repetitions:
        print(f"Reading the data of {repetition}", flush=True)
        for backbone in settings.backbones:
            base_task, tasks = source.known(backbone, repetition)
            groups.append(Group.of(settings, backbone, repetition, base_task, tasks))
    return groups


def _do(
    jobs: Sequence[PlannedJob], settings: BenchmarkSettings, store: JobStore, source: TaskSource
) -> list[Failure]:
    keys = {planned.job.address(): planned for planned in jobs}
    if all(store.outcome(planned.job) for planned in jobs):
        return []
    return run_jobs(
        [planned.job for planned in jobs],
        store,
        _engine(settings, store, source),
        names={key: planned.name for key, planned in keys.items()},
        plans={key: planned.plan for key, planned in keys.items()},
        report=_say,
    )


def _check_beside(beside: Sequence[Record], jobs: Sequence[PlannedJob]) -> None:
    """Raises ValueError, before these are done, if others of their rows were done otherwise."""
    folded = {planned.group.repetition.fold is not None for planned in jobs}
    rows: dict[tuple[str, str], list[PlannedJob]] = {}
    for planned in jobs:
        rows.setdefault((planned.group.backbone, planned.job.title), []).append(planned)
    for record in BenchmarkResults(beside).records:
        if (record.fold is not None) not in folded:
            raise ValueError(
                "The results in `beside` are of a cross-validation, these aren't, or the other way "
                "round, so they have no common tables. Leave them out, or set `folds` likewise."
            )
        same_row = rows.get((record.backbone, record.result.title))
        if same_row and record.result.kind in MEASURED and not _fits(record, same_row):
            raise ValueError(
                f"'{same_row[0].name}' would stand in one row with a result in `beside` that was "
                "done with other settings or data. Leave that folder out, or repeat its settings."
            )


def _fits(record: Record, row: Sequence[PlannedJob]) -> bool:
    """Whether a result is that of a job of its row, or of another repetition of one."""
    repetition = Repetition(record.seed, record.fold)
    same = [planned for planned in row if planned.group.repetition == repetition]
    if same:
        return any(planned.job.address() == record.address for planned in same)
    asked = [json.loads(json.dumps(_settings(planned.job))) for planned in row]
    return record.settings in asked


def _engine(settings: BenchmarkSettings, store: JobStore, source: TaskSource) -> Engine:
    if settings.engine == "ray":
        return RayEngine(store, source.task, address=settings.address, threads=settings.threads)
    return LocalEngine(
        store,
        source.task,
        workers=settings.processes,
        threads=settings.threads,
        strategy=settings.devices.strategy,
    )


def _results(store: JobStore, jobs: Sequence[PlannedJob]) -> Mapping[str, Result]:
    outcomes = {planned.job.address(): store.outcome(planned.job) for planned in jobs}
    return {key: outcome.result for key, outcome in outcomes.items() if outcome}


def _records(store, jobs, trials) -> list[Record]:
    kept = {planned.job.address(): planned for planned in jobs}
    every = {planned.job.address(): planned for planned in (*jobs, *trials)}
    records = []
    for key, planned in every.items():
        outcome = store.outcome(planned.job)
        if outcome is not None:
            # It may have been done when its task had another name.
            result = dataclasses.replace(
                outcome.result, title=planned.job.title, task=planned.job.task
            )
            records.append(
                Record(
                    **{**vars(outcome), "result": result},
                    backbone=planned.group.backbone,
                    seed=planned.group.repetition.seed,
                    fold=planned.group.repetition.fold,
                    address=key,
                    settings=_settings(planned.job),
                    tried=key not in kept,
                )
            )
    return records


def _settings(job):
    """Returns what a job's outcome depends on; of a converted model, how it was trained, too."""
    return (job.model.settings() if isinstance(job, ConvertInt8) else {}) | job.settings()


def _write_tables(folder, settings, records, notes, found: Sequence[Tried], failures):
    results = BenchmarkResults(records)
    tables = benchmark_tables(results)
    pictures = accuracy_per_byte(results)
    texts = [table.markdown() for table in tables]
    write_atomically(folder / "tables.md", "\n\n".join([*texts, *_rates(found), ""]).encode())
    page = render_benchmark(
        results,
        title=settings.title,
        tables=tables,
        per_byte=pictures.values(),
        failures=[str(failure) for failure in failures],
        notes=[*notes, *_rates(found)],
        settings=as_flat(settings),
    )
    write_atomically(folder / "report.html", page.encode())
    for backbone, picture in pictures.items():
        write_atomically(folder / f"accuracy_per_byte_{backbone}.svg", picture.svg)
    first = "".join(texts[:1])
    print(f"\n{first}\n\nWritten to {folder}; open {folder / 'report.html'}", flush=True)


def _rates(found: Sequence[Tried]) -> list[str]:
    return [
        f"{each.method} on {each.backbone} at a rate of {each.learning_rate:g}: "
        + (
            "failed"
            if each.validation_accuracy is None
            else f"{each.validation_accuracy:.1%} of the validation examples"
        )
        for each in found
    ]


def _data_notes(groups: Sequence[Group]) -> list[str]:
    notes: dict[str, None] = {}
    for group in groups:
        of_tasks = {note for task in group.tasks for note in task.notes}
        for task in group.tasks:
            notes |= dict.fromkeys(_notes_of(task, group, task.notes))
        base_notes = [note for note in group.base_task.notes if note not in of_tasks]
        notes |= dict.fromkeys(_notes_of(group.base_task, group, base_notes))
    return list(notes)


def _notes_of(task: KnownTask, group: Group, notes: Iterable[str]) -> list[str]:
    counts = ", ".join(f"{count:,} {split}" for split, count in task.examples.items())
    counted = [f"{task.name}, {group.repetition}: {counts} examples."] if counts else []
    return [*counted, *(f"{task.name}: {note}" for note in notes)]


def _say(line: str) -> None:
    print(line, flush=True)

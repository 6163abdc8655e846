"""The keyword-spotting recipe, from recordings to files."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from swr_keras.accounting import summary
from swr_keras.audio.keyword_task import KeywordTask, combine
from swr_keras.files import write_atomically
from swr_keras.jobs.bundle import write_bundles
from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.job import Job
from swr_keras.jobs.local_engine import LocalEngine
from swr_keras.jobs.result import Result
from swr_keras.jobs.run import BaseFacts, Run, TaskFacts
from swr_keras.jobs.schedule import Engine, check_done, run_jobs
from swr_keras.jobs.serial_engine import SerialEngine
from swr_keras.jobs.table import gains, results_table
from swr_keras.jobs.versions import versions
from swr_keras.model_files import load_model
from swr_keras.recipes.kws_corpora import load_base_tasks, load_tasks, with_synthetic
from swr_keras.recipes.kws_jobs import plan
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import as_flat
from swr_keras.reporting import render_report

_FILES = {
    "base.keras": "the base that all tasks share; base.json has its class names",
    "results.json": "everything that was measured",
    "<task>/c<cost>/model.keras": "the task's merged model, of the base's layers",
    "<task>/c<cost>/task.swr.safetensors": "the task pack: what the task owns, for a TaskLibrary",
    "<task>/c<cost>/policy.json": "which layers the task changes",
    "<task>/c<cost>/<task>_c<cost>_int8.tflite": "int8 for TFLite Micro, verified",
    "<task>/c<cost>/<task>_c<cost>_int8.json": "labels, front end, scales and more of that file",
    "<task>/c<cost>/<task>_c<cost>_int8.h, .cc": "the same file as a C array",
    "bundle_c<cost>_int8.bin, .h, .cc": "all tasks in one image, and as a C array",
    "bundle_c<cost>_int8.json": "labels, front end and scales of its tasks",
    "base_int8.tflite": "the base, whose activation scales tasks take where they suit",
    "<task>/policies.safetensors": "the policies of every cost, as the policy network gives them",
    "<task>/supernet.safetensors": "what the super-net changes of the base",
    "<task>/<method>/": "the same of the methods that it is compared with",
    "jobs/": "what each job was, said and found, and from where it goes on",
    "settings.json": "what was asked for",
}


def run(settings: KwsSettings) -> None:
    """Runs the recipe, writes its folder and prints its table; goes on with a run that stopped.

    Raises:
        ValueError: For anything wrong with the recordings, the base or the output folder, before
            training starts; or, once all else is done, if jobs failed.
        OSError: If a file can't be written.
    """
    settings = settings.resolved()
    corpora, hearing = with_synthetic(settings.corpora), settings.hearing
    tasks = load_tasks(corpora, hearing, settings.seed, settings.noise.unheard_noise_dir)
    for task in tasks:
        for note in task.notes:
            print(f"{task.name}: {note}")
    base_task = combine(
        load_base_tasks(corpora, tasks, hearing, settings.seed),
        dataclasses.replace(hearing, train_snr_db=settings.noise.base_snr_db),
        share_unknown=settings.corpora.share_unknown,
    )
    jobs = plan(settings, tasks, base_task)
    folder = RunFolder(pathlib.Path(settings.output_dir))
    folder.check(jobs)
    with folder.locked(as_flat(settings)):
        if folder.resumed:
            print(f"Going on with the run in {folder.path}.", flush=True)
        results = _do(jobs, settings, folder, [*tasks, base_task])
        base = load_model(folder.path / "base.keras")
        found = Run(
            settings=as_flat(settings.resolved(base)),
            base=_facts(base, base_task.input_shape),
            tasks=tuple(TaskFacts(t.name, t.labels, t.examples, t.notes) for t in tasks),
            results=results,
            versions=versions(),
        )
        found.save(folder.path)
        page = folder.path / "report.html"
        text = render_report(found, title=_title(settings), files=_FILES)
        write_atomically(page, text.encode())
        bundles = write_bundles(found, folder.path)
    print(f"\n{results_table(found)}\n\nWritten to {folder.path}; open {page}\n\n{gains(found)}")
    print("\n".join(bundles))


def _do(
    jobs: Sequence[Job], settings: KwsSettings, folder: RunFolder, tasks: Sequence[KeywordTask]
) -> tuple[Result, ...]:
    known = {task.digest(): task for task in tasks}
    failures = run_jobs(
        jobs,
        folder,
        _engine(settings, folder, known),
        names={folder.key(job): job.title for job in jobs},
        plans={folder.key(job): job.plan(known[job.data]) for job in jobs},
        report=_say,
    )
    check_done(failures)
    return tuple(result for job in jobs if (result := folder.result(job)))


def _engine(settings: KwsSettings, folder: RunFolder, known: dict[str, KeywordTask]) -> Engine:
    load = known.__getitem__
    verbose, strategy = 1 if sys.stdout.isatty() else 2, settings.devices.strategy
    here = SerialEngine(folder, load, verbose=verbose, strategy=strategy)
    workers = settings.processes
    if workers == 1:
        return here
    threads = max(1, (os.cpu_count() or 1) // workers)
    return LocalEngine(folder, load, workers=workers, threads=threads, first=here)


def _facts(base, input_shape):
    costs = summary(base, input_shape=input_shape)
    return BaseFacts(
        name=base.name,
        parameters=costs.parameters,
        multiplies=costs.multiplies,
        num_bytes=sum(np.asarray(weight).nbytes for weight in base.weights),
    )


def _title(settings):
    snr_db = settings.noise.test_snr_db
    if not snr_db:
        return "Keyword spotting"
    return f"Keyword spotting in noise, at an SNR of {snr_db[0]:g} to {snr_db[1]:g} dB"


def _say(line):
    print(line, flush=True)

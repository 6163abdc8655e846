"""The stages of the keyword-spotting recipe, from recordings to files."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import sys
from collections.abc import Callable

import keras
import numpy as np

from swr_keras import backbones
from swr_keras.accounting import summary
from swr_keras.device import write_deployment
from swr_keras.export import LiteModel, convert_int8
from swr_keras.files import save_model, write_atomically
from swr_keras.policy.policy import Policy
from swr_keras.recipes.kws_results import BASE_STAGE, Results
from swr_keras.recipes.kws_settings import Settings
from swr_keras.recipes.kws_tasks import (
    Pipeline,
    calibration_clips,
    combine,
    load_tasks,
    own_names,
)
from swr_keras.recipes.progress import Progress
from swr_keras.recipes.run_folder import RunFolder
from swr_keras.reporting.report import render_report
from swr_keras.tasks.pack import fingerprint
from swr_keras.training import policy_curve
from swr_keras.training.checkpoint import Checkpoint
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task_model import TaskModel
from swr_keras.training.transfer import (
    SEARCH_BATCH_SIZE,
    SEARCH_EPOCHS,
    fit_classifier,
    fit_policy,
)

_FILES = {
    "base.keras": "the base that all tasks share; base.json has its class names",
    "<task>/metrics.json": "everything that was measured of a task",
    "<task>/c<cost>/model.keras": "the task's merged model, of plain Keras layers",
    "<task>/c<cost>/task.swr.h5": "the task pack: what the task owns, for a TaskLibrary",
    "<task>/c<cost>/policy.json": "which layers the task changes",
    "<task>/c<cost>/<task>_c<cost>_int8.tflite": "int8 for TFLite Micro, verified on its kernels",
    "<task>/c<cost>/<task>_c<cost>_int8.json": "labels, front end, scales and more of that file",
    "<task>/c<cost>/<task>_c<cost>_int8.h, .cc": "the same file as a C array",
    "state/": "the state of each stage; delete it once the run needn't go on",
    "settings.json": "what the run depends on",
}
# Paths say where things are, not what: a run whose folder or recordings were moved can go on.
_PATHS = ("data_dir", "test_dir", "noise_dir", "base", "output_dir")


def run(settings: Settings) -> None:
    """Runs the recipe, writes its folder and prints its table; goes on with a run that stopped.

    Raises:
        ValueError: For anything wrong with the recordings, the base or the output folder, before
            training starts.
        FloatingPointError: If a loss is NaN; run again, it would go on from the last good epoch.
        OSError: If a file can't be written.
    """
    tasks = load_tasks(settings)
    for task in tasks:
        for split, clips in task.splits.items():
            for problem in clips.unreadable:
                print(f"Left out of {task.name}, {split}: {problem}")
    pipeline = Pipeline(
        features=settings.front_end,
        batch_size=settings.batch_size,
        seed=settings.seed,
        spec_augment_freq_width=settings.spec_augment_freq_width,
        train_snr_db=settings.train_snr_db,
        test_snr_db=settings.test_snr_db,
    )
    input_shape = pipeline.features.shape(tasks[0].splits["training"].audio.shape[1])
    keras.utils.set_random_seed(settings.seed)
    given = None
    if settings.base:
        given = _load_base(settings.base, input_shape)
    elif settings.pretrained:
        given = backbones.speech_embedding(input_shape=input_shape), None
    described = {
        name: value for name, value in dataclasses.asdict(settings).items() if name not in _PATHS
    }
    described["recordings_sha256"] = [f"{task.name}: {task.digest()}" for task in tasks]
    described["base_sha256"] = fingerprint(given[0]) if given else None
    folder = RunFolder(pathlib.Path(settings.output_dir), described)
    with folder.locked():
        if folder.resumed:
            print(f"Going on with the run in {folder.path}.", flush=True)
        _Recipe(settings, folder, tasks, pipeline, input_shape, given).run()


class _Recipe:
    def __init__(self, settings, folder, tasks, pipeline, input_shape, given):
        self.settings = settings
        self.folder = folder
        self.tasks = tasks
        self.pipeline = pipeline
        self.input_shape = input_shape
        self.given = given
        self.verbose = 1 if sys.stdout.isatty() else 2
        self.progress = Progress(self._stages())
        self.histories: dict[str, list[dict[str, float]]] = {}

    def _stages(self):
        """Every stage to come with its work in clips."""
        settings = self.settings
        clips = {task.name: len(task.splits["training"].labels) for task in self.tasks}
        stages = {} if self.given else {BASE_STAGE: sum(clips.values()) * settings.base_epochs}
        for task in self.tasks:
            name, size = task.name, clips[task.name]
            stages[f"{name}: super-net"] = size * self._epochs("supernet_epochs", task)
            stages[f"{name}: policy search"] = settings.search_steps * SEARCH_BATCH_SIZE
            models = ["classifier-only", "fine-tuning all"] if settings.baselines else []
            for cost in settings.target_cost:
                models += [f"{name} at c = {cost:g}" for name in ("SWR", *self._controls())]
            work = size * self._epochs("task_epochs", task)
            stages |= {f"{name}: {model}": work for model in models}
        return stages

    def _epochs(self, name, task):
        return self.settings.epochs(name, self.pipeline.steps_per_epoch(task))

    def run(self):
        base, labels = self._base()
        measured = []
        for task in self.tasks:
            results = self._run_task(task, base, labels)
            measured.append(results.as_dict())
            content = json.dumps(measured[-1], indent=1, ensure_ascii=False)
            write_atomically(self.folder.path / task.name / "metrics.json", content.encode())
            print(f"\n{results}", flush=True)
        report = self.folder.path / "report.html"
        write_atomically(report, render_report(self._report(base, measured)).encode())
        print(f"\nWritten to {self.folder.path}; open {report}")

    def _report(self, base, measured):
        """Returns what the report page shows, see `render_report`."""
        costs = summary(base, input_shape=self.input_shape)
        title, snr_db = "Keyword spotting", self.settings.test_snr_db
        if snr_db:
            title += f" in noise, at an SNR of {snr_db[0]:g} to {snr_db[1]:g} dB"
        return {
            "title": title,
            "base": {
                "name": base.name,
                "parameters": costs.parameters,
                "multiplies": costs.multiplies,
                "bytes": sum(weight.numpy().nbytes for weight in base.weights),
            },
            "tasks": measured,
            "seconds": {
                stage: value for task in measured for stage, value in task["seconds"].items()
            },
            "files": _FILES,
            "settings": dataclasses.asdict(self.settings),
            "versions": measured[0]["versions"],
        }

    def _base(self):
        """Returns the base and its class names, trained on the words of all tasks or given."""
        base, labels = self.given or self._pretrain()
        save_model(base, self.folder.path / "base.keras")
        if labels is not None:
            content = json.dumps({"labels": labels}, indent=1, ensure_ascii=False)
            write_atomically(self.folder.path / "base.json", content.encode())
        return base, labels

    def _pretrain(self):
        settings = self.settings
        task = combine(self.tasks, share_unknown=settings.share_unknown)
        pipeline = dataclasses.replace(self.pipeline, train_snr_db=settings.base_snr_db)
        keras.utils.set_random_seed(settings.seed)
        base = settings.build_backbone(len(task.labels), self.input_shape)
        self._fit_classifier(
            BASE_STAGE,
            base,
            task,
            pipeline,
            validation_data=pipeline.evaluation(task, "validation"),
            epochs=settings.base_epochs,
            learning_rate=settings.base_learning_rate,
        )
        return base, task.labels

    def _run_task(self, task, base, base_labels):
        settings = self.settings
        evaluation = {
            split: self.pipeline.evaluation(task, split) for split in ("validation", "testing")
        }
        calibration = self.pipeline.calibration(task, settings.calibration_clips)
        results = Results(task, settings, self.histories)
        if base_labels is not None:
            names = own_names(task, base_labels)
            results.add("base", base, evaluation, class_names=names)
        search = self._search(task, base)
        results.policy_curve = policy_curve(search)
        results.tracking_error = search.grid_error()
        everything = search.policy(1.0)
        if settings.baselines:
            for title, policy, options in (
                (
                    "classifier-only",
                    search.policy(0.0),
                    {"batch_norm": "frozen", "learning_rate": settings.classifier_learning_rate},
                ),
                ("fine-tuning all", everything, {"batch_norm": "affine"}),
            ):
                model = self._train(task, title, base, policy, evaluation, **options)
                results.add(title, model, evaluation, policy=policy)
        for cost in settings.target_cost:
            policy = search.policy(cost, settings.reading)
            model = self._train(task, f"SWR at c = {cost:g}", base, policy, evaluation)
            merged = model.merge(check_on=calibration)
            int8 = convert_int8(merged, calibration)
            results.add("SWR", model, evaluation, policy=policy)
            results.add("SWR int8", LiteModel(int8), evaluation, policy=policy)
            self._write(task, cost, model, merged, int8, results)
            for title, (method, order) in self._controls().items():
                policy = Policy.from_probabilities(
                    everything.layers, everything.num_parameters, order(everything), cost
                )
                model = self._train(task, f"{title} at c = {cost:g}", base, policy, evaluation)
                results.add(method, model, evaluation, policy=policy)
        return results

    def _controls(self):
        """Title, method and order of the layers for each policy to compare with the learned one."""
        controls: dict[str, tuple[str, Callable[[Policy], list[float]]]] = {
            f"random policy {number + 1}": (
                "random policy",
                functools.partial(_shuffled, seed=self.settings.seed * 1000 + number),
            )
            for number in range(self.settings.random_policies)
        }
        if self.settings.last_layers_first:
            controls["last layers first"] = ("last layers first", _last_first)
        return controls

    def _search(self, task, base):
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        supernet = SuperNet(
            base,
            num_classes=len(task.labels),
            batch_norm=settings.bn_mode,
            sample_gates=settings.sample_gates,
            seed=settings.seed,
        )
        self._fit_classifier(
            f"{task.name}: super-net",
            supernet,
            task,
            self.pipeline,
            validation_data=self.pipeline.mixed_validation(task),
            epochs=self._epochs("supernet_epochs", task),
            learning_rate=settings.learning_rate,
        )
        search = PolicySearch(supernet, seed=settings.seed)
        self._fit(
            f"{task.name}: policy search",
            fit_policy,
            search,
            lambda _: self.pipeline.training(task),
            steps=settings.search_steps,
            learning_rate=settings.search_learning_rate,
            cost_weight=settings.cost_weight,
        )
        return search

    def _train(self, task, title, base, policy, evaluation, *, batch_norm=None, learning_rate=None):
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        model = TaskModel(
            base,
            policy,
            num_classes=len(task.labels),
            batch_norm=batch_norm or settings.bn_mode,
        )
        self._fit_classifier(
            f"{task.name}: {title}",
            model,
            task,
            self.pipeline,
            validation_data=evaluation["validation"],
            epochs=self._epochs("task_epochs", task),
            learning_rate=settings.learning_rate if learning_rate is None else learning_rate,
        )
        return model

    def _fit_classifier(self, stage, model, task, pipeline, **options):
        self._fit(
            stage,
            fit_classifier,
            model,
            lambda epoch: pipeline.training(task, first_epoch=epoch),
            steps_per_epoch=pipeline.steps_per_epoch(task),
            **options,
        )

    def _fit(self, stage, fit, model, train, **options):
        """Fits a model from where an earlier run of the stage stopped, if there was one."""
        checkpoint = Checkpoint(self.folder.state(stage))
        self.histories[stage] = checkpoint.history
        epochs = options.get("epochs", SEARCH_EPOCHS)
        with self.progress.stage(stage, checkpoint.initial_epoch / epochs):
            fit(
                model,
                train(checkpoint.initial_epoch),
                initial_epoch=checkpoint.initial_epoch,
                callbacks=[checkpoint],
                verbose=self.verbose,
                **options,
            )

    def _write(self, task, cost, model, merged, int8, results):
        """Writes the files of one task model."""
        folder = self.folder.path / task.name / f"c{cost:g}"
        name = bundle_name(task.name, cost)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(merged, folder / "model.keras")
        model.pack().save(folder / "task.swr.h5")
        write_atomically(folder / "policy.json", model.policy.to_json().encode())
        manifest = write_deployment(
            folder,
            int8,
            name=name,
            labels=task.labels,
            front_end=self.pipeline.features,
            calibration_names=calibration_clips(task, self.settings.calibration_clips).names,
            accuracy={
                "clips": len(task.splits["testing"].labels),
                "float": results.rows[-2]["testing_accuracy"],
                "int8": results.rows[-1]["testing_accuracy"],
            },
        )
        results.bundles.append(
            {
                "target_cost": cost,
                "stem": f"{task.name}/{folder.name}/{name}",
                "manifest": manifest,
            }
        )


def bundle_name(task: str, cost: float) -> str:
    """Returns a C identifier for an int8 model, so that one firmware can hold all of a run's."""
    if not (task.isascii() and task.isidentifier()):
        task = f"task_{hashlib.sha256(task.encode()).hexdigest()[:8]}"
    return re.sub(r"\W", "_", f"{task}_c{cost:g}_int8")


def _load_base(path, input_shape):
    if not pathlib.Path(path).is_file():
        raise ValueError(f"--base names '{path}', which is no file. Give a model saved as .keras.")
    base = keras.saving.load_model(path)
    shape = tuple(base.input_shape[1:])
    if len(shape) != len(input_shape) or any(
        known not in (None, size) for known, size in zip(shape, input_shape, strict=True)
    ):
        raise ValueError(
            f"The base '{path}' takes inputs of shape {shape}, but the front end gives "
            f"{input_shape}. Give a base trained on these features and clips of this length."
        )
    return base, _load_labels(pathlib.Path(path).with_suffix(".json"), base.output_shape[-1])


def _load_labels(path, outputs):
    """Returns the class names that the recipe wrote beside a base; None without the file."""
    if not path.is_file():
        return None
    try:
        labels = json.loads(path.read_text())["labels"]
    except (ValueError, KeyError, TypeError):
        labels = None
    if not isinstance(labels, list) or len(labels) != outputs:
        raise ValueError(
            f"'{path}' beside the base must have the names of its {outputs} outputs, as "
            f'{{"labels": [...]}}. Received: {labels}. Mend the file, or remove it to do without.'
        )
    return labels


def _shuffled(policy: Policy, seed: int) -> list[float]:
    return np.random.default_rng(seed).random(len(policy.layers)).tolist()


def _last_first(policy: Policy) -> list[float]:
    return np.linspace(0.0, 1.0, len(policy.layers)).tolist()

"""The stages of the keyword-spotting recipe, from recordings to files."""

import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np

from swr_keras import backbones, data
from swr_keras.export import LiteModel, convert_int8
from swr_keras.policy.policy import Policy
from swr_keras.recipes.kws_results import Results
from swr_keras.recipes.kws_tasks import KeywordTask, Pipeline, combine, load_tasks
from swr_keras.recipes.progress import Progress
from swr_keras.tasks.atomic import write_atomically
from swr_keras.tasks.library import save_model
from swr_keras.training.task_model import TaskModel
from swr_keras.training.transfer import (
    SEARCH_BATCH_SIZE,
    fit_classifier,
    learn_policy,
    train_task,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the recipe is asked to do; the fields are its flags."""

    data_dir: list[str]
    keywords: list[str] | None
    unknown_words: list[str] | None
    silence: bool
    clip_seconds: float
    resample: bool
    audio_reader: str
    backbone: str
    base: str | None
    target_cost: tuple[float, ...]
    reading: str
    bn_mode: str
    base_epochs: int
    supernet_epochs: int
    search_steps: int
    task_epochs: int
    batch_size: int
    base_learning_rate: float
    learning_rate: float
    search_learning_rate: float
    cost_weight: float
    base_snr_db: tuple[float, float] | None
    train_snr_db: tuple[float, float] | None
    test_snr_db: tuple[float, float] | None
    baselines: bool
    random_policies: int
    calibration_clips: int
    seed: int
    output_dir: str

    @property
    def tau(self) -> float:
        """Width multiplier of the backbone."""
        return float(self.backbone.removeprefix("bcresnet"))


def run(settings: Settings) -> None:
    """Runs the recipe, writes its folder and prints its table.

    Raises:
        ValueError: For anything wrong with the recordings, the base or the output folder, before
            training starts.
    """
    folder = pathlib.Path(settings.output_dir)
    _check_new(folder)
    keras.utils.set_random_seed(settings.seed)
    tasks = load_tasks(
        settings.data_dir,
        keywords=settings.keywords,
        unknown_words=settings.unknown_words,
        silence=settings.silence,
        clip_seconds=settings.clip_seconds,
        resample=settings.resample,
        reader=settings.audio_reader,
    )
    pipeline = Pipeline(
        features=data.LogMel(),
        batch_size=settings.batch_size,
        seed=settings.seed,
        spec_augment_freq_width=data.spec_augment_freq_width(settings.tau),
        train_snr_db=settings.train_snr_db,
        test_snr_db=settings.test_snr_db,
    )
    input_shape = pipeline.features.shape(tasks[0].splits["training"].audio.shape[1])
    base = _load_base(settings.base, input_shape) if settings.base else None
    folder.mkdir(parents=True, exist_ok=True)
    recipe = _Recipe(settings, folder, tasks, pipeline)
    recipe.run(*(base or recipe.pretrain(input_shape)))


class _Recipe:
    def __init__(self, settings, folder, tasks, pipeline):
        self.settings = settings
        self.folder = folder
        self.tasks = tasks
        self.pipeline = pipeline
        self.verbose = 1 if sys.stdout.isatty() else 2
        self.common = {"batch_norm": settings.bn_mode, "verbose": self.verbose}
        self.progress = Progress(*self._plan())

    def run(self, base, labels):
        for task in self.tasks:
            results = self._run_task(task, base, labels)
            path = self.folder / task.name / "metrics.json"
            write_atomically(path, results.to_json().encode())
            print(f"\n{results}", flush=True)
        print(f"\nWritten to {self.folder}")

    def _plan(self):
        """Number of stages and their work in clips."""
        settings = self.settings
        models = len(settings.target_cost) * (1 + settings.random_policies)
        models += 2 if settings.baselines else 0
        epochs = settings.supernet_epochs + models * settings.task_epochs
        search = settings.search_steps * SEARCH_BATCH_SIZE
        clips = [len(task.splits["training"].labels) for task in self.tasks]
        stages, work = 0, 0
        if not settings.base:
            stages, work = 1, sum(clips) * settings.base_epochs
        stages += len(clips) * (1 + models)
        return stages, work + sum(clips) * epochs + len(clips) * search

    def pretrain(self, input_shape):
        """Trains the base on the words of all tasks; returns it and its class names."""
        settings = self.settings
        task = combine(self.tasks)
        base = backbones.bcresnet(
            settings.tau, num_classes=len(task.labels), input_shape=input_shape
        )
        work = len(task.splits["training"].labels) * settings.base_epochs
        with self.progress.stage(f"base: {settings.base_epochs} epochs on all words", work):
            fit_classifier(
                base,
                dataclasses.replace(self.pipeline, train_snr_db=settings.base_snr_db).training(
                    task
                ),
                validation_data=self.pipeline.evaluation(task, "validation"),
                epochs=settings.base_epochs,
                learning_rate=settings.base_learning_rate,
                verbose=self.verbose,
            )
        save_model(base, self.folder / "base.keras")
        labels = json.dumps({"labels": task.labels}, indent=1, ensure_ascii=False)
        write_atomically(self.folder / "base.json", labels.encode())
        return base, task.labels

    def _run_task(self, task, base, base_labels):
        settings = self.settings
        train = self.pipeline.training(task)
        evaluation = {
            split: self.pipeline.evaluation(task, split) for split in ("validation", "testing")
        }
        results = Results(task, settings, self.progress.seconds)
        if base_labels is not None:
            results.add("base", base, evaluation, class_names=base_labels)
        search = self._search(task, base, train, evaluation["validation"])
        results.tracking_error = search.grid_error()
        everything = search.policy(1.0)
        if settings.baselines:
            for title, policy, mode in (
                ("classifier-only", search.policy(0.0), "frozen"),
                ("fine-tuning all", everything, "affine"),
            ):
                model = self._train(task, title, base, policy, train, evaluation, batch_norm=mode)
                results.add(title, model, evaluation, policy=policy)
        for cost in settings.target_cost:
            policy = search.policy(cost, settings.reading)
            model = self._train(task, f"SWR at c = {cost:g}", base, policy, train, evaluation)
            int8 = self._write(task, cost, model, evaluation["validation"])
            results.add("SWR", model, evaluation, policy=policy)
            results.add("SWR int8", int8, evaluation, policy=policy)
            for number in range(settings.random_policies):
                policy = _random_policy(everything, cost, seed=settings.seed * 1000 + number)
                title = f"random policy {number + 1} at c = {cost:g}"
                model = self._train(task, title, base, policy, train, evaluation)
                results.add("random policy", model, evaluation, policy=policy)
        return results

    def _search(self, task, base, train, validation):
        settings = self.settings
        clips = len(task.splits["training"].labels)
        work = clips * settings.supernet_epochs + settings.search_steps * SEARCH_BATCH_SIZE
        title = f"{task.name}: super-net ({settings.supernet_epochs} epochs) and policy search"
        with self.progress.stage(title, work):
            return learn_policy(
                base,
                train,
                num_classes=len(task.labels),
                validation_data=validation,
                epochs=settings.supernet_epochs,
                search_steps=settings.search_steps,
                learning_rate=settings.learning_rate,
                search_learning_rate=settings.search_learning_rate,
                cost_weight=settings.cost_weight,
                seed=settings.seed,
                **self.common,
            )

    def _train(self, task, title, base, policy, train, evaluation, **options):
        settings = self.settings
        work = len(task.splits["training"].labels) * settings.task_epochs
        keras.utils.set_random_seed(settings.seed)
        with self.progress.stage(f"{task.name}: {title} ({settings.task_epochs} epochs)", work):
            return train_task(
                base,
                policy,
                train,
                num_classes=len(task.labels),
                validation_data=evaluation["validation"],
                epochs=settings.task_epochs,
                learning_rate=settings.learning_rate,
                **{**self.common, **options},
            )

    def _write(self, task: KeywordTask, cost: float, model: TaskModel, validation) -> LiteModel:
        """Writes the files of one task model; the merged model and int8 are verified first."""
        folder = self.folder / task.name / f"c{cost:g}"
        folder.mkdir(parents=True, exist_ok=True)
        batch = next(iter(validation))[0]
        merged = model.merge(check_on=batch)
        calibration = self.pipeline.calibration(task, self.settings.calibration_clips)
        int8 = convert_int8(merged, calibration)
        save_model(merged, folder / "model.keras")
        model.pack().save(folder / "task.swr.h5")
        write_atomically(folder / "policy.json", model.policy.to_json().encode())
        write_atomically(folder / "model_int8.tflite", int8)
        return LiteModel(int8)


def _check_new(folder):
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"--output_dir '{folder}' exists already and is not an empty folder. Choose another "
            "one, or remove it."
        )


def _load_base(path, input_shape):
    if not pathlib.Path(path).is_file():
        raise ValueError(f"--base names '{path}', which is no file. Give a model saved as .keras.")
    base = keras.saving.load_model(path)
    shape = tuple(base.input_shape[1:])
    if any(known not in (None, size) for known, size in zip(shape, input_shape, strict=False)):
        raise ValueError(
            f"The base '{path}' takes inputs of shape {shape}, but the front end gives "
            f"{input_shape}. Give a base trained on these features and clips of this length."
        )
    labels = pathlib.Path(path).with_suffix(".json")
    return base, json.loads(labels.read_text())["labels"] if labels.is_file() else None


def _random_policy(policy: Policy, cost: float, seed: int) -> Policy:
    draws = np.random.default_rng(seed).random(len(policy.layers)).tolist()
    return Policy.from_probabilities(policy.layers, policy.num_parameters, draws, cost)

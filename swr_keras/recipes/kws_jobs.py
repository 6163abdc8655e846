"""The jobs of the keyword-spotting recipe."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from swr_keras import backbones
from swr_keras.audio.keyword_task import KeywordTask, own_names
from swr_keras.export.flatbuffer import read_model
from swr_keras.files import read_json
from swr_keras.jobs.base import GivenBase, TrainBase
from swr_keras.jobs.int8 import BASE_INT8, ConvertBase, ConvertInt8
from swr_keras.jobs.job import Job
from swr_keras.jobs.model import AdaptModel, TryBase
from swr_keras.jobs.policies import ChoosePolicy, LearnPolicies
from swr_keras.model_files import load_model
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.tasks.pack import fingerprint


def plan(settings: KwsSettings, tasks: Sequence[KeywordTask], base_task: KeywordTask) -> list[Job]:
    """Returns the jobs of a run, each after those that it needs."""
    base = _base_job(settings, base_task)
    labels = base.labels if isinstance(base, GivenBase) else base_task.labels
    clips = settings.int8.calibration_clips
    base_int8 = ConvertBase(
        base=base,
        calibration_examples=clips,
        given=_base_int8_beside(settings.base.base),
        task=base.task,
        data=base.data,
        seed=base.seed,
    )
    jobs: list[Job] = [base, base_int8]
    swr = settings.swr
    _check_first_layer(settings, base, base_task)
    for task in tasks:
        common: dict[str, Any] = {"task": task.name, "data": task.digest(), "seed": settings.seed}
        known = () if labels is None else own_names(task.name, labels)
        if set(task.labels) <= set(known):
            jobs.append(TryBase(base=base, class_names=known, **common))
        jobs += [AdaptModel(base=base, method=each, **common) for each in settings.baselines]
        search = LearnPolicies(
            base=base, learning=swr.learning, batch_norm=swr.batch_norm, cost=swr.cost, **common
        )
        jobs.append(search)
        for cost in settings.transfer.target_cost:
            choice = ChoosePolicy(search=search, method=swr, target_cost=cost, **common)
            model = AdaptModel(base=base, method=swr, target_cost=cost, choice=choice, **common)
            int8 = ConvertInt8(model=model, base=base_int8, calibration_examples=clips, **common)
            jobs += [choice, model, int8]
            jobs += [
                AdaptModel(base=base, method=each, target_cost=cost, **common)
                for each in settings.same_cost
            ]
    return jobs


def _base_job(settings, task) -> TrainBase | GivenBase:
    common: dict[str, Any] = {"task": task.name, "data": task.digest(), "seed": settings.seed}
    if settings.base.base:
        base, labels = _load_base(pathlib.Path(settings.base.base), task.input_shape)
    elif settings.base.pretrained:
        keras.utils.set_random_seed(settings.seed)
        base, labels = backbones.speech_embedding(input_shape=task.input_shape), None
    else:
        precision = settings.base.precision
        return TrainBase(
            backbone=settings.backbone, fit=settings.base_fit, precision=precision, **common
        )
    return GivenBase(fingerprint=fingerprint(base), model=base, labels=labels, **common)


def _check_first_layer(settings, base, task):
    """Refuses before training what would be refused after it."""
    swr = settings.swr
    if swr.first_layer is None:
        return
    if isinstance(base, GivenBase):
        model = base.model
    else:
        build = backbones.BUILDERS[base.backbone]
        model = build(num_classes=task.num_classes, input_shape=task.input_shape)
    for cost in settings.transfer.target_cost:
        swr.check(model, cost)


def _load_base(path, input_shape):
    base = load_model(path)
    shape = tuple(base.input_shape[1:])
    if len(shape) != len(input_shape) or any(
        known not in (None, size) for known, size in zip(shape, input_shape, strict=True)
    ):
        raise ValueError(
            f"The base '{path}' takes inputs of shape {shape}, but the front end gives "
            f"{input_shape}. Give a base trained on these features and clips of this length."
        )
    return base, _load_labels(path.with_suffix(".json"), base.output_shape[-1])


def _base_int8_beside(base):
    """Returns the int8 model of a base that a run wrote beside it, if it is there."""
    path = pathlib.Path(base).with_name(BASE_INT8) if base else None
    return read_model(path) if path and path.is_file() else None


def _load_labels(path, outputs):
    """Returns the class names that the recipe wrote beside a base; None without the file."""
    if not path.is_file():
        return None
    found = read_json(path, kind="the class names of a base")
    labels = found.get("labels") if isinstance(found, dict) else None
    if not isinstance(labels, list) or len(labels) != outputs:
        raise ValueError(
            f"'{path}' beside the base must have the names of its {outputs} outputs, as "
            f'{{"labels": [...]}}. Received: {labels}. Mend the file, or remove it to do without.'
        )
    return tuple(labels)

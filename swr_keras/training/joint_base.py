"""One network trained on several tasks at once, as a base for each of them."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from swr_keras.graph import clone, copy_layer, copy_weights, live_config, walk
from swr_keras.layers.head import find_head
from swr_keras.layers.replicas import BatchNormalizationOverReplicas
from swr_keras.training.fit import Fit
from swr_keras.training.heads import default_metrics, task_loss
from swr_keras.training.task import Task


class JointModel(keras.Model):
    """A copy of a base with a new head for each of several tasks; all of it is trained.

    Args:
        base: A built Functional or Sequential model; it is not touched.
        num_classes: Outputs of each head; `None` for as many as the base's.
        head: Path of the base's head, as for `find_head`.

    Call arguments:
        inputs: A tuple of the inputs of each task.

    Attributes:
        models: The model of each task; they share all layers but the head.
    """

    def __init__(
        self,
        base: keras.Model,
        num_classes: Sequence[int | None],
        *,
        head: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        replaced = dict(walk(base))[find_head(base, head)]
        shared: dict[int, keras.Layer] = {}

        def convert(layer, classes):
            if layer is replaced:
                return _new_head(layer, classes)
            if id(layer) not in shared:
                shared[id(layer)] = _copy(layer)
                shared[id(layer)].trainable = True
            return shared[id(layer)]

        def fill(source, target):
            if source is not replaced:
                copy_weights(source, target)

        def make(classes):
            return clone(base, lambda each: convert(each, classes), fill)

        self.models = [make(classes) for classes in num_classes]
        self.built = True

    def call(self, inputs, training=None):
        pairs = zip(self.models, inputs, strict=True)
        return tuple(model(each, training=training) for model, each in pairs)

    def as_base(self, base: keras.Model, head: str | None = None) -> keras.Model:
        """Returns a copy of the base with the layers trained here, and the base's own head."""
        own, head = dict(walk(self.models[0])), find_head(base, head)
        paths = {id(layer): path for path, layer in walk(base)}

        def fill(source, target):
            path = paths[id(source)]
            copy_weights(source if path == head else own[path], target)

        return clone(base, copy_layer, fill)

    def get_config(self):
        raise NotImplementedError(
            "A JointModel can't be saved whole, since it is made from a base. Save what comes of "
            "it, `joint.as_base(base).save(...)`, or its state, `save_weights(...)`."
        )


class JointTask:
    """Several tasks as one, for a `JointModel`; a `Task`.

    A step takes a batch of each task, and its loss is the sum of theirs. An epoch is as long as the
    longest of theirs, and the others begin anew meanwhile; where one doesn't say how long it is,
    the epoch ends with the first that ends.

    Args:
        model: The model.
        tasks: The tasks, in the order of the model's.
        label_smoothing: As for `Fit`, of each task's loss.
    """

    num_classes = None
    labels_spec = None

    def __init__(self, model: JointModel, tasks: Sequence[Task], label_smoothing: float = 0.0):
        self.tasks = tuple(tasks)
        self.name = " + ".join(task.name for task in tasks)
        pairs = list(zip(model.models, tasks, strict=True))
        self.loss: Any = [task_loss(own, task, label_smoothing) for own, task in pairs]
        self.metrics = [
            default_metrics(own, task.labels_spec)
            if task.metrics is None and task.loss is None
            else task.metrics
            for own, task in pairs
        ]

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns batches of tuples, `(inputs of each task, labels of each task)`."""
        steps = self.steps_per_epoch(batch_size)
        parts = []
        for task in self.tasks:
            epoch, begin = first_epoch, 0
            if steps:
                epoch, begin = divmod(first_epoch * steps, task.steps_per_epoch(batch_size) or 1)
            parts.append(task.training(batch_size, epoch).skip(begin))
        return tf.data.Dataset.zip(*parts).map(_by_kind)

    def steps_per_epoch(self, batch_size: int) -> int | None:
        """Returns the batches of an epoch; `None` where a task doesn't know its own."""
        every = [task.steps_per_epoch(batch_size) for task in self.tasks]
        return None if None in every else max(step for step in every if step)

    def validation(self, *, mixed: bool = False) -> None:
        """Returns `None`: a joint model is no result, but the base of results."""


def joint_base(
    base: keras.Model,
    tasks: Sequence[Task],
    *,
    fit: Fit,
    head: str | None = None,
    state: str | os.PathLike | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Trains a base further on several tasks at once, and tells how it went.

    Args:
        base: A built Functional or Sequential model; it is not touched.
        tasks: Data of the tasks, which take the same inputs.
        fit: How it is trained, in all its weights.
        head: Path of the base's head, as for `find_head`; each task trains its own in its place.
        state, callbacks, verbose: As for `Method.train`.

    Returns:
        A new model of the base's architecture, with the base's own head, to adapt to each of the
        tasks by `TAPS`, say; and the logs of the epochs.

    Raises:
        ValueError: Without tasks.

    Source: the joint variant of TAPS, `train_joint.py` of MattWallingford/TAPS.
    """
    if not tasks:
        raise ValueError("A joint base needs at least one task. Received: none.")
    model = JointModel(base, [task.num_classes for task in tasks], head=head)
    every = JointTask(model, tasks, fit.label_smoothing)
    # The losses of the tasks have it already.
    settings = dataclasses.replace(fit.resolved(base, every), label_smoothing=0.0)
    logs = settings.run(model, every, state=state, callbacks=callbacks, verbose=verbose)
    return model.as_base(base, head), logs


def _copy(layer):
    if type(layer) is keras.layers.BatchNormalization:
        return BatchNormalizationOverReplicas.from_config(live_config(layer))
    return copy_layer(layer)


def _new_head(head, num_classes):
    config = {**live_config(head), "trainable": True}
    if num_classes is not None:
        config["units" if "units" in config else "filters"] = num_classes
    return head.from_config(config)


@tf.autograph.experimental.do_not_convert
def _by_kind(*batches):
    """From a batch of each task to the inputs, the labels and the weights of all."""
    return tuple(zip(*batches, strict=True))

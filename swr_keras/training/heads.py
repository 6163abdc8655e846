"""Losses and metrics that follow from the head of a model and from its labels."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from swr_keras.graph import structure, symbolic
from swr_keras.training.task import Task

_SHAPES = ("Dropout", "Flatten", "GlobalAveragePooling", "Identity", "Reshape")
_ACTIVATIONS: dict[Any, str] = {
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
}


def task_loss(
    model: keras.Model, task: Task, label_smoothing: float = 0.0
) -> keras.losses.Loss | str:
    """Returns a task's own loss, or else the one that suits the head of a model.

    Args:
        model, label_smoothing: As for `default_loss`.
        task: The task.

    Raises:
        ValueError: If the labels of a task with a loss of its own are to be smoothed; see also
            `default_loss`.
    """
    if task.loss is None:
        return default_loss(model, task.labels_spec, label_smoothing)
    if label_smoothing:
        raise ValueError(
            f"Labels are smoothed in the loss that follows from the head, but task '{task.name}' "
            f"has its own. Received: label_smoothing={label_smoothing}, loss={task.loss}. Set "
            "`label_smoothing` to 0, and smooth in that loss."
        )
    return task.loss


def default_loss(
    model: keras.Model, labels: tf.TensorSpec | None = None, label_smoothing: float = 0.0
) -> keras.losses.Loss:
    """Returns the cross-entropy for a model's head and for its labels.

    Args:
        model: A Functional or Sequential model, or a `TransferModel`, of one output
            `(batch, ..., num_outputs)`.
        labels: Shape and dtype of a batch of labels; without it, integers of classes.
        label_smoothing: Share of each label that goes to all classes alike, in [0, 1); of labels
            that are yes or no each, half of it to either.

    Raises:
        ValueError: If head and labels don't say which loss is meant, as of a regression.
    """
    activation, kind = output_activation(model), _kind(model, labels)
    options: dict[str, Any] = {"from_logits": activation is None}
    smooth = options | {"label_smoothing": label_smoothing}
    if kind == "binary" and activation != "softmax":
        return keras.losses.BinaryCrossentropy(**smooth)
    if kind == "sparse" and activation != "sigmoid":
        if label_smoothing:
            return SmoothedSparseCrossentropy(**smooth)
        return keras.losses.SparseCategoricalCrossentropy(**options)
    if kind == "categorical":
        if activation == "sigmoid":
            return keras.losses.BinaryCrossentropy(**smooth)
        return keras.losses.CategoricalCrossentropy(**smooth)
    raise ValueError(
        f"No loss is known for '{model.name}' with outputs of shape {_output(model).shape} from a "
        f"{activation or 'linear'} head and labels {labels}. Pass `loss=`."
    )


@keras.saving.register_keras_serializable(package="swr_keras")
class SmoothedSparseCrossentropy(keras.losses.Loss):
    """Categorical cross-entropy with smoothed labels, for integers of classes.

    Args:
        label_smoothing: Share of each label that goes to all classes alike, in [0, 1).
        from_logits: Whether outputs are logits instead of probabilities.
        name, **kwargs: As for `keras.losses.Loss`.

    Call arguments:
        y_true: Integers `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: `(batch, ..., num_classes)`.

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    """

    def __init__(
        self, label_smoothing=0.0, from_logits=False, name="smoothed_crossentropy", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        classes = ops.cast(y_true, "int32")
        if len(classes.shape) == len(y_pred.shape):
            classes = ops.squeeze(classes, -1)
        return keras.losses.categorical_crossentropy(
            ops.one_hot(classes, y_pred.shape[-1], dtype=y_pred.dtype),
            y_pred,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )

    def get_config(self):
        own = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **own}


def default_metrics(
    model: keras.Model, labels: tf.TensorSpec | None = None
) -> list[keras.metrics.Metric]:
    """Returns the accuracy, named `accuracy`, that belongs to `default_loss`."""
    loss = default_loss(model, labels)
    if isinstance(loss, keras.losses.BinaryCrossentropy):
        threshold = 0.5 if output_activation(model) else 0.0
        return [keras.metrics.BinaryAccuracy("accuracy", threshold=threshold)]
    if isinstance(loss, keras.losses.CategoricalCrossentropy):
        return [keras.metrics.CategoricalAccuracy("accuracy")]
    return [keras.metrics.SparseCategoricalAccuracy("accuracy")]


def _kind(model, labels):
    """What the labels are to the outputs: `binary`, `sparse`, `categorical` or unknown."""
    outputs = _output(model).shape
    if labels is None:
        return "binary" if outputs[-1] == 1 else "sparse"
    whole = labels.dtype.is_integer or labels.dtype.is_bool
    rank = labels.shape.rank
    if outputs[-1] == 1:
        # Float labels of one linear output may be those of a regression.
        known = whole or output_activation(model) == "sigmoid"
        return "binary" if known and rank in (1, 2) else None
    if rank == len(outputs) and labels.shape[-1] == outputs[-1]:
        known = whole or output_activation(model) is not None
        return "categorical" if known or rank == 2 else None
    sparse = rank == len(outputs) - 1 or (rank == len(outputs) and labels.shape[-1] == 1)
    return "sparse" if sparse and whole else None


def output_activation(model: keras.Model) -> str | None:
    """Returns `"softmax"` or `"sigmoid"` if a model of one output ends in it, else `None`.

    Layers after it that only reshape or pool are looked through.
    """
    graph = structure(getattr(model, "model", model))
    producers = {id(tensor): call for call in graph.calls for tensor in symbolic(call.output)}
    (tensor,) = symbolic(graph.outputs)
    while call := producers.get(id(tensor)):
        operation = call.operation
        kind = type(operation).__name__
        if kind in ("Softmax", "Sigmoid"):
            return kind.lower()
        activation = getattr(operation, "activation", None)
        if activation in _ACTIVATIONS:
            return _ACTIVATIONS[activation]
        linear = kind == "Activation" and activation is keras.activations.linear
        if not (linear or kind.startswith(_SHAPES)) or len(call.inputs) != 1:
            return None
        (tensor,) = call.inputs
    return None


def _output(model):
    (output,) = getattr(model, "model", model).outputs
    return output

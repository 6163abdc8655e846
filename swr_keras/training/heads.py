"""Losses and metrics that follow from the head of a model and from its labels."""

from typing import Any

import keras
import tensorflow as tf

from swr_keras.graph import structure, symbolic

_SHAPES = ("Dropout", "Flatten", "GlobalAveragePooling", "Identity", "Reshape")
_ACTIVATIONS: dict[Any, str] = {
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
}


def default_loss(model: keras.Model, labels: tf.TensorSpec | None = None) -> keras.losses.Loss:
    """Returns the cross-entropy for a model's head and for its labels.

    Args:
        model: A Functional or Sequential model, or a `TransferModel`, of one output
            `(batch, ..., num_outputs)`.
        labels: Shape and dtype of a batch of labels; without it, integers of classes.

    Raises:
        ValueError: If head and labels don't say which loss is meant, as of a regression.
    """
    activation, kind = output_activation(model), _kind(model, labels)
    from_logits = activation is None
    if kind == "binary" and activation != "softmax":
        return keras.losses.BinaryCrossentropy(from_logits=from_logits)
    if kind == "sparse" and activation != "sigmoid":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    if kind == "categorical":
        if activation == "sigmoid":
            return keras.losses.BinaryCrossentropy(from_logits=False)
        return keras.losses.CategoricalCrossentropy(from_logits=from_logits)
    raise ValueError(
        f"No loss is known for '{model.name}' with outputs of shape {_output(model).shape} from a "
        f"{activation or 'linear'} head and labels {labels}. Pass `loss=`."
    )


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

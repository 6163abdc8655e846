"""Training on several devices of this computer, each with a part of every batch."""

import contextlib
import functools
import json
import os
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from swr_keras.graph import is_graph, walk
from swr_keras.layers.replicas import BatchNormalizationOverReplicas

STRATEGIES = ("none", "mirrored")


def strategy_scope(name: str) -> contextlib.AbstractContextManager:
    """Returns the scope in which models are made, trained and used by a strategy.

    Args:
        name: `"none"` for one device, or `"mirrored"` for all GPUs of this computer or, without
            any, all logical CPUs: each holds a copy of the model and takes an equal part of each
            batch (`tf.distribute.MirroredStrategy`).

    Raises:
        ValueError: For an unknown name, or if this process is one of several hosts' (`TF_CONFIG`).
    """
    if name not in STRATEGIES:
        raise ValueError(f"The strategy must be one of {STRATEGIES}. Received: {name!r}.")
    if name == "none":
        return contextlib.nullcontext()
    hosts = _hosts()
    if hosts > 1:
        raise ValueError(
            "The strategy 'mirrored' is for the devices of one computer; Keras 3 doesn't fit "
            f"models on several with TensorFlow. Received: TF_CONFIG with {hosts} hosts. Unset "
            "it, and let each host do jobs of its own."
        )
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    return _mirrored(tuple(devices)).scope()


@functools.cache
def _mirrored(devices):
    # TensorFlow numbers the reductions of each strategy from the same number on, so a second one
    # for the same devices would meet those of the first.
    return tf.distribute.MirroredStrategy(devices)


def _hosts():
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        return sum(len(addresses) for addresses in cluster.values())
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"The variable TF_CONFIG isn't what TensorFlow expects: {error}."
        ) from None


def share_out(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Returns a data set that gives each replica its part of each batch.

    Parts are equal: a batch that can't be cut so is filled up with its first examples, each of
    which then weighs that much less. So losses are those of the batch; metrics without weights and
    statistics of the batch count such examples more than once.

    Args:
        dataset: Batches `(inputs, labels)` or `(inputs, labels, sample_weight)`, on one device
            returned as they are.
        strategy: What they are shared out by.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return dataset

    def parts(*batch):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        return tf.data.Dataset.range(replicas).map(
            lambda index: _part(x, y, sample_weight, index, replicas)
        )

    shared = dataset.flat_map(parts).prefetch(2 * replicas)
    # Each replica takes the next element, so nothing is left to be cut up or sharded.
    return strategy.distribute_datasets_from_function(lambda context: shared)


def _part(x, y, sample_weight, index, replicas):
    """The examples of one replica, and their weights."""

    def take(tensor):
        return tf.gather(tensor, _rows(tensor, index, replicas))

    own = tree.map_structure(lambda labels: _weights(labels, index, replicas), y)
    if sample_weight is not None:
        own = tree.map_structure(lambda a, b: a * tf.cast(take(b), a.dtype), own, sample_weight)
    return tree.map_structure(take, x), tree.map_structure(take, y), own


def _rows(tensor, index, replicas):
    size = tf.shape(tensor, tf.int64)[0]
    own = -(-size // replicas)
    return tf.range(index * own, (index + 1) * own) % size


def _weights(labels, index, replicas):
    size, rows = tf.shape(labels, tf.int64)[0], _rows(labels, index, replicas)
    every = replicas * tf.size(rows, tf.int64)
    times = every // size + tf.cast(rows < every % size, tf.int64)
    return tf.cast(every / (size * times), "float32")


def check_model(model: keras.Model) -> None:
    """Raises ValueError if replicas would train a batch norm layer of a model by themselves."""
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return
    for network in getattr(model, "models", [getattr(model, "model", model)]):
        for path, layer in walk(network) if is_graph(network) else ():
            norm = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
            if norm and not (
                isinstance(layer, BatchNormalizationOverReplicas) or layer.synchronized
            ):
                raise ValueError(
                    f"Batch norm '{path}' would normalise by what each device has of a batch. Make "
                    "it with `synchronized=True` to train it on several devices."
                )

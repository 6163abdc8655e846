"""Data as `fit` takes it, checked against a model before anything is trained."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from keras import tree

_CURE = "Give batches `(inputs, labels)`."


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Data that fits a model.

    Attributes:
        dataset: Batches `(inputs, labels)` or `(inputs, labels, sample_weight)`, finite.
        labels: Shape and dtype of a batch of labels.
        steps: Number of batches, if known.
    """

    dataset: tf.data.Dataset
    labels: tf.TensorSpec
    steps: int | None


def check_dataset(data: Any, model: keras.Model, *, batch_size: int = 32) -> Batches:
    """Returns the data of a training if it fits the inputs of a model.

    Args:
        data: A `tf.data.Dataset` of batches, a tuple of arrays `(inputs, labels)` or `(inputs,
            labels, sample_weight)`, or a `keras.utils.PyDataset`.
        model: A Functional or Sequential model.
        batch_size: Examples a batch, of arrays.

    Raises:
        ValueError: If the data are of another kind, are empty or without end, aren't batches
            of inputs and labels, or don't fit the inputs of the model.
    """
    dataset = _as_dataset(data, batch_size)
    element = dataset.element_spec
    if not isinstance(element, tuple) or len(element) not in (2, 3):
        raise ValueError(f"Data need inputs and labels. Received: {element}. {_CURE}")
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The dataset has no end. Received: infinite cardinality. Leave out `repeat()`, or "
            "say how much is an epoch by `.take(steps_per_epoch)`."
        )
    if cardinality == 0 or not any(True for _ in dataset.take(1)):
        raise ValueError(f"The dataset is empty. Received: {dataset}. {_CURE}")
    if not isinstance(element[1], tf.TensorSpec):
        raise ValueError(f"Labels must be one tensor. Received: {element[1]}. {_CURE}")
    _check_inputs(element[0], model)
    return Batches(dataset, element[1], cardinality if cardinality > 0 else None)


def _as_dataset(data, batch_size):
    if isinstance(data, tf.data.Dataset):
        return data
    if isinstance(data, keras.utils.PyDataset):
        return _from_py_dataset(data)
    if isinstance(data, tuple) and len(data) in (2, 3):
        return tf.data.Dataset.from_tensor_slices(as_tensors(data)).batch(batch_size)
    raise ValueError(
        "Data must be a tf.data.Dataset, a pair of arrays or a keras.utils.PyDataset. Received: "
        f"{type(data).__name__}. {_CURE}"
    )


def as_tensors(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns arrays of inputs, labels and weights as tensors, several inputs in a tuple.

    Raises:
        ValueError: If one is no array, or they are of different lengths.
    """
    # Of a list, `tf.data` would make one tensor.
    arrays = tree.lists_to_tuples(arrays)
    if numbers := [each for each in tree.flatten(arrays) if not hasattr(each, "__len__")]:
        raise ValueError(
            f"Inputs and labels must be arrays. Received: {numbers[:3]} in a list, or instead of "
            "an array. Make arrays of lists of numbers: `numpy.asarray(labels)`."
        )
    sizes = {len(each) for each in tree.flatten(arrays)}
    if len(sizes) != 1:
        raise ValueError(f"Arrays must be of one length. Received: lengths {sorted(sizes)}.")
    return tree.map_structure(tf.convert_to_tensor, arrays)


def _from_py_dataset(data):
    steps = data.num_batches
    if not steps:
        raise ValueError(
            f"A PyDataset must know how many batches it has. Received: {steps} batches. Give it a "
            "`__len__` above 0."
        )

    def batch(index):
        return tree.map_structure(tf.convert_to_tensor, tree.lists_to_tuples(tuple(data[index])))

    def batches():
        yield from map(batch, range(steps))
        data.on_epoch_end()

    first = batch(0)
    signature = tree.map_structure(
        lambda tensor: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype), first
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps))


def _check_inputs(found, model):
    expected, given = model.inputs, _in_order(found, model)
    if len(given) != len(expected) or not all(map(_fits, given, expected)):
        wanted = {tensor.name: (tensor.shape, tensor.dtype) for tensor in expected}
        raise ValueError(
            f"The data don't fit the inputs of '{model.name}'. Received: batches of {found}; "
            f"expected {wanted}. Batch the data and give each input its shape and dtype."
        )


def _in_order(found, model):
    """Returns the inputs in the order of the model's; none if their structures differ."""
    if isinstance(model, keras.Sequential):
        return [found]
    if isinstance(model.input, dict):
        return [found.get(name) for name in model.input] if isinstance(found, dict) else []
    if isinstance(found, dict):
        names = [tensor.name for tensor in model.inputs]
        return [found[name] for name in names] if set(found) == set(names) else []
    return list(found) if isinstance(found, tuple | list) else [found]


def _fits(found, expected):
    if not hasattr(found, "shape"):
        return False
    if (found.dtype == tf.string) != (expected.dtype == "string"):
        return False
    shapes = [expected.shape]
    if expected.shape[-1] == 1:  # Keras adds an axis of size 1.
        shapes.append(expected.shape[:-1])
    return any(found.shape.is_compatible_with(shape) for shape in shapes)

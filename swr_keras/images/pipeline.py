"""From images to batches of inputs: `tf.data` data sets for training and evaluation."""

import numpy as np
import tensorflow as tf

from swr_keras.images.pixels import Pixels
from swr_keras.images.view import View


def training_batches(
    pixels: Pixels, labels: np.ndarray, view: View, *, batch_size: int, first_epoch: int = 0
) -> tf.data.Dataset:
    """Shuffled, augmented batches, epoch after epoch without end.

    What an image looks like depends on the view's seed, the epoch and its row alone, and so does
    the order: an epoch is the same each time, and of the same images in batches of any size.

    Args:
        pixels: The images.
        labels: Their classes, int32 `(images,)`.
        view: How they become inputs.
        batch_size: Images a batch; the last batch of an epoch may hold fewer.
        first_epoch: The epoch to begin with.

    Returns:
        Batches `(inputs, labels)`: float32 `(batch, size, size, channels)`, int32 `(batch,)`.
    """
    read = pixels.reader()

    def epoch(number):
        seed = tf.stack([view.seed, tf.cast(number, tf.int32)])
        rows = tf.random.experimental.stateless_shuffle(tf.range(len(labels)), seed=seed)
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
        return batches.map(lambda rows: (rows, seed))

    def example(row, seed):
        own = tf.random.experimental.stateless_fold_in(seed, row)
        return view.training(read(row), own)

    batches = tf.data.Dataset.counter(first_epoch).flat_map(epoch)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return _computed(batches.apply(endless), example, labels, view)


def evaluation_batches(
    pixels: Pixels, labels: np.ndarray, view: View, *, rows: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Batches of some images without augmentation, in the order of `rows`, the same at every pass.

    Args:
        pixels, labels, view: As for `training_batches`.
        rows: Which images, int `(any,)`.
        batch_size: Images a batch; the last batch may hold fewer.

    Returns:
        Batches as of `training_batches`.
    """
    read = pixels.reader()
    batches = tf.data.Dataset.from_tensor_slices(rows.astype(np.int32)).batch(batch_size)
    return _computed(
        batches.map(lambda rows: (rows, tf.zeros(2, tf.int32))),
        lambda row, seed: view.testing(read(row)),
        labels,
        view,
    )


def _computed(batches, example, labels, view):
    with tf.device("CPU:0"):
        labels = tf.constant(labels)
    spec = tf.TensorSpec(view.transform.shape, tf.float32)

    def compute(rows, seed):
        inputs = tf.map_fn(lambda row: example(row, seed), rows, fn_output_signature=spec)
        return inputs, tf.gather(labels, rows)

    computed = batches.map(compute, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return computed.prefetch(tf.data.AUTOTUNE)

"""What layers do in training on several devices, each with a part of the batch."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops


def one_of_several() -> tf.distribute.ReplicaContext | None:
    """Returns the replica that calls it, if there are others; else `None`."""
    replica = tf.distribute.get_replica_context()
    return replica if replica is not None and replica.num_replicas_in_sync > 1 else None


def draw_uniform(shape: tuple, low: float, high: float, seed: keras.random.SeedGenerator) -> Any:
    """Draws numbers for each example of a batch; each replica has its part of one draw for all.

    Args:
        shape: `(batch, ...)`.
        low, high: From where to where the numbers are.
        seed: Seed of the draws, the same on all replicas.

    Returns:
        float32, of that shape; with equal parts, what one device would draw for all examples.
    """
    replica = one_of_several()
    if replica is None:
        return keras.random.uniform(shape, low, high, dtype="float32", seed=seed)
    size, rest = shape[0], shape[1:]
    every = (size * replica.num_replicas_in_sync, *rest)
    begin = size * tf.cast(replica.replica_id_in_sync_group, size.dtype)
    return keras.random.uniform(every, low, high, dtype="float32", seed=seed)[begin : begin + size]


@keras.saving.register_keras_serializable(package="swr_keras")
class BatchNormalizationOverReplicas(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that trains by the statistics of the whole batch.

    On one device it is Keras' own. On several, the moments are those of the examples of all of
    them, so each has the same outputs for an example, and the same moving statistics, as one
    device that takes the whole batch.

    Raises:
        ValueError: On several devices, for a mask or `renorm=True`.
    """

    def call(self, inputs, training=None, mask=None):
        replica = one_of_several()
        if replica is None or not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        if mask is not None or self.renorm:
            raise ValueError(
                f"Layer '{self.name}' can't be trained on several devices with a mask or with "
                f"renorm=True. Received: mask={mask}, renorm={self.renorm}. Train on one device."
            )
        x = ops.cast(inputs, "float32")
        mean, variance = self._of_all(replica, x)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        outputs = ops.batch_normalization(
            x, mean, variance, self.axis, self.beta, self.gamma, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def _of_all(self, replica, x):
        """Mean and variance of each channel over the inputs of all replicas."""
        axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
        # About a value near the mean, and the same on all replicas, squares lose no digits.
        shape = [1 if axis in axes else -1 for axis in range(len(x.shape))]
        middle = ops.convert_to_tensor(self.moving_mean)
        centred = x - ops.reshape(middle, shape)
        sums, squares = ops.sum(centred, axes), ops.sum(ops.square(centred), axes)
        count = ops.cast(ops.size(x), "float32") / sums.shape[0]
        parts = tf.concat([sums, squares, [count]], axis=0)
        total = replica.all_reduce(tf.distribute.ReduceOp.SUM, parts)
        sums, squares = tf.split(total[:-1] / total[-1], 2)
        return middle + sums, squares - ops.square(sums)

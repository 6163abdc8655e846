"""TAPS: which layers a task changes is learned along with the change."""

import keras
import tensorflow as tf
from keras import ops, tree

from swr_keras.layers.reparametrized_model import gates, task_variables
from swr_keras.policy.gates import straight_through
from swr_keras.policy.policy import Policy
from swr_keras.training.task_model import TaskModel

FIRST_SCORE, THRESHOLD = 0.15, 0.1


class TapsModel(TaskModel):
    """The base with a score for each layer that may change: its gate is open from 0.1 on.

    Scores begin at 0.15, all gates open, and are trained along with the deltas, through the gate as
    if it weren't hard; a delta is trained while its gate is open. After the first epochs the loss
    grows by `sparsity` times the mean of all scores' magnitudes, which closes what isn't worth it.
    The policy follows from the scores at any time: deltas of closed gates aren't the task's.

    Args:
        base, num_classes, head: As for `TaskModel`.
        policy: The layers that may change.
        batch_norm: `"affine"`, `"statistics"` or `"frozen"`, see `layers.TaskNormalization`.
        sparsity: Factor of the mean magnitude of the scores.
        warm_up: Epochs without that loss.

    Attributes:
        scores: A score for each layer that may change, in the order of the model.

    Raises:
        ValueError: For another `batch_norm`, a `sparsity` or `warm_up` below 0; see also
            `TaskModel`.

    Source: Wallingford et al., "Task Adaptive Parameter Sharing for Multi-Task Learning", arXiv
    2203.16708, with the constants of MattWallingford/TAPS.
    """

    def __init__(self, base, policy, *, batch_norm="affine", sparsity=1.0, warm_up=2, **kwargs):
        if batch_norm == "owned" or sparsity < 0 or warm_up < 0:
            raise ValueError(
                "The scores of TAPS are those of layers with a kernel, so batch norm has no gates: "
                "`batch_norm` must be 'affine', 'statistics' or 'frozen', and `sparsity` and "
                f"`warm_up` at least 0. Received: batch_norm={batch_norm!r}, sparsity={sparsity}, "
                f"warm_up={warm_up}."
            )
        super().__init__(base, policy, batch_norm=batch_norm, **kwargs)
        self.sparsity = sparsity
        self.warm_up = warm_up
        self._candidates = super().policy.selected_layers
        self.scores = self.add_weight(
            name="scores", shape=(len(self._candidates),), initializer=_constant(FIRST_SCORE)
        )
        self.penalty = self.add_weight(
            name="penalty", shape=(), initializer="zeros", trainable=False
        )

    @property
    def open_layers(self):
        """Paths of the layers whose score reaches the threshold."""
        return frozenset(path for path, gate in gates(self.model).items() if gate.numpy())

    @property
    def policy(self):
        """The layers that the task changes, by the scores that it has now."""
        every, found = super().policy, self.open_layers
        sizes = dict(zip(every.layers, every.sizes, strict=True))
        return Policy.from_layers(sizes, [each for each in sizes if each in found], every.cost)

    @property
    def owned_variables(self):
        """The variables that training changes by gradient: the scores and all deltas, too."""
        return [self.scores, *super().owned_variables]

    def _trained(self):
        return task_variables(self.model, self.head_path, self._open_layers)

    def call(self, inputs, training=None):
        if not training:
            return super().call(inputs, training=training)
        opened = straight_through(self.scores, THRESHOLD)
        return self._run(inputs, self._gated(self._candidates, opened))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """`keras.Model.compute_loss`, in training with the loss on the scores."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not training:
            return loss
        penalty = self.penalty * ops.sum(ops.abs(self.scores)) / len(self.units)
        return loss + penalty / tf.distribute.get_strategy().num_replicas_in_sync

    def train_step(self, data):
        """One step, after which the gates are those of the scores."""
        logs = super().train_step(data)
        found = ops.cast(self.scores >= THRESHOLD, "float32")
        for gate, value in self._gated(self._candidates, found):
            gate.assign(value)
        return logs

    def fit(self, *args, callbacks=None, **kwargs):
        """`keras.Model.fit`, with the loss on the scores from epoch `warm_up` on."""
        callbacks = [_WarmUp(), *tree.flatten(callbacks or [])]
        return super().fit(*args, callbacks=callbacks, **kwargs)


class _WarmUp(keras.callbacks.Callback):
    """Says at each epoch what a score costs."""

    def on_epoch_begin(self, epoch, logs=None):
        model = self.model
        model.penalty.assign(model.sparsity if epoch >= model.warm_up else 0.0)


def _constant(value):
    return keras.initializers.Constant(value)

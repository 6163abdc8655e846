"""What the super-net and the task model share: a reparametrized copy of the base, and its step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from swr_keras.graph import walk
from swr_keras.layers.conversion import merge, reparametrize
from swr_keras.layers.extension import Extension
from swr_keras.layers.head import find_head
from swr_keras.layers.layer_kinds import is_batch_norm
from swr_keras.layers.normalization import STATISTICS
from swr_keras.layers.reparametrized_model import gates, open_gates, task_variables
from swr_keras.layers.units import layers_of, policy_units


class TransferModel(keras.Model):
    """A reparametrized copy of a base with a new head, trained in what a task may own.

    Args:
        base: A built Functional or Sequential model; it is not touched.
        num_classes: Outputs of the new head; as many as the base's by default.
        batch_norm: `"statistics"`, `"affine"`, `"shift"`, `"frozen"` or `"owned"`, see
            `layers.TaskNormalization`.
        head: Path of the base's head; by default found by `find_head`.
        extension: Layers to add to the base, all the task's own; `None` for none.

    Attributes:
        model: The reparametrized model.
        units: What a policy decides on, by path, in the order of the model, see `policy_units`.

    Raises:
        ValueError: If `base` has several outputs; see also `reparametrize`.
    """

    def __init__(
        self,
        base,
        *,
        num_classes=None,
        batch_norm="statistics",
        head=None,
        extension: Extension | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.head_path = find_head(base, head)
        output = _output_of(base)
        if num_classes is None and output.shape[-1] is None:
            raise ValueError(
                "The last axis of a base's output must be its classes. Received: "
                f"'{base.name}' with an output of shape {tuple(output.shape)}. Say how many "
                "classes there are by `num_classes`, or rebuild the model without what folds them."
            )
        num_classes = output.shape[-1] if num_classes is None else num_classes
        self.batch_norm = batch_norm
        self.extension = extension
        self.model = reparametrize(
            base,
            num_classes=num_classes,
            head=self.head_path,
            batch_norm=batch_norm,
            extension=extension,
        )
        self.num_classes = int(num_classes)
        self.units = policy_units(base, head=self.head_path, batch_norm=batch_norm)
        self._open_layers: frozenset[str] = frozenset()
        self._anchors = _first_values(self.model, extension)
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    @property
    def open_layers(self) -> frozenset[str]:
        """Paths of the layers whose gate is open."""
        return self._open_layers

    def task_variables(self) -> dict[str, keras.Variable]:
        """Returns every variable that is the task's own, by layer path and name.

        These are the deltas of layers with an open gate, the head, the layers of the extension,
        and what the batch norm mode leaves to the task.
        """
        return task_variables(self.model, self.head_path, self.open_layers)

    @property
    def owned_variables(self) -> list[keras.Variable]:
        """The variables that training changes by gradient, whatever `trainable` says of layers.

        These are the deltas of layers with an open gate, the head, the layers of the extension,
        and gamma and beta where batch norm leaves them to the task.
        """
        own = self._trained().items()
        return [variable for name, variable in own if name.split("/")[-1] not in STATISTICS]

    @property
    def anchors(self) -> list[tuple[keras.Variable, np.ndarray]]:
        """Variables that training changes, each with the value that weight decay pulls it towards.

        These are gammas, betas and copies of the base's layers, each with its first value; all
        others are pulled to zero, where deltas leave the base as it is.
        """
        return self._anchors

    def start_from(self, values: Mapping[str, Any]) -> None:
        """Gives the task's variables the values of these names, of which there may be more.

        Args:
            values: Variables or arrays, named as by `task_variables`; those of a super-net of the
                same base, head and `batch_norm` have all.

        Raises:
            ValueError: If one is missing; this model stays as it was.
        """
        own = self.task_variables()
        if missing := sorted(own.keys() - values.keys()):
            raise ValueError(
                f"A {type(self).__name__} starts from values of all that is the task's. Missing: "
                f"{missing[:6]}. Give those of a super-net of the same base and `batch_norm`."
            )
        for name, variable in own.items():
            variable.assign(values[name])

    def _trained(self) -> dict[str, keras.Variable]:
        """What training changes, by gradient or, as statistics, in passing."""
        return self.task_variables()

    def load_weights(self, *args, **kwargs):
        """`keras.Model.load_weights`, of a model with the same layers open.

        Raises:
            ValueError: If other layers were open; this model stays as it was.
        """
        before = self.get_weights()
        super().load_weights(*args, **kwargs)
        found = {path for path, gate in gates(self.model).items() if gate.numpy()}
        if found != self.open_layers:
            self.set_weights(before)
            raise ValueError(
                "The weights were saved with another policy: the open layers differ in "
                f"{sorted(found ^ self.open_layers)}. Load them into a model of the policy they "
                "were trained with."
            )

    def train_step(self, data):
        """One step on the owned variables alone, whatever `trainable` says of the layers."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        owned = self.owned_variables
        self.optimizer.apply(tape.gradient(scaled, owned), owned)
        update_loss(self, loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def merge(self, *, check_on=None) -> keras.Model:
        """Returns the task's model as a new plain Keras model, see `swr_keras.merge`."""
        return merge(self.model, check_on=check_on)

    def get_config(self):
        raise NotImplementedError(
            f"A {type(self).__name__} can't be saved whole, since it is made from a base. Save "
            "what comes of it, `task.merge().save(...)` or `task.pack().save(...)`, or its state, "
            "`save_weights(...)` (for checkpoints: `save_weights_only=True`)."
        )

    def _open(self, units, *, for_good):
        """Opens the gates of these units and closes all others, see `open_gates`."""
        self._open_layers = layers_of(self.units, units)
        open_gates(self.model, self._open_layers, for_good=for_good)

    def _gated(self, units: Iterable[str], values) -> list[tuple[keras.Variable, Any]]:
        """Returns the gates of these units, each with its value of `(num_units,)`, for `_run`."""
        own, units = gates(self.model), list(units)
        pairs = zip(units, ops.unstack(values, len(units)), strict=True)
        return [(own[path], value) for unit, value in pairs for path in self.units[unit].layers]

    def _run(self, inputs, values: Sequence[tuple[keras.Variable, Any]], *, keep_statistics=True):
        """A training pass with tensors in place of variables, through which gradients pass.

        Args:
            values: Variables of the model, which stay as they are, each with its tensor.
            keep_statistics: Whether batch norm keeps the statistics of the batch.
        """
        with keras.StatelessScope(state_mapping=values, collect_losses=True) as scope:
            outputs = self.model(inputs, training=True)
        replaced = [variable for variable, _ in values]
        untouched = {id(each) for each in (replaced if keep_statistics else self.model.weights)}
        for variable in self.model.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None and id(variable) not in untouched:
                variable.assign(value)
        self.add_loss(scope.losses)
        return outputs


def _first_values(model, extension):
    """What gammas, betas and copies of the base's layers are in a model that is new."""
    return [
        (variable, variable.numpy())
        for path, layer in walk(model)
        if is_batch_norm(layer) or (extension is not None and extension.is_copy(path))
        for variable in layer.trainable_variables
    ]


def _output_of(base):
    if len(base.outputs) != 1:
        raise ValueError(
            f"The base of a classifier must have one output. Received: '{base.name}' with "
            f"{len(base.outputs)} outputs. Make a model of one: `keras.Model(base.input, output)`."
        )
    return base.outputs[0]


def update_loss(model: keras.Model, loss, inputs):
    """Adds the loss of a custom step, divided by the replicas as Keras does, to the metrics."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss * replicas, sample_weight=batch_size(inputs))


def batch_size(inputs):
    """Returns the number of examples in a batch of inputs, by which Keras weights its loss."""
    return tf.shape(next(each for each in tree.flatten(inputs) if each is not None))[0]

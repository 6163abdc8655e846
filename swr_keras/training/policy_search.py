"""Stage 1b: learn where to change, for every cost at once."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from swr_keras.policy.gates import (
    COST_FORMS,
    annealed_temperature,
    cost_loss,
    expected_cost,
    gumbel_gates,
)
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.network import PolicyNetwork
from swr_keras.policy.policy import Policy, check_cost
from swr_keras.training.supernet import SuperNet
from swr_keras.training.transfer_model import batch_size, update_loss

COST_GRID = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_COST_DRAWS = 64
_TOLERANCE = 0.03


class PolicySearch(keras.Model):
    """Trains a policy network against a frozen super-net.

    Each step draws a target cost c uniformly from (0, 1), has the policy network give hard
    Gumbel gates for it, and runs the super-net with these gates on a batch. The loss is the task
    loss plus `cost_weight` times the cost loss, and it trains the policy network alone. The
    super-net normalises with the statistics of the batch, as the task model will re-estimate them
    for the gates it gets: with stored ones, of other gates, a layer before batch norm seems
    needed just because its scale is. The super-net itself stays as it is.

    The cost loss needs no data, so it is averaged over 64 draws of c a step (the first is the one
    of the gates): the same objective with less noise, and the expected cost follows c in far
    fewer steps.

    Metrics besides those of `compile`: `task_loss`, `cost_loss`, `expected_cost` (mean over the
    c's drawn) and `tracking_error`, the mean of |expected cost - c| over a grid of c from 0.05
    to 0.9 after the last step. `validation_data` is evaluated with costs and gates drawn as in
    training; let its batches mix the classes, too.

    Args:
        supernet: A trained `SuperNet`; it is not changed.
        cost: What costs are shares of, `"parameters"` or `"flash"`, see `Policy`.
        hidden_units: Units of the policy network's hidden layers.
        seed: Seed of the draws of costs and gates.

    Source: section 2.2 and 2.3 of arXiv 2302.13435.
    """

    def __init__(self, supernet: SuperNet, *, cost="parameters", hidden_units=64, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.supernet = supernet
        check_cost(cost)
        self.cost = cost
        self.sizes = {path: unit.size(cost) for path, unit in supernet.units.items()}
        sizes = np.asarray(list(self.sizes.values()), "float32")
        self.layer_weights = self.loss_weights = sizes / sizes.sum()
        self.cost_grid: tuple[float, ...] = COST_GRID
        self.network = PolicyNetwork(len(self.sizes), hidden_units)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.temperature = self.add_weight(
            name="temperature", shape=(), initializer="ones", trainable=False
        )
        self.task_loss = keras.metrics.Mean("task_loss")
        self.cost_loss = keras.metrics.Mean("cost_loss")
        self.expected_cost = keras.metrics.Mean("expected_cost")
        self.tracking_error = LastValue("tracking_error")
        self.built = True

    @property
    def trainable_variables(self):
        return self.network.trainable_variables

    @property
    def trainable_weights(self):
        return self.network.trainable_weights

    def compile(
        self,
        *args,
        cost_weight=3.0,
        cost_form="l1",
        weigh_layers=True,
        temperatures=(2.0, 0.5),
        **kwargs,
    ):
        """Configures the search; other arguments are those of `keras.Model.compile`.

        Args:
            cost_weight: Factor of the cost loss (lambda of the paper).
            cost_form: `"l1"` or `"l2"`, see `policy.cost_loss`.
            weigh_layers: Whether a layer weighs in the cost loss as much as its share of all sizes
                (w_l of the paper), or each as much as any other (its ablation "without w_l", which
                trains for a share of the layers). Metrics and policies have the true cost.
            temperatures: Gumbel-softmax temperature at the first and the last step; `fit` lowers
                it by a cosine between them, epoch by epoch if the number of steps isn't known.
        """
        if cost_form not in COST_FORMS:
            raise ValueError(f"`cost_form` must be one of {COST_FORMS}. Received: {cost_form!r}.")
        if cost_weight <= 0 or min(temperatures) <= 0:
            raise ValueError(
                "`cost_weight` and `temperatures` must be positive. Received: "
                f"cost_weight={cost_weight}, temperatures={temperatures}."
            )
        super().compile(*args, **kwargs)
        self.cost_weight = cost_weight
        self.cost_form = cost_form
        count = len(self.layer_weights)
        equal = np.full(count, 1 / count, "float32")
        self.loss_weights = self.layer_weights if weigh_layers else equal
        self.temperatures = temperatures
        self.temperature.assign(temperatures[0])

    def fit(self, *args, callbacks=None, **kwargs):
        """`keras.Model.fit`; warns if the policy learned doesn't follow the target cost."""
        callbacks = [_Annealing(self), *_as_list(callbacks)]
        history = super().fit(*args, callbacks=callbacks, **kwargs)
        error = float(self._grid_error(self.loss_weights))
        if error > _TOLERANCE:
            costs = ", ".join(f"{self._expected(c):.2f} for {c}" for c in self.cost_grid)
            warnings.warn(
                f"The policy doesn't follow the target cost: the expected cost is {costs} "
                f"(mean error {error:.3f}). Raise the number of steps (more epochs or smaller "
                f"batches), the learning rate, or cost_weight (now {self.cost_weight}).",
                stacklevel=2,
            )
        return history

    def call(self, inputs, target_cost=0.5, training=None):
        """Outputs of the super-net with the thresholded policy, by the batch's statistics."""
        probabilities = self.network.probabilities(ops.full((1,), target_cost))[0]
        gates = ops.cast(probabilities > 0.5, "float32")
        return self.supernet(inputs, gates=gates)

    def train_step(self, data):
        """One step on the policy network alone."""
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, y_pred = self._objective(data, training=True)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return self._updated_metrics(data, loss, y_pred)

    def test_step(self, data):
        """The objective of `train_step`, with costs and gates drawn in the same way."""
        loss, y_pred = self._objective(data, training=False)
        return self._updated_metrics(data, loss, y_pred)

    def _objective(self, data, training):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        costs = self._drawn_costs(_COST_DRAWS)
        logits = self.network(costs)
        gates = gumbel_gates(logits[0], self.temperature, self.seed_generator)
        y_pred = self._outputs(x, gates, training)
        task_loss = self.compute_loss(x, y, y_pred, sample_weight)
        probabilities = ops.softmax(logits)[..., 0]
        expected = expected_cost(probabilities, self.layer_weights)
        cost = cost_loss(expected_cost(probabilities, self.loss_weights), costs, self.cost_form)
        self.task_loss.update_state(task_loss * replicas, sample_weight=batch_size(x))
        self.cost_loss.update_state(cost, sample_weight=batch_size(x))
        self.expected_cost.update_state(ops.mean(expected))
        return task_loss + self.cost_weight * cost / replicas, y_pred

    def _drawn_costs(self, count):
        return keras.random.uniform((count,), seed=self.seed_generator)

    def _outputs(self, inputs, gates, training):
        return self.supernet(inputs, gates=gates)

    def _updated_metrics(self, data, loss, y_pred):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        update_loss(self, loss, x)
        self.tracking_error.update_state(self._grid_error(self.layer_weights))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def grid_error(self) -> float:
        """Returns the mean of |expected cost - c| over costs c from 0.05 to 0.9."""
        return float(self._grid_error(self.layer_weights))

    @property
    def policies(self) -> LearnedPolicies:
        """The policies of every target cost, without the super-net."""
        kinds = [unit.kind for unit in self.supernet.units.values()]
        return LearnedPolicies(self.network, self.sizes, kinds, self.cost)

    def probabilities(self, target_cost: float) -> np.ndarray:
        """Returns the probability of each policy layer to be changed, `(num_layers,)`."""
        return self.policies.probabilities(target_cost)

    def policy(
        self, target_cost: float, reading: str = "budget", first_layer: str | None = None
    ) -> Policy:
        """Returns the policy for a target cost, see `LearnedPolicies.policy`."""
        return self.policies.policy(target_cost, reading, first_layer)

    def get_config(self):
        raise NotImplementedError(
            "A PolicySearch can't be saved whole, since it is made from a super-net. Save its "
            "policy network, `search.network.save(...)`, or its state, `save_weights(...)`."
        )

    def _grid_error(self, weights):
        grid = ops.convert_to_tensor(self.cost_grid, "float32")
        expected = expected_cost(self.network.probabilities(grid), weights)
        return ops.mean(ops.abs(expected - grid))

    def _expected(self, cost):
        return float(np.sum(self.probabilities(cost) * self.loss_weights))


@keras.saving.register_keras_serializable(package="swr_keras")
class LastValue(keras.metrics.Metric):
    """The last value it was given in an epoch."""

    def __init__(self, name, **kwargs):
        super().__init__(name=name, **kwargs)
        self.value = self.add_weight(name="value", initializer="zeros")

    def update_state(self, value):
        self.value.assign(value)

    def result(self):
        return ops.convert_to_tensor(self.value)


class _Annealing(keras.callbacks.Callback):
    """Sets the temperature by the progress of the training."""

    def __init__(self, search):
        super().__init__()
        self.search = search
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        steps = self.params["steps"]
        share_of_epoch = batch / steps if steps else 0.0
        progress = (self.epoch + share_of_epoch) / self.params["epochs"]
        temperature = annealed_temperature(progress, *self.search.temperatures)
        self.search.temperature.assign(temperature)


def _as_list(callbacks):
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]

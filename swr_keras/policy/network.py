"""The network that maps a target cost to a choice of layers."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="swr_keras")
class PolicyNetwork(keras.Model):
    """Three dense layers from the target cost to two logits for each policy layer.

    The first logit of a pair stands for "the task changes this layer". The target cost c enters as
    its log-odds, log(c / (1 - c)), clipped at costs of 0.01 and 0.99: in this scale small costs
    keep apart as well as large ones, and a probability of c for every layer is a linear map of
    the input. It computes in float32 under any precision policy.

    Args:
        num_layers: Number of policy layers.
        hidden_units: Units of each of the two hidden layers.

    Call arguments:
        target_cost: `(n,)`, in [0, 1].

    Returns:
        Logits `(n, num_layers, 2)`.

    Source: section 2.2 of arXiv 2302.13435; width and input scale aren't given there.
    """

    def __init__(self, num_layers, hidden_units=64, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.num_layers = num_layers
        self.hidden_units = hidden_units
        self.dense1 = self._dense(hidden_units, activation="relu", name="dense1")
        self.dense2 = self._dense(hidden_units, activation="relu", name="dense2")
        self.logits = self._dense(2 * num_layers, name="logits")
        self.build((None,))

    def _dense(self, units, **kwargs):
        return keras.layers.Dense(units, dtype="float32", **kwargs)

    def build(self, input_shape):
        self.dense1.build((None, 1))
        self.dense2.build((None, self.hidden_units))
        self.logits.build((None, self.hidden_units))
        self.built = True

    def call(self, target_cost):
        cost = ops.clip(ops.cast(target_cost, "float32"), 0.01, 0.99)
        log_odds = ops.expand_dims(ops.log(cost / (1.0 - cost)), -1)
        logits = self.logits(self.dense2(self.dense1(log_odds)))
        return ops.reshape(logits, (-1, self.num_layers, 2))

    def probabilities(self, target_cost):
        """Returns the probability `(n, num_layers)` of each layer to be changed."""
        return ops.softmax(self(target_cost))[..., 0]

    def get_config(self):
        config = {"num_layers": self.num_layers, "hidden_units": self.hidden_units}
        return {"name": self.name, **config}

"""Stage 1a: every layer may change."""

import keras
from keras import ops

from swr_keras.training.transfer_model import TransferModel, update_loss


class SuperNet(TransferModel):
    """The base with every layer free to change: it shows the policy search what a change is worth.

    An ordinary `keras.Model` for classification: `compile`, `fit`, callbacks, `validation_data`.
    Each training step draws a share c uniformly from (0, 1), opens each gate with probability c
    and trains the layers drawn, so that every subset of the layers has been trained to work
    without the others. A super-net that only ever trained with all gates open can't tell the
    subsets apart: close some and what is left is a network that was never trained. Validation
    draws gates in the same way, and normalises with the statistics of the batch, so let its batches
    mix the classes as those of training do. A call outside of training opens every gate.

    Args:
        sample_gates: `False` trains with every gate open.
        seed: Seed of the draws of gates.
        base, num_classes, batch_norm, head: As for `TransferModel`, and its errors.

    Source: section 2.3 of arXiv 2302.13435, which trains with every gate open; sampled gates as in
    Bender et al., "Understanding and Simplifying One-Shot Architecture Search", ICML 2018.
    """

    def __init__(self, base, *, sample_gates=True, seed=0, **kwargs):
        super().__init__(base, **kwargs)
        self._open(self.units, for_good=False)
        self.sample_gates = sample_gates
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None, gates=None, keep_statistics=False):
        """Outputs with every gate open or, in training with `sample_gates`, with gates drawn.

        Args:
            gates: `(num_units,)`, in the order of `units`: a training pass with these gates.
            keep_statistics: Whether batch norm keeps the statistics of that pass.
        """
        if gates is not None:
            drawn = self._gated(self.units, gates)
            return self._run(inputs, drawn, keep_statistics=keep_statistics)
        if training and self.sample_gates:
            return self._run(inputs, self._gated(self.units, self._drawn_gates()))
        return super().call(inputs, training=training)

    def test_step(self, data):
        if not self.sample_gates:
            return super().test_step(data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, gates=self._drawn_gates())
        update_loss(self, self.compute_loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _drawn_gates(self):
        share = keras.random.uniform((), seed=self.seed_generator)
        draws = keras.random.uniform((len(self.units),), seed=self.seed_generator)
        return ops.cast(draws < share, "float32")

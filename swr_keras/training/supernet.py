"""Stage 1a: every layer may change."""

from swr_keras.training.transfer_model import TransferModel


class SuperNet(TransferModel):
    """The base with every gate open: it shows the policy search what a change of a layer is worth.

    An ordinary `keras.Model` for classification: `compile`, `fit`, callbacks, `validation_data`.
    Arguments and errors are those of `TransferModel`.

    Source: section 2.3 of arXiv 2302.13435.
    """

    def __init__(self, base, *, num_classes=None, batch_norm="statistics", head=None, **kwargs):
        super().__init__(base, num_classes=num_classes, batch_norm=batch_norm, head=head, **kwargs)
        self._open(self.policy_layers)

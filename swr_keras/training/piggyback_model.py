"""Piggyback: a bit for each weight says whether a task keeps it."""

import keras
import numpy as np

from swr_keras.layers.masks import MASK, masked_delta, pack_mask, unpack_mask
from swr_keras.layers.reparametrized_model import policy_layers
from swr_keras.policy.gates import straight_through
from swr_keras.training.task_model import TaskModel

_FIRST, _THRESHOLD = 1.0, 0.5


class PiggybackModel(TaskModel):
    """The base with a mask on each kernel: a weight is either the base's or zero.

    A real number a weight is trained through its threshold as if that weren't there. They begin
    at 1 and a weight stays from 0.5 on: the source's 0.01 and 0.005, in units of the first value,
    so that one rate of Adam suits head and masks. Biases stay the base's.

    Args:
        base, num_classes, batch_norm, head: As for `TaskModel`.
        policy: The layers that get a mask.

    Attributes:
        masks: The real numbers by layer path and name, e.g. `"stem_conv/kernel_mask"`.

    Source: Mallya et al., "Piggyback: Adapting a Single Network to Multiple Tasks by Learning to
    Mask Weights", arXiv 1801.06519, with the constants of arunmallya/piggyback.
    """

    def __init__(self, base, policy, *, batch_norm="frozen", **kwargs):
        super().__init__(base, policy, batch_norm=batch_norm, **kwargs)
        self.masks = {}
        for path, layer in policy_layers(self.model).items():
            for name, delta in layer.delta.items():
                delta.trainable = False
                if name != "bias" and path in self.open_layers:
                    self.masks[f"{path}/{name}{MASK}"] = self.add_weight(
                        name=f"{path.replace('/', '_')}_{name}{MASK}",
                        shape=delta.shape,
                        initializer=keras.initializers.Constant(_FIRST),
                    )

    def task_variables(self):
        """Returns every variable that is the task's own, by layer path and name.

        A mask counts a bit a weight, which is what `pack` keeps of it.
        """
        own = super().task_variables()
        return {name: own[name] for name in own if not name.endswith("_delta")} | self.masks

    @property
    def anchors(self):
        """What weight decay pulls variables towards: a mask to its first value, the base's."""
        first = [(mask, np.full(mask.shape, _FIRST, "float32")) for mask in self.masks.values()]
        return [*super().anchors, *first]

    def call(self, inputs, training=None):
        if not training:
            return super().call(inputs, training=training)
        masks = {name: straight_through(m, _THRESHOLD) for name, m in self.masks.items()}
        return self._run(inputs, self._masked(masks))

    def train_step(self, data):
        """One step, after which the deltas are those of the masks."""
        logs = super().train_step(data)
        self._apply_masks()
        return logs

    @classmethod
    def from_pack(cls, base, pack):
        """Rebuilds the model of a pack of masks on its base; errors as for `TaskModel`."""
        model = super().from_pack(base, pack)
        if not model.masks.keys() <= pack.arrays.keys():
            raise ValueError(
                f"The pack has no masks {sorted(model.masks.keys() - pack.arrays)[:3]}. It is "
                "that of another method: use `TaskModel.from_pack`."
            )
        for name, mask in model.masks.items():
            mask.assign(_FIRST * unpack_mask(pack.arrays[name], tuple(mask.shape)))
        return model

    def _unpacked(self):
        return super().task_variables()

    def _packed(self):
        bits = {name: pack_mask(np.asarray(m) >= _THRESHOLD) for name, m in self.masks.items()}
        return super()._packed() | bits

    def _masked(self, masks):
        """Returns the deltas, each with its value by these masks, for `_run`."""
        layers, found = policy_layers(self.model), []
        for name, mask in masks.items():
            path, _, weight = name.removesuffix(MASK).rpartition("/")
            frozen = layers[path].frozen[weight]
            found.append((layers[path].delta[weight], masked_delta(frozen, mask)))
        return found

    def _apply_masks(self):
        hard = {
            name: keras.ops.cast(mask >= _THRESHOLD, mask.dtype)
            for name, mask in self.masks.items()
        }
        for delta, value in self._masked(hard):
            delta.assign(value)

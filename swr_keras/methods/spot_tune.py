"""Blocks of the base or tuned copies of them, chosen for each example."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from swr_keras.graph import structure
from swr_keras.layers.blocks import find_blocks
from swr_keras.layers.normalization import STATISTICS
from swr_keras.layers.routed_blocks import AGENT, RoutedBlocks, usual_width
from swr_keras.methods.method import Method
from swr_keras.policy.policy import Policy
from swr_keras.training.task_model import TaskModel

_AGENT_RATE = 0.1


class SpotTuneModel(TaskModel):
    """A task model whose agent learns more slowly than the rest."""

    def __init__(self, base, policy, *, agent_rate=_AGENT_RATE, **options):
        super().__init__(base, policy, **options)
        self.agent_rate = agent_rate

    def train_step(self, data):
        of_agent = [
            variable
            for name, variable in self.task_variables().items()
            if name.startswith(AGENT) and name.split("/")[-1] not in STATISTICS
        ]
        before = [tf.identity(variable.value) for variable in of_agent]
        logs = super().train_step(data)
        for variable, start in zip(of_agent, before, strict=True):
            variable.assign(start + self.agent_rate * (variable.value - start))
        return logs


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpotTune(Method):
    """Trains a copy of each block, and an agent that takes for each example the copy or the block.

    Layers outside of blocks, batch norm and a new head are trained, too. A device can't run it,
    since what runs depends on the example.

    Attributes:
        extension: The blocks and the agent; by default an agent of about half as many parameters as
            the base.
        agent_rate: Size of a step of the agent, as a share of the step that the optimizer takes.

    Source: Guo et al., CVPR 2019; "SpotTune" of section 4 of arXiv 2302.13435.
    """

    name: ClassVar[str] = "SpotTune"
    needs_cost: ClassVar[bool] = False
    keeps_graph: ClassVar[bool] = False
    deployable: ClassVar[bool] = False
    model_class = SpotTuneModel

    batch_norm: str = "affine"
    extension: RoutedBlocks | None = None
    agent_rate: float = _AGENT_RATE

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.agent_rate <= 1:
            raise ValueError(f"`agent_rate` must be in (0, 1]. Received: {self.agent_rate}.")

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        found = find_blocks(structure(base), self._extension(base).blocks)
        inside = {call.path for block in found for call in block.calls}
        sizes = self.sizes(base, head)
        return Policy.from_layers(sizes, [path for path in sizes if path not in inside], self.cost)

    def model_options(self, base, seed):
        extension = dataclasses.replace(self._extension(base), seed=seed)
        return {"extension": extension, "agent_rate": self.agent_rate}

    def _extension(self, base):
        return self.extension or RoutedBlocks(width=usual_width(base))

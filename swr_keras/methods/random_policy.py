"""A control: layers drawn at random."""

import dataclasses
from typing import ClassVar

import numpy as np

from swr_keras.methods.method import MethodAtCost

_MOST_DRAWS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomPolicy(MethodAtCost):
    """Trains layers in a random order, each that still fits the target cost.

    Attributes:
        draw: Which draw, from 0 to 999; each seed has draws of its own.

    Raises:
        ValueError: For another draw, which would be one of another seed.
    """

    name: ClassVar[str] = "random policy"

    draw: int = 0

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.draw < _MOST_DRAWS:
            raise ValueError(f"`draw` must be from 0 to {_MOST_DRAWS - 1}. Received: {self.draw}.")

    @property
    def title(self):
        return f"{self.row} {self.draw + 1}"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        generator = np.random.default_rng(seed * _MOST_DRAWS + self.draw)
        return self.in_order(base, target_cost, head, lambda units: generator.random(len(units)))

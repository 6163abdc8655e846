"""Scalable weight reparametrization: efficient multi-task transfer learning for tiny models."""

import sys
from typing import TYPE_CHECKING

from swr_keras.version import __version__

# A recipe that is started by `python -m` has to tell TensorFlow something before it is loaded.
_STARTS_A_RECIPE = sys.argv[:1] == ["-m"] and any(
    argument.startswith("swr_keras.recipes.") for argument in sys.orig_argv
)

if TYPE_CHECKING or not _STARTS_A_RECIPE:
    from swr_keras import backbones, layers, methods, training
    from swr_keras.accounting.summary import summary
    from swr_keras.layers.conversion import merge, reparametrize
    from swr_keras.methods.swr import SWR, transfer
    from swr_keras.policy.policy import Policy
    from swr_keras.tasks.library import TaskLibrary
    from swr_keras.tasks.pack import TaskPack
    from swr_keras.training.fit import Fit
    from swr_keras.training.policy_search import PolicySearch
    from swr_keras.training.supernet import SuperNet
    from swr_keras.training.task_model import TaskModel
    from swr_keras.version import __version__

__all__ = [
    "SWR",
    "Fit",
    "Policy",
    "PolicySearch",
    "SuperNet",
    "TaskLibrary",
    "TaskModel",
    "TaskPack",
    "__version__",
    "backbones",
    "layers",
    "merge",
    "methods",
    "reparametrize",
    "summary",
    "training",
    "transfer",
]

"""The stages of a transfer: super-net, policy search, task model."""

from swr_keras.training.policy_curve import policy_curve
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task_model import TaskModel

__all__ = ["PolicySearch", "SuperNet", "TaskModel", "policy_curve"]

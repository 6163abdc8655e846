"""The stages of a transfer: super-net, policy search, task model."""

from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task_model import TaskModel

__all__ = ["Fit", "JointSearch", "PolicySearch", "SearchFit", "SuperNet", "TaskModel"]

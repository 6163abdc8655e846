"""The stages of a transfer: super-net, policy search, and the models of a task."""

from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.joint_base import joint_base
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.piggyback_model import PiggybackModel
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.taps_model import TapsModel
from swr_keras.training.task_model import TaskModel

__all__ = [
    "Fit",
    "JointSearch",
    "PiggybackModel",
    "PolicySearch",
    "SearchFit",
    "SuperNet",
    "TapsModel",
    "TaskModel",
    "joint_base",
]

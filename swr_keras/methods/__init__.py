"""Ways to adapt a base to a task, each a value with its own settings."""

from swr_keras.methods.ablations import ablations
from swr_keras.methods.classifier_only import ClassifierAndBatchNorm, ClassifierOnly
from swr_keras.methods.depthwise_first import DepthwiseFirst
from swr_keras.methods.fine_tuning_all import FineTuningAll
from swr_keras.methods.fixed_policy import FixedPolicy
from swr_keras.methods.gradient_selection import GradientSelection
from swr_keras.methods.last_layers_first import LastLayersFirst
from swr_keras.methods.method import Method
from swr_keras.methods.piggyback import Piggyback
from swr_keras.methods.policy_learning import PolicyLearning
from swr_keras.methods.random_policy import RandomPolicy
from swr_keras.methods.rep_net import RepNet
from swr_keras.methods.residual_adapter import ResidualAdapter
from swr_keras.methods.sparse_update import SparseUpdate
from swr_keras.methods.spot_tune import SpotTune
from swr_keras.methods.swr import SWR, transfer
from swr_keras.methods.taps import TAPS

__all__ = [
    "SWR",
    "TAPS",
    "ClassifierAndBatchNorm",
    "ClassifierOnly",
    "DepthwiseFirst",
    "FineTuningAll",
    "FixedPolicy",
    "GradientSelection",
    "LastLayersFirst",
    "Method",
    "Piggyback",
    "PolicyLearning",
    "RandomPolicy",
    "RepNet",
    "ResidualAdapter",
    "SparseUpdate",
    "SpotTune",
    "ablations",
    "transfer",
]

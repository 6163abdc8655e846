"""What a model costs: parameters, multiplies, and the bytes that a task owns."""

from swr_keras.accounting.parameters import base_parameters, owned_parameters, relative_parameters
from swr_keras.accounting.summary import LayerSummary, Summary, summary

__all__ = [
    "LayerSummary",
    "Summary",
    "base_parameters",
    "owned_parameters",
    "relative_parameters",
    "summary",
]

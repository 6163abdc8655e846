"""What a run found, what a benchmark compares, and what a deployment takes, as pages."""

from swr_keras.reporting.benchmark import (
    accuracy_per_byte,
    benchmark_tables,
    render_benchmark,
)
from swr_keras.reporting.deployment import render_deployment
from swr_keras.reporting.report import render_report

__all__ = [
    "accuracy_per_byte",
    "benchmark_tables",
    "render_benchmark",
    "render_deployment",
    "render_report",
]

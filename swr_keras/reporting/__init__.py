"""What a run found, and what a deployment takes, as pages."""

from swr_keras.reporting.deployment import render_deployment
from swr_keras.reporting.report import render_report

__all__ = ["render_deployment", "render_report"]

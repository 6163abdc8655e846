"""What a run found, as a page."""

from swr_keras.reporting.report import render_report

__all__ = ["render_report"]

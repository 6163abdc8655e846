"""What a model costs and what a run found: summary, policy curve, report page."""

from swr_keras.reporting.policy_curve import policy_curve
from swr_keras.reporting.report import render_report
from swr_keras.reporting.summary import LayerSummary, Summary, summary

__all__ = ["LayerSummary", "Summary", "policy_curve", "render_report", "summary"]

"""The report of a run: one HTML file that opens anywhere."""

from churn.report.content import DataSummary, ReportContent, summarize
from churn.report.page import write

__all__ = ["DataSummary", "ReportContent", "summarize", "write"]

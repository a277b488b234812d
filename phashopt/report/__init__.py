"""A study as one page: what was found, why, and what the kernels see."""

from phashopt.report.page import write_report
from phashopt.report.view import study_view

__all__ = ["study_view", "write_report"]

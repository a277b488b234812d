"""A study as one page: what was found, why, and what the kernels see."""

from phashopt.report.page import Scene, write_report

__all__ = ["Scene", "write_report"]

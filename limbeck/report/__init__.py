"""The report of runs: one self-contained page, its tables as files, and all of it as data."""

from limbeck.report.write import write_report

__all__ = ["write_report"]

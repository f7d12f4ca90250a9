"""The report of runs: one page that needs nothing else, tables for papers and spreadsheets, and all of it as data."""

from limbeck.report.write import write_report

__all__ = ["write_report"]

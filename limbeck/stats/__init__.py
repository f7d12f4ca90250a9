"""Intervals, and tests of differences."""

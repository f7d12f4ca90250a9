"""Figures as SVG: plain values in, a text that stands in an HTML page and takes over its colour and font."""

from limbeck.experiments.figures.curves import cascade, fractions, learning, risk_coverage
from limbeck.experiments.figures.points import Point
from limbeck.experiments.figures.reliability import reliability

__all__ = ["Point", "cascade", "fractions", "learning", "reliability", "risk_coverage"]

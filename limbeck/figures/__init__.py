"""Figures as SVG: plain values in, a text that stands in an HTML page and takes over its colour and font."""

from limbeck.figures.curves import cascade, fractions, learning, risk_coverage
from limbeck.figures.points import Point
from limbeck.figures.reliability import reliability

__all__ = ["Point", "cascade", "fractions", "learning", "reliability", "risk_coverage"]

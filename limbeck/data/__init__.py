"""Data: sources, splits, and the views of an example that a student sees."""

from limbeck.data.load import DataSettings, Splits, load, load_split, read
from limbeck.data.rows import read_rows
from limbeck.data.sources import ArchiveSource
from limbeck.data.views import RATIONALE_MARK, Source, View, has_target, share, source, split_target, target, variants

__all__ = [
    "RATIONALE_MARK",
    "ArchiveSource",
    "DataSettings",
    "Source",
    "Splits",
    "View",
    "has_target",
    "load",
    "load_split",
    "read",
    "read_rows",
    "share",
    "source",
    "split_target",
    "target",
    "variants",
]

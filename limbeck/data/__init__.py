"""Data: sources, splits, and the views of an example that a student sees."""

from limbeck.data.archive import ArchiveSource
from limbeck.data.conversations import read_conversations
from limbeck.data.export import Form, export_rows
from limbeck.data.fetch import fetch
from limbeck.data.file_source import FilesSource
from limbeck.data.generated import GeneratedSource
from limbeck.data.hub_source import HubSource
from limbeck.data.load import Splits, digest, load, load_split, read
from limbeck.data.rows import read_later_rows, read_rows
from limbeck.data.settings import DataSettings
from limbeck.data.summary import show, summarise
from limbeck.data.views import RATIONALE_MARK, Source, View, prefix, source, split_target, target
from limbeck.tasks.settings import task_of

__all__ = [
    "RATIONALE_MARK",
    "ArchiveSource",
    "DataSettings",
    "FilesSource",
    "Form",
    "GeneratedSource",
    "HubSource",
    "Source",
    "Splits",
    "View",
    "digest",
    "export_rows",
    "fetch",
    "load",
    "load_split",
    "prefix",
    "read",
    "read_conversations",
    "read_later_rows",
    "read_rows",
    "show",
    "source",
    "split_target",
    "summarise",
    "target",
    "task_of",
]

"""Data: sources, splits, and the views of an example that a student sees."""

from limbeck.data.archive import ArchiveSource
from limbeck.data.columns import Column, Columns
from limbeck.data.conversations import LeftOut, read_conversations
from limbeck.data.export import Form, export_rows
from limbeck.data.fetch import fetch
from limbeck.data.files import FilesSource
from limbeck.data.generated import GeneratedSource
from limbeck.data.hub import HubSource
from limbeck.data.load import Splits, digest, load, load_split, read
from limbeck.data.mismatch import mismatch_warning, teacher_mismatch
from limbeck.data.rows import read_later_rows, read_rows
from limbeck.data.settings import DataSettings
from limbeck.data.splits import question_of, refuse_overlap
from limbeck.data.summary import show, summarise
from limbeck.data.tables import read_table, stem
from limbeck.data.views import RATIONALE_MARK, Source, View, prefix, source, split_target, target
from limbeck.tasks.settings import TaskSettings, task_of

__all__ = [
    "RATIONALE_MARK",
    "ArchiveSource",
    "Column",
    "Columns",
    "DataSettings",
    "FilesSource",
    "Form",
    "GeneratedSource",
    "HubSource",
    "LeftOut",
    "Source",
    "Splits",
    "TaskSettings",
    "View",
    "digest",
    "export_rows",
    "fetch",
    "load",
    "load_split",
    "mismatch_warning",
    "prefix",
    "question_of",
    "read",
    "read_conversations",
    "read_later_rows",
    "read_rows",
    "read_table",
    "refuse_overlap",
    "show",
    "source",
    "split_target",
    "stem",
    "summarise",
    "target",
    "task_of",
    "teacher_mismatch",
]

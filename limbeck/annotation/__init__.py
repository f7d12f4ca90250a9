"""Teaching: a job for a teacher, from a file of questions to examples with rationales."""

from limbeck.annotation.annotate import annotate, plan
from limbeck.annotation.job import Job
from limbeck.annotation.taught import Taught, read_taught, replies, summary, training_examples
from limbeck.annotation.transfer import export, import_rows, upload

__all__ = [
    "Job",
    "Taught",
    "export",
    "import_rows",
    "plan",
    "read_taught",
    "replies",
    "summary",
    "annotate",
    "training_examples",
    "upload",
]

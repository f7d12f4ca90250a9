"""Teaching: a job for a teacher, from a file of questions to examples with rationales."""

from limbeck.teaching.job import Job
from limbeck.teaching.run import plan, teach
from limbeck.teaching.taught import Taught, read_taught, replies, summary, training_examples
from limbeck.teaching.transfer import export, import_rows, upload

__all__ = [
    "Job",
    "Taught",
    "export",
    "import_rows",
    "plan",
    "read_taught",
    "replies",
    "summary",
    "teach",
    "training_examples",
    "upload",
]

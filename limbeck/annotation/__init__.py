"""Annotation: from a file of questions to examples with rationales of a large model."""

from limbeck.annotation.job import Job, annotate, plan
from limbeck.annotation.results import Results, read_results, replies, summary, training_examples
from limbeck.annotation.transfer import export, import_rows, upload

__all__ = [
    "Job",
    "Results",
    "annotate",
    "export",
    "import_rows",
    "plan",
    "read_results",
    "replies",
    "summary",
    "training_examples",
    "upload",
]

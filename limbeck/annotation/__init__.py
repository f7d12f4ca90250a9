"""Annotation: from a file of questions to examples with rationales of a large model."""

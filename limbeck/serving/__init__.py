"""A student in use: behind HTTP, before a teacher, and exported to other engines. Imports nothing."""

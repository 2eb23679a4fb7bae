"""A campaign that one process dials."""

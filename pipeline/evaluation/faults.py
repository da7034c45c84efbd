"""What stops an evaluation at the door."""

from __future__ import annotations


class EvaluationError(Exception):
    """An evaluation cannot be made as asked; the message names what, its value, and what to do."""

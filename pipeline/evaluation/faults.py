"""What stops an evaluation at the door."""

from __future__ import annotations

from schemas.errors import LmacError


class EvaluationError(LmacError):
    """An evaluation cannot be made as asked; the message names what, its value, and what to do."""

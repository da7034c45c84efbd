"""Which part of a sound made an audio classifier decide so: `lmac` for notebooks and programs.

>>> import lmac
>>> lmac.Explainer.load("esc10").config.labels[:2]
('baby_cry', 'chainsaw')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.lmac.explainer import Explainer
    from pipeline.lmac.explanation import Explanation
    from schemas.errors import LmacError

__all__ = ["Explainer", "Explanation", "LmacError"]

_HOMES = {
    "Explainer": "pipeline.lmac.explainer",
    "Explanation": "pipeline.lmac.explanation",
    "LmacError": "schemas.errors",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: torch takes seconds to import, and not everything needs it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

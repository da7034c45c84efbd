"""How much of a run its report shows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.explainer_config import Config


class ReportConfig(Config):
    """Settings of a report: `windows` are listed, of which at most `pictured` have sound and pictures.

    Their sound takes up to `sound_mb` megabytes. So a report has a size of its own, whatever that of the run.
    """

    windows: Annotated[int, Field(ge=1, le=200_000)] = 10_000
    pictured: Annotated[int, Field(ge=0, le=20_000)] = 500
    sound_mb: Annotated[float, Field(ge=0)] = 40.0

"""How much of a run its report shows, and where it is served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.explainer_config import Config

Listed = Annotated[int, Field(ge=1, le=200_000)]


class ReportConfig(Config):
    """Settings of a report: `windows` are listed, of which at most `pictured` have sound and pictures.

    Their sound takes up to `sound_mb` megabytes. So a report has a size of its own, whatever that of the run.
    """

    windows: Listed = 10_000
    pictured: Annotated[int, Field(ge=0, le=20_000)] = 500
    sound_mb: Annotated[float, Field(ge=0)] = 40.0


class BrowseConfig(Config):
    """Settings of a served report: `windows` are listed, at a `port` of the loopback; 0 is any that is free."""

    windows: Listed = 10_000
    port: Annotated[int, Field(ge=0, le=65_535)] = 0

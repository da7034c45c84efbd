"""How much of a run its report shows, and where it is served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.explainer_config import Config

Listed = Annotated[int, Field(ge=1, le=200_000)]


class ReportConfig(Config):
    """Settings of a report: up to `windows` are listed, and up to `pictured` of them have sound and pictures.

    Their sound takes up to `sound_mb` megabytes, so that a report's size does not depend on the run's.
    """

    windows: Listed = 10_000
    pictured: Annotated[int, Field(ge=0, le=20_000)] = 500
    sound_mb: Annotated[float, Field(ge=0)] = 40.0


class BrowseConfig(Config):
    """Settings of a served report: up to `windows` are listed, at a `port` of the loopback; 0 is any free one."""

    windows: Listed = 10_000
    port: Annotated[int, Field(ge=0, le=65_535)] = 0

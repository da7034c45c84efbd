"""What a run's rows must be, according to its record."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.storage.errors import StorageError
from schemas.draws import Draw
from schemas.records import RunRecord
from schemas.targets import Targets


@dataclass(frozen=True)
class Settings:
    """The explainer's classes, which of them are targets, what is drawn from the windows, and in which form.

    `sides` are those written as FLAC, `band_edges_hz` the edges `[n_bands + 1]` of a mask's profile.
    """

    labels: tuple[str, ...]
    targets: Targets
    sides: tuple[str, ...]
    listen: Draw
    masks: Draw
    audio_scores: Draw
    binary: bool
    part_windows: int
    sample_rate: int
    band_edges_hz: tuple[float, ...]

    @classmethod
    def read(cls, record: RunRecord) -> Settings:
        """Read them from a run's record; raises StorageError when one is missing or impossible."""
        explainer, config = record.explainer, record.config
        try:
            settings = cls(
                labels=tuple(explainer["labels"]),
                targets=Targets.parse(config["targets"]),
                sides=tuple(config["listenables"]),
                listen=Draw.parse(config["listen"]),
                masks=Draw.parse(config["masks"], per_target=False),
                audio_scores=Draw.parse(config["audio_scores"], per_target=False),
                binary=config["mask"] == "binary",
                part_windows=int(config["part_windows"]),
                sample_rate=int(explainer["sample_rate"]),
                band_edges_hz=tuple(map(float, explainer["band_edges_hz"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"_run.json does not say what its rows must be ({error}): it is damaged, put it back as it was"
            ) from error
        if list(settings.band_edges_hz) != sorted(set(settings.band_edges_hz)):
            raise StorageError(
                "_run.json: explainer.band_edges_hz does not ascend: it is damaged, put it back as it was"
            )
        return settings

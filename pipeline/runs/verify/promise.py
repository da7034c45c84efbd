"""What the record of a run promises of its rows."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.storage.errors import StorageError
from schemas.records import RunRecord
from schemas.targets import Targets


@dataclass(frozen=True)
class Promise:
    """The explainer's classes, which of them each window has rows for, the sides written as FLAC, and more settings."""

    labels: tuple[str, ...]
    targets: Targets
    listenables: tuple[str, ...]
    binary: bool
    part_windows: int

    @classmethod
    def of(cls, record: RunRecord) -> Promise:
        """Read it from a run's record; raises StorageError where that does not say it."""
        try:
            labels, config = tuple(record.explainer["labels"]), record.config
            targets = Targets.parse(config["targets"])
            targets.indices(labels)
            return cls(
                labels, targets, tuple(config["listenables"]), config["mask"] == "binary", config["part_windows"]
            )
        except (KeyError, ValueError) as error:
            raise StorageError(
                f"_run.json does not say what was asked for ({error}): it is damaged, or was written by another version"
            ) from error

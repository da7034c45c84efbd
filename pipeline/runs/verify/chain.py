"""Check the commits of one shard, in order: each follows the one before it, and the last one says that it is last."""

from __future__ import annotations

from pipeline.runs.output import CANDIDATES
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from schemas.records import CommitRecord


class Chain:
    """The parts of a shard so far; `ended` by a last part, `broken` if they do not follow each other."""

    def __init__(self, shard_id: str, settings: Settings, findings: Findings) -> None:
        self.shard_id, self.broken = shard_id, False
        self._settings, self._findings = settings, findings
        self._next, self._path, self._last = 0, "", False

    @property
    def ended(self) -> bool:
        """Whether all parts are there, including the last."""
        return self._last and not self.broken

    def add(self, path: str, commit: CommitRecord) -> None:
        """Check the next commit, and that its files are named after it."""
        for file in [*commit.files, *filter(None, [commit.candidates])]:
            folder = CANDIDATES if file == commit.candidates else file.table
            if file.path != f"{folder}/{commit.shard_id}-{commit.part:06d}-{file.sha256[:12]}.parquet":
                message = f"a file of {path}, and not named after its table, its part and its digest"
                self._findings.add("misnamed_file", file.path, message)
        if self.broken:
            return
        if self._last:
            self._findings.add("stale_commit", path, f"{self.shard_id} ends with part {self._next - 1} before it")
            self.broken = True
        elif commit.part != self._next:
            self._findings.add("missing_commit", path, f"part {self._next} of {self.shard_id} before it has no commit")
            self.broken = True
        elif not commit.last and commit.windows != self._settings.part_windows:
            message = f"{commit.windows} windows in a part that is not the last, not {self._settings.part_windows}"
            self._findings.add("wrong_count", path, message)
        self._next, self._path, self._last = commit.part + 1, path, commit.last

    def close(self, finished: bool) -> None:
        """Check that nothing is missing at the end; an unfinished run may still add parts."""
        if finished and not self._last and not self.broken and self._path:
            self._findings.add("missing_commit", self._path, f"{self.shard_id} has no commit for the parts after it")

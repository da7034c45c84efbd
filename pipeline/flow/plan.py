"""What is left to do: the input's shards against the commits of an output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.storage.shards import Shard
from schemas.records import CommitRecord, Cursor


class InconsistentCommitsError(Exception):
    """The commits of a shard do not follow each other: the output was changed by something else."""


@dataclass(frozen=True)
class Work:
    """The rest of a shard: from `start` on, in parts numbered from `first`; `share` of its bytes are done."""

    shard: Shard
    start: Cursor = field(default_factory=Cursor)
    first: int = 0
    share: float = 0.0


def rest_of(shard: Shard, commits: Iterable[CommitRecord]) -> Work | None:
    """What is left of a shard after the commits that follow each other from its first part; None if nothing.

    A part whose predecessor is missing does not count; it will be written again, with the same contents.
    Raises InconsistentCommitsError when a part follows the last one.
    """
    by_part = {record.part: record for record in commits}
    part, work = 0, Work(shard)
    while part in by_part:
        record = by_part[part]
        part += 1
        if record.last:
            beyond = [number for number in by_part if number >= part]
            if beyond:
                raise InconsistentCommitsError(
                    f"shard {shard.shard_id} ends with part {record.part}, yet part {min(beyond)} is "
                    "committed: start again with another output"
                )
            return None
        work = Work(shard, record.next, part, record.share)
    return work


def plan(shards: Sequence[Shard], commits: Iterable[CommitRecord]) -> list[Work]:
    """The work that is left, in the order of the shards.

    Raises InconsistentCommitsError as `rest_of` does, or when a commit is of no shard of the input.
    """
    by_shard: dict[str, list[CommitRecord]] = defaultdict(list)
    for record in commits:
        by_shard[record.shard_id].append(record)
    strangers = by_shard.keys() - {shard.shard_id for shard in shards}
    if strangers:
        raise InconsistentCommitsError(f"the output has commits of a shard that the input lacks: {min(strangers)}")
    rest = (rest_of(shard, by_shard[shard.shard_id]) for shard in shards)
    return [work for work in rest if work is not None]

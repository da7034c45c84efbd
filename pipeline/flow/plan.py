"""What is left to do: the input's shards against the commits of an output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from pipeline.inputs.shards import Shard
from schemas.errors import LmacError
from schemas.records import CommitRecord, Cursor

_READ_THREADS = 16


class InconsistentCommitsError(LmacError):
    """The commits of a shard do not follow each other: the output was changed by something else."""


@dataclass(frozen=True)
class Work:
    """The rest of a shard: from `start` on, in parts numbered from `first`; `share` of its bytes are done."""

    shard: Shard
    start: Cursor = field(default_factory=Cursor)
    first: int = 0
    share: float = 0.0


def rest_of(shard: Shard, parts: Iterable[int], read: Callable[[int], CommitRecord]) -> Work | None:
    """Return what is left of a shard after its unbroken run of committed parts from the first; None if nothing.

    Only the last record of that run is read. A part whose predecessor is missing does not count; it will be written
    again, with the same contents.
    Raises InconsistentCommitsError when a part follows the one that ends the shard.
    """
    there = set(parts)
    in_a_row = next(number for number in count() if number not in there)
    if not in_a_row:
        return Work(shard)
    record = read(in_a_row - 1)
    if not record.last:
        return Work(shard, record.next, in_a_row, record.share)
    if max(there) > record.part:
        raise InconsistentCommitsError(
            f"shard {shard.shard_id} ends with part {record.part}, yet part {max(there)} is committed: start again "
            "with another output"
        )
    return None


def plan(
    shards: Sequence[Shard], committed: Mapping[str, Iterable[int]], read: Callable[[str, int], CommitRecord]
) -> list[Work]:
    """Return the work that is left, in the order of the shards, given the committed parts of each.

    Raises InconsistentCommitsError as `rest_of` does, or when a commit belongs to no shard of the input.
    """
    strangers = committed.keys() - {shard.shard_id for shard in shards}
    if strangers:
        raise InconsistentCommitsError(f"the output has commits of a shard that the input lacks: {min(strangers)}")

    def rest(shard: Shard) -> Work | None:
        return rest_of(shard, committed.get(shard.shard_id, ()), partial(read, shard.shard_id))

    with ThreadPoolExecutor(_READ_THREADS) as pool:
        return [work for work in pool.map(rest, shards) if work is not None]

"""The end of a run: the plan compared with the commits, the manifest, and _SUCCESS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pipeline.flow.plan import InconsistentCommitsError
from pipeline.inputs.shards import Shard
from pipeline.runs.croissant import CROISSANT, describe
from pipeline.runs.drawn import DrawnListenables
from pipeline.runs.manifest import ManifestBuilder
from pipeline.runs.output import RunOutput
from schemas.errors import LmacError
from schemas.records import Manifest, QuarantinedShard


class UnreconciledError(LmacError):
    """Some shards are neither committed nor given up, so the run is not declared finished."""


def finalize(
    output: RunOutput,
    shards: Sequence[Shard],
    quarantined: Sequence[QuarantinedShard],
    confirm: Callable[[], object] = lambda: None,
    per_target: int | None = None,
    left_out: Mapping[str, int] = MappingProxyType({}),
) -> Manifest:
    """Write the manifest, remove files that no commit names, and write _SUCCESS if every shard is whole.

    Only what is in storage counts: the commits are read again, the tables are not, and memory grows with the number of
    parts alone. A table without rows gets one empty file, so that every table can be queried. `confirm` raises if the
    output no longer belongs to this run: otherwise files that another run is writing would be removed.
    `per_target` is the number of windows per target that are drawn for listenables, None for any other draw;
    `left_out` counts what the listing of the input left out, by kind.
    Raises UnreconciledError when a shard is neither complete nor among `quarantined`, and
    InconsistentCommitsError when a shard has commits after its end.
    """
    builder = ManifestBuilder(output)
    drawn = DrawnListenables(per_target) if per_target is not None else None
    parts: dict[str, set[int]] = defaultdict(set)
    ends: dict[str, int] = {}
    candidates = set()
    for record in output.commits():
        builder.add(record)
        parts[record.shard_id].add(record.part)
        if record.last:
            ends[record.shard_id] = min(record.part, ends.get(record.shard_id, record.part))
        if record.candidates is not None:
            candidates.add(record.candidates.path)
        if drawn is not None:
            drawn.add(record)
    for shard_id, end in ends.items():
        if end < max(parts[shard_id]):
            raise InconsistentCommitsError(
                f"shard {shard_id} ends with part {end}, yet part {max(parts[shard_id])} is committed: start again "
                "with another output"
            )
    given_up = {shard.shard_id for shard in quarantined}
    whole = {shard_id for shard_id, end in ends.items() if len(parts[shard_id]) == end + 1}
    missing = [shard for shard in shards if shard.shard_id not in given_up | whole]
    if missing:
        raise UnreconciledError(
            f"{len(missing)} of {len(shards)} shards are incomplete, {missing[0].shard_id!r} for one: "
            "run the same command again"
        )
    if drawn is not None:
        builder.add_files(drawn.write(output))
    confirm()
    builder.add_left_out(left_out)
    manifest = builder.write(quarantined)
    begun = output.read_run_record()
    if begun is not None and not output.exists(CROISSANT):
        output.write_bytes(CROISSANT, describe(begun))
    # Shards that were given up may be tried again: then the draw is repeated.
    output.sweep_orphans(builder.paths | (set() if manifest.complete else candidates))
    if manifest.complete:
        output.write_success()
    return manifest

"""The end of a run: the plan held against the commits, the manifest, and _SUCCESS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from pipeline.flow.plan import InconsistentCommitsError, rest_of
from pipeline.inputs.shards import Shard
from pipeline.runs.output import RunOutput
from schemas.errors import LmacError
from schemas.records import CommitRecord, FileRecord, Manifest, QuarantinedShard, TableName
from schemas.tables import TABLES


class UnreconciledError(LmacError):
    """Shards are neither committed nor given up; nothing is declared finished."""


def finalize(
    output: RunOutput,
    shards: Sequence[Shard],
    quarantined: Sequence[QuarantinedShard],
    confirm: Callable[[], object] = lambda: None,
) -> Manifest:
    """Write the manifest, remove files that no commit names, and write _SUCCESS if every shard is whole.

    The commits are read anew: what stands in storage is what counts. A table without rows gets one empty
    file, so that every table can be queried. `confirm` raises where the output is no longer this run's: what another
    run writes now would be removed.
    Raises UnreconciledError when a shard is neither committed to its end nor among `quarantined`, and
    InconsistentCommitsError when one goes on after its end.
    """
    commits = output.commits()
    by_shard: dict[str, dict[int, CommitRecord]] = defaultdict(dict)
    for record in commits:
        by_shard[record.shard_id][record.part] = record
    for shard_id, records in by_shard.items():
        ends = [part for part, record in records.items() if record.last]
        if ends and min(ends) < max(records):
            raise InconsistentCommitsError(
                f"shard {shard_id} ends with part {min(ends)}, yet part {max(records)} is committed: start again with "
                "another output"
            )
    given_up = {shard.shard_id for shard in quarantined}
    missing = [
        shard
        for shard in shards
        if shard.shard_id not in given_up
        and rest_of(shard, by_shard[shard.shard_id], by_shard[shard.shard_id].__getitem__)
    ]
    if missing:
        raise UnreconciledError(
            f"{len(missing)} of {len(shards)} shards are not committed to their end, {missing[0].shard_id!r} for one: "
            "run the same command again"
        )
    tables: dict[TableName, list[FileRecord]] = {
        "predictions": [],
        "masks": [],
        "faithfulness": [],
        "listenables": [],
        "errors": [],
    }
    audio = []
    for record in sorted(commits, key=lambda record: (record.shard_id, record.part)):
        for file in record.files:
            if file.table is None:
                audio.append(file)
            else:
                tables[file.table].append(file)
    for name, files in tables.items():
        if not files:
            files.append(output.write_table(name, "empty", TABLES[name].empty_table()))
    manifest = Manifest(
        complete=not quarantined,
        recordings=sum(record.recordings for record in commits),
        windows=sum(record.windows for record in commits),
        errors=sum(record.errors for record in commits),
        parts=len(commits),
        tables=tables,
        audio=audio,
        quarantined=list(quarantined),
    )
    confirm()
    output.write_manifest(manifest)
    output.sweep_orphans(manifest)
    if manifest.complete:
        output.write_success()
    return manifest

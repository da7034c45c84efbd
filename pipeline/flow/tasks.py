"""The Ray tasks on CPUs: decode a shard as a stream of parts, write a part and commit it.

Neither imports torch, so their workers stay small and start fast.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

import ray

from pipeline.flow.part_tables import ExplainedPart, sums_of, tables_of
from pipeline.flow.parts import Part, RunContext, cut_parts
from pipeline.flow.plan import Work
from pipeline.runs.output import CANDIDATES, RunOutput
from pipeline.trace import Span, fetch_spans, span, trace
from schemas.records import CommitRecord, FileRecord, TableName

# Rows per row group, so that a group of any table is a few megabytes: a mask or a FLAC of 5 s is some 200 kB, a row of
# scores 100 bytes.
ROW_GROUPS: dict[TableName, int] = {
    "predictions": 1024,
    "masks": 64,
    "faithfulness": 16384,
    "listenables": 32,
    "errors": 16384,
}

# Streaming, and at most two parts ahead of the reader, else a slow reader fills the object store.
STREAM = {"num_returns": "streaming", "_generator_backpressure_num_objects": 2}


@dataclass(frozen=True)
class Written:
    """The commit of a part and, if the run is traced, the spans of the work on it."""

    record: CommitRecord
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class ContextRef:
    """A reference to a run's context in Ray's object store.

    Ray resolves a bare reference among an actor's arguments; the actor would then pass the context, with its table of
    labels, on by value with every shard. Inside this object it stays a reference.
    """

    reference: ray.ObjectRef

    def get(self) -> RunContext:
        """The context, fetched once in each process."""
        return _fetch(self.reference)


@lru_cache(maxsize=1)
def _fetch(reference: ray.ObjectRef) -> RunContext:
    context: RunContext = ray.get(reference)
    return context


@ray.remote(num_cpus=1, max_retries=0)
def decode_shard(context: ContextRef, work: Work) -> Iterator[Part]:
    """Yield the parts that are left of a shard; call it with the options `STREAM`."""
    run = context.get()
    trace(run.trace, "decode, write")
    for part in cut_parts(run, work):
        yield replace(part, spans=fetch_spans())


# No CPU of its own, or there could be a deadlock: a decoder keeps its CPU while it waits for its reader, and the reader
# may wait for a writer that waits for a CPU.
@ray.remote(num_cpus=0, max_retries=0)
def write_part(output_url: str, explained: ExplainedPart, actor: str, started: float) -> Written:
    """Write a part's tables, then its commit record."""
    trace(bool(explained.part.spans), "decode, write")
    record = commit_part(RunOutput(output_url), explained, actor, started)
    return Written(record, (*explained.part.spans, *fetch_spans()))


def commit_part(output: RunOutput, explained: ExplainedPart, actor: str, started: float) -> CommitRecord:
    """Write a part's tables to an output, one file each, then its commit record, last."""
    part = explained.part
    with span("tables"):
        tables = tables_of(explained)
    stem = f"{part.shard_id}-{part.number:06d}"
    folders = {"listenables": CANDIDATES} if explained.drawn is not None else {}

    def write(name: TableName) -> FileRecord:
        return output.write_table(name, stem, tables[name], ROW_GROUPS[name], folders.get(name, name))

    with ThreadPoolExecutor(len(ROW_GROUPS)) as pool:
        files = list(pool.map(write, [name for name in ROW_GROUPS if tables[name].num_rows]))
    candidates = next((file for file in files if file.path.startswith(f"{CANDIDATES}/")), None)
    record = CommitRecord(
        shard_id=part.shard_id,
        part=part.number,
        windows=len(part.rows),
        recordings=part.recordings,
        errors=len(part.errors),
        partly=sum(error.heard_s > 0 for error in part.errors),
        files=[file for file in files if file is not candidates],
        sums=sums_of(explained),
        candidates=candidates,
        drawn=explained.drawn or {},
        next=part.next,
        share=part.share,
        last=part.last,
        batch_size=explained.batch_size,
        device=explained.device,
        compiled=explained.compiled,
        actor=actor,
        seconds=round(time.time() - started, 3),
    )
    output.commit(record)
    return record

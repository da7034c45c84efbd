"""A run of many tiny parts verified: seconds and peak memory, and how they grow with the number of parts.

python -m benchmarks.verify_many --parts 1000 10000
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pipeline.flow.explain import explain_part
from pipeline.flow.finalize import finalize
from pipeline.flow.part_tables import ExplainedPart
from pipeline.flow.parts import RunContext, cut_parts
from pipeline.flow.plan import Work
from pipeline.flow.tasks import commit_part
from pipeline.inputs.listing import list_input
from pipeline.inputs.shards import Shard
from pipeline.lmac.explainer import Explainer
from pipeline.runs.output import RunOutput
from pipeline.runs.profiles import band_edges_hz
from schemas.draws import Draw
from schemas.records import Cursor, RunRecord
from schemas.run_config import ContentConfig
from tests.flow.make import save_tiny, short_clips, write_folder

PER_SHARD = 100
# In a process of its own, whose peak is not that of what writes the run.
VERIFY = """
import sys, time
from pathlib import Path
from pipeline.runs.verify.verify import verify
started = time.monotonic()
found = verify(sys.argv[1])
seconds = time.monotonic() - started
assert not found.findings and found.finished, found.findings.shown
status = Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(found.parts, seconds, int(peak) / 1024)
"""


def explain_one(folder: Path, content: ContentConfig) -> tuple[RunRecord, ExplainedPart]:
    """The record of a run, and a part of one window to be committed under many names."""
    explainer = Explainer.load(content.explainer)
    front_end = explainer.config.front_end
    listing = list_input(write_folder(folder / "in", short_clips(1)))
    context = RunContext(listing.root_url, "", content, front_end, explainer.digest)
    (part,) = cut_parts(context, Work(listing.shards[0]))
    record = RunRecord(
        lmac_version="0",
        input_digest=listing.digest,
        shards=1,
        config=content.model_dump(mode="json", exclude={"explainer"}),
        explainer={
            "name": explainer.config.name,
            "digest": explainer.digest,
            "labels": list(explainer.config.labels),
            "sample_rate": front_end.sample_rate,
            "band_edges_hz": [round(float(edge), 3) for edge in band_edges_hz(front_end)],
        },
        packages={},
    )
    return record, explain_part(explainer, part, "", content, batch_size=1)


def write_run(output: RunOutput, record: RunRecord, explained: ExplainedPart, parts: int) -> None:
    """Commit a part so many times, each of a recording of its own, in shards of 100 parts, and end the run."""
    shard_ids = [f"shard-{number:010x}" for number in range(parts // PER_SHARD)]
    output.write_run_record(record.model_copy(update={"shards": len(shard_ids)}))
    draw = Draw.parse(record.config["listen"])

    def write(number: int) -> None:
        shard, place = divmod(number, PER_SHARD)
        last = place == PER_SHARD - 1
        row = replace(explained.part.rows[0], clip_id=hashlib.sha256(str(number).encode()).hexdigest()[:32])
        part = replace(
            explained.part,
            shard_id=shard_ids[shard],
            number=place,
            rows=[row],
            next=Cursor(recording=place + 1),
            share=(place + 1) / PER_SHARD,
            last=last,
        )
        drawn = {explained.target_of(0): [row.window_id]} if draw.per_target is not None else None
        commit_part(output, replace(explained, part=part, drawn=drawn), "here", time.time())

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(write, range(len(shard_ids) * PER_SHARD)):
            pass
    shards = [Shard(shard_id, "files", "", 0) for shard_id in shard_ids]
    finalize(output, shards, [], per_target=draw.per_target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--listen", default="all")
    arguments = parser.parse_args()
    print("   parts  s to write  s to verify  peak MiB", flush=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        content = ContentConfig(explainer=save_tiny(scratch / "tiny"), part_windows=1, listen=arguments.listen)
        record, explained = explain_one(scratch, content)
        for parts in arguments.parts:
            output = RunOutput(str(scratch / f"run-{parts}"))
            started = time.monotonic()
            write_run(output, record, explained, parts)
            written = time.monotonic() - started
            done = subprocess.run(
                [sys.executable, "-c", VERIFY, output.url], stdout=subprocess.PIPE, text=True, check=True
            )
            count, seconds, peak = done.stdout.split()
            print(f"{int(count):8d} {written:11.1f} {float(seconds):12.1f} {float(peak):9.0f}", flush=True)


if __name__ == "__main__":
    main()

"""A run of many parts, resumed before its last one: seconds to the first new part and to the end, memory, objects.

python -m benchmarks.resume_many --parts 1000 10000 100000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tarfile
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from benchmarks.comparing import explain_command
from pipeline.inputs.listing import list_input
from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, Cursor
from tests.flow.make import save_tiny, short_clips, write_folder
from tests.s3 import serve_s3

PER_SHARD = 100
OPTIONS = ["--part-windows", "1", "--actors", "1", "--cpus-per-actor", "1", "--device", "cpu"]


def write_shards(folder: Path, count: int) -> None:
    """So many tars of 100 short recordings: one, under many names."""
    folder.mkdir()
    recordings = Path(write_folder(folder / "recordings", short_clips(PER_SHARD, seconds=0.1)))
    with tarfile.open(folder / "shard-000000.tar", "w") as tar:
        for path in sorted(recordings.iterdir()):
            tar.add(path, arcname=path.name)
            path.unlink()
    recordings.rmdir()
    for number in range(1, count):
        os.link(folder / "shard-000000.tar", folder / f"shard-{number:06d}.tar")


def begin(command: list[str], output: Path) -> CommitRecord:
    """Begin the run, and kill it at its first commit, which is returned."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (found := sorted(output.glob("_commits/*/000000.json"))):
        if process.poll() is not None:
            raise RuntimeError(f"the run ended with {process.returncode} before its first commit")
        time.sleep(0.05)
    process.kill()
    process.wait()
    return RunOutput(str(output)).read_commit(found[0].relative_to(output).as_posix())


def commit_all_but_one(output: Path, record: CommitRecord, shard_ids: list[str]) -> None:
    """Write the commits of all parts but the last of the last shard, like the one that is there."""
    for shard_id in shard_ids:
        folder = output / "_commits" / shard_id
        folder.mkdir(parents=True, exist_ok=True)
        for part in range(PER_SHARD - (shard_id == shard_ids[-1])):
            place, last = Cursor(recording=part + 1), part == PER_SHARD - 1
            share = (part + 1) / PER_SHARD
            files = [file.model_copy(update={"path": f"{file.path}-{shard_id}-{part}"}) for file in record.files]
            changed = {"shard_id": shard_id, "part": part, "next": place, "last": last, "share": share, "files": files}
            (folder / f"{part:06d}.json").write_text(record.model_copy(update=changed).model_dump_json(indent=1))


def peak_mib(pid: int) -> float:
    """The most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) / 1024 if lines else 0.0


def go_on(command: list[str], awaited: Path) -> tuple[float, float, float]:
    """Run to the end; seconds until a file is there, seconds in all, and the driver's peak in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    first = peak = 0.0
    while process.poll() is None:
        if not first and awaited.exists():
            first = time.monotonic() - started
        peak = max(peak, peak_mib(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the run ended with {process.returncode}")
    return first, time.monotonic() - started, peak


def measure(kind: str, parts: int) -> None:
    """Print a line for a run of so many parts in shards of 100."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        explainer = save_tiny(scratch / "tiny")
        options = ["--explainer", explainer, *OPTIONS]
        # The beginning is made on disk, as a server does not see what is put beside it.
        root = scratch if kind == "disk" else scratch / "s3" / "bucket"
        root.mkdir(parents=True, exist_ok=True)
        write_shards(root / "in", parts // PER_SHARD)
        record = begin(explain_command(str(root / "in"), str(root / "out"), options), root / "out")
        shard_ids = [shard.shard_id for shard in list_input(str(root / "in")).shards]
        commit_all_but_one(root / "out", record, shard_ids)
        awaited = root / "out" / "_commits" / shard_ids[-1] / f"{PER_SHARD - 1:06d}.json"
        with serve_s3(root.parent) if kind == "s3" else nullcontext() as server:
            url = server.bucket_url if server else str(root)
            first, whole, peak = go_on(explain_command(f"{url}/in", f"{url}/out", options), awaited)
            manifest = root / "out" / "_manifest.parquet"
            bytes_of = sum(path.stat().st_size for path in (manifest, manifest.with_suffix(".json")))
    objects = parts * (len(record.files) + 1)
    print(
        f"{kind:5} {parts:8d} {first:22.1f} {whole:16.1f} {peak:22.0f} {objects:9d} {bytes_of / 1e6:12.2f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--stores", nargs="+", choices=("disk", "s3"), default=["disk", "s3"])
    arguments = parser.parse_args()
    print("store    parts  s to first new part  s to the end  driver's peak MiB  objects  manifest, MB")
    for kind in arguments.stores:
        for parts in arguments.parts:
            measure(kind, parts)


if __name__ == "__main__":
    main()

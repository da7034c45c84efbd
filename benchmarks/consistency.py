"""The same recordings from a folder and from tar shards on a real S3 server, with 1 and 2 actors, batch 1 and 16:

python -m benchmarks.consistency data/esc10 --labels data/esc10/meta/esc10.csv
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from pathlib import Path

from benchmarks.comparing import compare, counts, explain
from pipeline.inputs.suffixes import is_audio
from tests.s3 import serve_s3

SHARDS = 10


def write_tars(folder: Path, target: Path) -> None:
    """The audio files of a folder as WebDataset tars, dealt out in order, under their relative names."""
    files = sorted(path for path in folder.rglob("*") if is_audio(path.name))
    target.mkdir(parents=True)
    for number in range(SHARDS):
        with tarfile.open(target / f"recordings-{number:06d}.tar", "w") as tar:
            for path in files[number * len(files) // SHARDS : (number + 1) * len(files) // SHARDS]:
                tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="a folder of audio files")
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--labels")
    arguments = parser.parse_args()
    options = ["--explainer", arguments.explainer]
    options += ["--labels", arguments.labels] if arguments.labels else []
    with tempfile.TemporaryDirectory() as scratch, serve_s3(Path(scratch) / "s3") as server:
        folder = arguments.input.resolve()
        write_tars(folder, server.bucket_dir / "tars")
        local, again, remote = f"{scratch}/local", f"{scratch}/again", f"{server.bucket_url}/explained"
        explain(str(folder), local, [*options, "--actors", "1", "--batch-size", "16"])
        explain(str(folder), again, [*options, "--actors", "2", "--batch-size", "1", "--cpus-per-actor", "1"])
        explain(f"{server.bucket_url}/tars", remote, [*options, "--actors", "2", "--cpus-per-actor", "1"])
        for name, url in (("folder", local), ("folder again", again), ("tars on S3", remote)):
            print(name, "rows (about so many windows or recordings):", counts(url))
        print("folder, 1 actor, batch 16, against folder, 2 actors, batch 1:")
        compare(local, again, same_input=True)
        print("folder, 1 actor, batch 16, against 10 tars on S3, 2 actors, batch 16:")
        compare(local, remote, same_input=False)


if __name__ == "__main__":
    main()

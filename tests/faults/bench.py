"""What all schedules share: recordings, the explainer, a Ray cluster, an S3 server that can fail, and a calm run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

from tests.faults.cluster import Nodes, ray_nodes
from tests.faults.dataset import FILES_PER_SHARD, PART_WINDOWS, POISON, Dataset, write_dataset
from tests.faults.driver import Driver
from tests.faults.proxy import FaultyS3, faulty_s3
from tests.faults.schedule import POOLS, Store
from tests.flow.make import save_tiny
from tests.s3 import serve_s3

CALM_S = 600.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """`bucket` is the folder that the S3 server serves, `calm` the output of a run that nothing disturbed."""

    folder: Path
    nodes: Nodes
    s3: FaultyS3
    bucket: Path
    dataset: Dataset
    settings: tuple[str, ...]
    calm: Path

    def command(self, store: Store, source: str, name: str, pool: str) -> list[str]:
        """The arguments of `lmac explain` for an input of the dataset and the output of a name."""
        places = [source, str(self.output(store, name))]
        if store == "s3":
            places = [f"s3://{self.bucket.name}/{Path(place).relative_to(self.bucket)}" for place in places]
        return [*places, *self.settings, "--address", self.nodes.address, *POOLS[pool]]

    def output(self, store: Store, name: str) -> Path:
        """Where that output lies on this disk."""
        return (self.bucket if store == "s3" else self.folder) / "runs" / name

    def log(self, name: str) -> Path:
        """Where what the command prints is kept."""
        return self.folder / "logs" / f"{name}.log"


@contextmanager
def set_up(folder: Path) -> Iterator[Bench]:
    """Set everything up below a folder, and run the calm run."""
    bucket = folder / "s3" / "bucket"
    # Before the first request: the server does not see what is written past it later.
    dataset = write_dataset(bucket)
    (folder / "logs").mkdir()
    config = folder / "run.yaml"
    config.write_text(f"content: {{files_per_shard: {FILES_PER_SHARD}, part_windows: {PART_WINDOWS}}}\n")
    explainer = save_tiny(folder / "tiny")
    settings = ("--explainer", explainer, "--config", str(config), "--listenables", "none", "--device", "cpu")
    with serve_s3(folder / "s3") as server, faulty_s3(urlsplit(server.endpoint).port or 80) as s3:
        path = os.pathsep.join([str(_ROOT), str(POISON), *filter(None, [os.environ.get("PYTHONPATH")])])
        # Workers have the environment that their node was started with.
        shared = {"AWS_ENDPOINT_URL": s3.endpoint, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        with mock.patch.dict(os.environ, shared), ray_nodes() as nodes:
            bench = Bench(folder, nodes, s3, bucket, dataset, settings, folder / "runs" / "calm")
            driver = Driver(bench.command("local", dataset.clean, "calm", "small actors"), bench.log("calm"))
            try:
                if driver.wait(CALM_S):
                    raise RuntimeError(f"the calm run failed:\n{driver.printed()}")
            finally:
                driver.kill()
            yield bench

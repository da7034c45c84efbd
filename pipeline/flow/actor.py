"""The Ray actor that explains: one per GPU, or per so many CPU cores."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import ray
import torch

from pipeline.flow.explain import explain_part
from pipeline.flow.tasks import STREAM, decode_shard, write_part
from pipeline.inputs.labels import LabelTable
from pipeline.inputs.shards import Shard
from pipeline.lmac.explainer import Explainer
from schemas.records import CommitRecord, Cursor
from schemas.run_config import ContentConfig

WRITES_IN_FLIGHT = 2


class ExplainActor:
    """Loads the explainer once; then pulls parts of shards through it, up to `streams` shards at a time."""

    def __init__(self, content: ContentConfig, digest: str, device: str, threads: int, batch_size: int) -> None:
        if device == "cpu":
            torch.set_num_threads(threads)
        self.content, self.batch_size = content, batch_size
        self.explainer = Explainer.load(content.explainer, device)
        if self.explainer.digest != digest:
            raise RuntimeError(
                f"explainer {content.explainer!r} differs on this node from the one the run was started with: "
                "install the same lmac everywhere, or put the explainer on shared storage"
            )
        self.compute = threading.Lock()
        self.leaving = False
        self.name = str(ray.get_runtime_context().get_actor_id())[:12]

    def ready(self) -> str:
        """The id of the node it runs on, once its explainer is loaded."""
        return str(ray.get_runtime_context().get_node_id())

    def wind_up(self) -> None:
        """End the shards in hand after the part in hand of each; what is written by then is told."""
        self.leaving = True

    def explain_shard(
        self,
        root_url: str,
        output_url: str,
        shard: Shard,
        labels: LabelTable | None,
        start: Cursor,
        first: int,
        share: float,
    ) -> Iterator[CommitRecord]:
        """Explain the rest of a shard, or what of it is done until `wind_up`; yields the commit of each part."""
        front_end = self.explainer.config.front_end
        stream: Any = decode_shard.options(**STREAM).remote(
            root_url, shard, front_end, self.content, labels, start, first, share
        )
        writes: deque[ray.ObjectRef] = deque()
        for reference in stream:
            if self.leaving:
                break
            started = time.time()
            part = ray.get(reference)
            del reference  # frees the part in the object store as soon as it is explained
            with self.compute:
                explained = explain_part(self.explainer, part, shard.uri, self.content, self.batch_size)
            del part
            writes.append(write_part.remote(output_url, explained, self.name, started))
            del explained
            while len(writes) > WRITES_IN_FLIGHT:
                yield ray.get(writes.popleft())
        while writes:
            yield ray.get(writes.popleft())

"""The Ray actor that explains: one per GPU, or per group of CPU cores."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ray
import torch

from pipeline.flow.explain import explain_part
from pipeline.flow.plan import Work
from pipeline.flow.tasks import STREAM, ContextRef, Written, decode_shard, write_part
from pipeline.lmac.explainer import Explainer
from pipeline.lmac.memory import keep_freed_memory
from pipeline.trace import fetch_spans, span, spans_of_items, trace

WRITES_IN_FLIGHT = 2


class ExplainActor:
    """Loads the explainer once, then explains parts of shards, up to `streams` shards at a time."""

    def __init__(self, context: ContextRef, device: str, threads: int, batch_size: int, compiled: bool) -> None:
        if device == "cpu":
            torch.set_num_threads(threads)
        keep_freed_memory(torch.device(device))
        self.reference, self.context, self.batch_size = context, context.get(), batch_size
        source = self.context.content.explainer
        self.explainer = Explainer.load(source, device, self.context.content.precision)
        if self.explainer.digest != self.context.explainer_digest:
            raise RuntimeError(
                f"explainer {source!r} differs on this node from the one the run was started with: "
                "install the same lmac everywhere, or put the explainer on shared storage"
            )
        if compiled:
            self.explainer.passes.compile()
        self.compute = threading.Lock()
        trace(self.context.trace, "explain")
        self.draining = False
        self.name = str(ray.get_runtime_context().get_actor_id())[:12]

    def ready(self) -> str:
        """Return the id of the actor's node, once its explainer is loaded."""
        return str(ray.get_runtime_context().get_node_id())

    def drain(self) -> None:
        """End every shard after its part in flight; parts written by then are still reported."""
        self.draining = True

    def explain_shard(self, work: Work) -> Iterator[Written]:
        """Explain the rest of a shard, or stop early on `drain`; yields the commit of each part."""
        stream: Any = decode_shard.options(**STREAM).remote(self.reference, work)
        writes: deque[ray.ObjectRef] = deque()
        for reference in spans_of_items("wait", iter(stream)):
            if self.draining:
                break
            started = time.time()
            with span("fetch"):
                part = ray.get(reference)
            del reference  # frees the part in the object store as soon as it is explained
            with self.compute:
                explained = explain_part(self.explainer, part, work.shard.uri, self.context.content, self.batch_size)
                # Remembered: if this part's batches did not fit into memory, the next part's will not either.
                self.batch_size = explained.batch_size or self.batch_size
            spans = (*part.spans, *fetch_spans())
            explained = replace(explained, part=replace(explained.part, spans=spans))
            del part
            writes.append(write_part.remote(self.context.output_url, explained, self.name, started))
            del explained
            while len(writes) > WRITES_IN_FLIGHT:
                yield ray.get(writes.popleft())
        while writes:
            yield ray.get(writes.popleft())

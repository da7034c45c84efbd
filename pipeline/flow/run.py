"""One pass over a dataset into one output: checked first, resumed if one was begun, reconciled at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import ray

from pipeline.flow.actor_pool import ActorPool, actor_starter
from pipeline.flow.checks import RunConflictError, check_apart, check_free, check_hop, check_targets, trace_file
from pipeline.flow.cluster import PoolSize, ray_cluster
from pipeline.flow.dispatch import Dispatcher, Reporter
from pipeline.flow.explainer_of_run import as_begun, explain_with, load_asked
from pipeline.flow.finalize import finalize
from pipeline.flow.parts import RunContext
from pipeline.flow.plan import Work, plan
from pipeline.flow.stop import Stop
from pipeline.flow.tasks import ContextRef
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.listing import Listing, list_input
from pipeline.inputs.table_columns import LabelTable
from pipeline.models.checkpoint import ExplainerError, LoadedExplainer
from pipeline.runs.lease import hold
from pipeline.runs.output import RunOutput
from pipeline.runs.profiles import band_edges_hz
from pipeline.trace import Trace
from schemas.draws import Draw
from schemas.records import CommitRecord, Manifest, RunRecord
from schemas.run_config import ClusterConfig, ContentConfig, RunConfig
from schemas.yaml_config import load_config

PACKAGES = ("lmac", "torch", "torchaudio", "ray", "pyarrow", "numpy", "soundfile", "soxr", "av", "s3fs")


class RunReporter(Reporter, Protocol):
    """A reporter that is also told of a run's beginning."""

    def planned(self, listing: Listing, work: list[Work]) -> None:
        """The input is listed and compared with the output; `work` is what is left."""

    def cluster_ready(self, size: PoolSize) -> None:
        """Ray runs, and a pool of this size is being started."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended; `resumed` is the number of parts that were there before it.

    A run that was `stopped` has no manifest: the same call goes on from what is committed.
    """

    manifest: Manifest | None
    resumed: int

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped before its end."""
        return self.manifest is None


def run(
    input_url: str, output_url: str, config: RunConfig, reporter: RunReporter, take_over: bool = False
) -> RunResult:
    """Explain every recording of an input and write the output, resuming any earlier run with the same settings.

    An output that another run is writing is refused, unless `take_over` puts this one in its place. In the main thread
    SIGINT and SIGTERM stop the run: the first signal after the parts in flight; a second one, or one that comes while
    nothing is in flight, at once, with a KeyboardInterrupt.
    Raises ConfigError, InputError, ExplainerError, RunConflictError, LeaseError, ClusterError or RunFailedError, each
    with a message for people; none of the first four touches the output.
    """
    stop = Stop()
    with stop.handling_signals():
        return _run(input_url, output_url, config, reporter, take_over, stop)


def explain_dataset(
    input_url: str | os.PathLike[str],
    output_url: str | os.PathLike[str],
    *,
    reporter: RunReporter | None = None,
    take_over: bool = False,
    **settings: Any,
) -> RunResult:
    """Explain every recording of an input and write the output, as `lmac explain` does.

    Without `address`, a local Ray is started and stopped.
    `settings` are fields of `ContentConfig` (`explainer`, `targets`, `listenables`, `listen`, ...) and of
    `ClusterConfig` (`actors`, `device`, `address`, `batch_size`, ...) by their names.
    In the main thread Ctrl-C stops the run after the parts in flight, and a second one at once; the same call resumes
    it. Raises ConfigError for a setting that is unknown or does not fit, InputError for the input or the table of
    labels, ExplainerError, RunConflictError if the output holds another run, LeaseError if another process writes it,
    ClusterError, StorageError, and RunFailedError if no actor can be kept running. All are in `lmac.errors`, all
    settings in `lmac.settings`.

    >>> from lmac import explain_dataset, open_run
    >>> explain_dataset("my-recordings", "explained", explainer="esc10", listen="share:0.1")  # doctest: +SKIP
    >>> open_run("explained").summary()  # doctest: +SKIP
    """
    options = {
        f"{'cluster' if name in ClusterConfig.model_fields else 'content'}.{name}": value
        for name, value in settings.items()
    }
    config = load_config(RunConfig, None, options)
    return run(os.fspath(input_url), os.fspath(output_url), config, reporter or _Silent(), take_over)


class _Silent:
    """A reporter that says nothing."""

    def planned(self, listing: Listing, work: list[Work]) -> None: ...

    def cluster_ready(self, size: PoolSize) -> None: ...

    def committed(self, record: CommitRecord, before: float) -> None: ...

    def note(self, text: str) -> None: ...


def _run(
    input_url: str, output_url: str, config: RunConfig, reporter: RunReporter, take_over: bool, stop: Stop
) -> RunResult:
    content, cluster = config.content, config.cluster
    trace = trace_file(cluster.trace)
    loaded = load_asked(content)
    check_hop(content, loaded.config.front_end)
    if loaded.decoder is None:
        raise ExplainerError(f"{content.explainer!r} has no decoder: train one with `lmac train decoder`")
    check_targets(content, loaded.config)
    reading = content.reading()
    labels = load_labels(reading)
    listing = list_input(input_url, reading, content.sample, files_per_shard=content.files_per_shard)
    truth = ground_truth(listing, reading, labels)
    output = RunOutput(output_url)
    check_apart(input_url, output)
    loaded = as_begun(content, loaded, output)
    record = run_record(listing, content, loaded, labels)
    if not _agree(output, record):
        check_free(output)
    with hold(output, reporter.note, take_over) as lease:
        # Once more: the run that held the lease until now may have been another.
        before = _agree(output, record)
        committed = output.committed_parts() if before else {}
        work = plan(listing.shards, committed, output.read_part)
        if not before:
            output.write_run_record(record)
        reporter.planned(listing, work)
        if (words := truth.describe()) is not None:
            reporter.note(words)
        resumed = sum(len(parts) for parts in committed.values())
        quarantined = []
        if work:
            with ray_cluster(cluster) as size:
                reporter.cluster_ready(size)
                context = RunContext(
                    listing.root_url,
                    output.url,
                    explain_with(content, loaded, output),
                    loaded.config.front_end,
                    loaded.digest,
                    truth,
                    cluster.trace is not None,
                )
                start_actor = actor_starter(size, ContextRef(ray.put(context)), cluster)
                pool = ActorPool(size, start_actor, cluster.attempts, reporter.note)
                dispatcher = Dispatcher(pool, context, cluster.attempts, reporter, stop, lease.holds)
                try:
                    with stop.deferring():
                        finished = dispatcher.run(work)
                finally:
                    if trace is not None:
                        _write_trace(dispatcher.trace, trace, reporter)
                if not finished:
                    return RunResult(None, resumed)
                quarantined = dispatcher.quarantined
        per_target = Draw.parse(content.listen).per_target
        manifest = finalize(output, listing.shards, quarantined, lease.confirm, per_target, listing.left_out_counts)
        return RunResult(manifest, resumed)


def _write_trace(taken: Trace, file: Path, reporter: RunReporter) -> None:
    """Write a run's trace; a full disk costs the trace, not the run."""
    try:
        taken.write(file)
    except OSError as error:
        reporter.note(f"the trace could not be written to {file}: {error.strerror}")


def run_record(
    listing: Listing, content: ContentConfig, loaded: LoadedExplainer, labels: LabelTable | None
) -> RunRecord:
    """What a run is asked to do, as its output records it."""
    # The paths of the explainer and of the labels are not recorded, as they may be this machine's; their digests say
    # what they are. Prompts are the explainer's labels.
    config = content.model_dump(mode="json", exclude={"explainer", "classifier", "prompts", "templates", "labels"})
    config["labels_digest"] = labels.digest if labels else None
    config["label_segments"] = labels is not None and any(row.parts for row in labels.rows.values())
    return RunRecord(
        lmac_version=metadata.version("lmac"),
        input_digest=listing.digest,
        shards=len(listing.shards),
        config=config,
        # The column `probabilities` has the classes in this order.
        explainer={
            "name": loaded.config.name,
            "digest": loaded.digest,
            "labels": list(loaded.config.labels),
            "sample_rate": loaded.config.front_end.sample_rate,
            "mask_domain": loaded.config.mask_domain,
            "band_edges_hz": band_edges_hz(loaded.config.front_end).tolist(),
        },
        packages={package: metadata.version(package) for package in PACKAGES},
    )


def _agree(output: RunOutput, wanted: RunRecord) -> bool:
    """Whether the output already holds this very run; False if it holds none."""
    found = output.read_run_record()
    if found is None:
        return False
    differences = _differences(
        {"input": found.input_digest[:12], "explainer": _short(found.explainer), **found.config},
        {"input": wanted.input_digest[:12], "explainer": _short(wanted.explainer), **wanted.config},
    )
    if differences:
        raise RunConflictError(
            "the output already holds a run with other settings:\n"
            + "\n".join(f"  {line}" for line in differences)
            + "\nRun with the same settings to resume it, or choose another output."
        )
    return True


def _short(explainer: dict[str, Any]) -> str:
    return f"{explainer['name']} {explainer['digest'][:12]}"


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    names = sorted(found.keys() | wanted.keys())
    show: Callable[[Any], str] = lambda value: "nothing" if value is None else str(value)  # noqa: E731
    return [
        f"{name}: {show(found.get(name))} there, {show(wanted.get(name))} here"
        for name in names
        if found.get(name) != wanted.get(name)
    ]

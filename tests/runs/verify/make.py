"""A run made here, without Ray: the same parts, rows and records; and what is found wrong with one."""

from __future__ import annotations

from pipeline.flow.explain import explain_part
from pipeline.flow.finalize import finalize
from pipeline.flow.parts import RunContext, cut_parts
from pipeline.flow.plan import Work
from pipeline.flow.tasks import commit_part
from pipeline.inputs.listing import list_input
from pipeline.inputs.shards import Shard
from pipeline.lmac.explainer import Explainer
from pipeline.runs.output import RunOutput
from pipeline.runs.profiles import band_edges_hz
from pipeline.runs.verify.verify import Verification
from schemas.draws import Draw
from schemas.records import RunRecord
from schemas.run_config import ContentConfig

# Not recorded: they may be paths of one machine.
PLACES = {"explainer", "classifier", "prompts", "templates", "labels"}


def run_here(source: str, folder: str, content: ContentConfig) -> str:
    """Explain an input into a folder, part after part."""
    output, shards = commit_here(source, folder, content)
    finalize(output, shards, [], per_target=Draw.parse(content.listen).per_target)
    return folder


def commit_here(source: str, folder: str, content: ContentConfig) -> tuple[RunOutput, list[Shard]]:
    """The same, but for the end."""
    explainer, output = Explainer.load(content.explainer), RunOutput(folder)
    listing = list_input(source, files_per_shard=content.files_per_shard)
    output.write_run_record(
        RunRecord(
            lmac_version="0",
            input_digest=listing.digest,
            shards=len(listing.shards),
            config=content.model_dump(mode="json", exclude=PLACES),
            explainer={
                "name": explainer.config.name,
                "digest": explainer.digest,
                "labels": list(explainer.config.labels),
                "sample_rate": explainer.config.front_end.sample_rate,
                "mask_domain": explainer.config.mask_domain,
                "band_edges_hz": [round(float(edge), 3) for edge in band_edges_hz(explainer.config.front_end)],
            },
            packages={},
        )
    )
    context = RunContext(listing.root_url, folder, content, explainer.config.front_end, explainer.digest)
    for shard in listing.shards:
        for part in cut_parts(context, Work(shard)):
            commit_part(output, explain_part(explainer, part, shard.uri, content, batch_size=4), "here", 0.0)
    return output, listing.shards


def kinds(found: Verification) -> set[str]:
    """The kinds of damage that were found."""
    return set(found.findings.counts)


def told(found: Verification) -> str:
    """All findings, a line each."""
    lines = [finding for kept in found.findings.shown.values() for finding in kept]
    return "\n".join(f"{finding.kind}: {finding.file}: {finding.key}: {finding.message}" for finding in lines)

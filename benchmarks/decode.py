"""What decoding in a process of its own costs: an input cut into parts in one process and in two, in turns:

python -m benchmarks.decode data/esc10
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest import mock

from pipeline.audio import decode as in_process
from pipeline.audio.decoder_process import DecoderProcess
from pipeline.flow import parts
from pipeline.flow.plan import Work
from pipeline.inputs.listing import Listing, list_input
from pipeline.lmac.explainer import Explainer
from schemas.explainer_config import FrontEndConfig
from schemas.run_config import ContentConfig


class _Here(DecoderProcess):
    """Decodes in this process, as the baseline."""

    def decode(self, data: bytes, name: str, sample_rate: int, max_seconds: float) -> in_process.DecodedAudio:
        return in_process.decode(data, name, sample_rate, max_seconds)


def seconds(listing: Listing, front_end: FrontEndConfig, content: ContentConfig) -> list[float]:
    """Seconds for each shard."""
    context = parts.RunContext(listing.root_url, "", content, front_end, "")
    taken = []
    for shard in listing.shards:
        start = time.perf_counter()
        for _ in parts.cut_parts(context, Work(shard)):
            pass
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    content = ContentConfig(explainer=arguments.explainer)
    front_end = Explainer.load(arguments.explainer).config.front_end
    listing = list_input(arguments.input, files_per_shard=content.files_per_shard)
    recordings = sum(len(shard.entries) for shard in listing.shards)
    here: list[float] = []
    apart: list[float] = []
    for _ in range(arguments.rounds):
        with mock.patch.object(parts, "DECODER", _Here()):
            here.append(sum(seconds(listing, front_end, content)))
        apart.append(sum(seconds(listing, front_end, content)))
        print(
            f"in one process {recordings / here[-1]:.1f} recordings/s, in two {recordings / apart[-1]:.1f}", flush=True
        )
    ratio = statistics.median(b / a for a, b in zip(here, apart, strict=True))
    print(
        f"{recordings} recordings in {len(listing.shards)} shards at {front_end.sample_rate} Hz, median of {len(here)}"
        f" rounds: {recordings / statistics.median(here):.1f} recordings/s in one process,"
        f" {recordings / statistics.median(apart):.1f} in two, time x {ratio:.3f}"
    )


if __name__ == "__main__":
    main()

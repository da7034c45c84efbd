"""`lmac check classifier`: our embeddings of a CLAP's checkpoint against those of its original library."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from itertools import islice
from typing import Annotated

import torch
import typer
from rich.table import Table
from torch import Tensor

from jobs.device_option import Device
from jobs.messages import console, fail, for_people
from pipeline.audio.decode import AudioFault, collect
from pipeline.audio.decoder_process import DecoderProcess
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import ReadFault
from pipeline.lmac.arguments import choose_device
from pipeline.models.clap.parity import BOUND, Pair, Parity, check_parity, load_pair
from pipeline.models.clap.zero_shot import PREFIX
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url

check_app = typer.Typer(no_args_is_help=True, help="Compare what lmac computes with the library that it comes from.")


@check_app.command()
def classifier(
    where: Annotated[str, typer.Argument(metavar="clap:WHERE", help="A CLAP, as for `lmac train`.")],
    clips: Annotated[
        str | None, typer.Option(help="More audio to compare, as for `lmac explain`. [default: noise and tones]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Compare the first LIMIT recordings of --clips.")] = 16,
    bound: Annotated[float, typer.Option(min=0, help="Largest difference allowed between unit embeddings.")] = BOUND,
    device: Device = "auto",
) -> None:
    """Compare our embeddings of a CLAP with laion-clap's or transformers'; exit with 1 if they differ.

    Ours are computed on the device, those of the library on the CPU.
    """
    with for_people():
        if not where.startswith(PREFIX):
            raise fail(
                f"{display_url(where)}: only a CLAP has an original library to be checked against: give clap:WHERE, a "
                "checkpoint of laion-clap or a directory of a Hugging Face ClapModel"
            )
        pair = _load_pair(where, choose_device(device))
        rows = list(check_parity(pair, first_clips(clips, pair, limit) if clips else ()))
    console.print(_table(pair, rows, bound))
    beyond = [row.signals for row in rows if not row.within(bound)]
    if beyond:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("laion-clap", "transformers", "torch"))
        raise fail(
            f"{', '.join(beyond)}: our embeddings differ from those of {pair.library} by more than {bound:g}, so that "
            f"explanations of this checkpoint cannot be trusted ({versions})"
        )


def _load_pair(where: str, device: torch.device) -> Pair:
    # Imported late: it takes seconds, and only this command needs it.
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with console.status("loading the checkpoint twice"):
        return load_pair(where, device)


def first_clips(url: str, pair: Pair, limit: int) -> list[Tensor]:
    """Return the first `limit` decodable recordings of an input, `[n]` each; raises InputError if there are none."""
    found = list(islice(_decoded(url, pair.sample_rate), limit))
    if not found:
        raise InputError(f"{display_url(url)}: none of its recordings could be decoded: give other audio with --clips")
    return found


def _decoded(url: str, sample_rate: int) -> Iterator[Tensor]:
    listing = list_input(url)
    with DecoderProcess() as decoder:
        for shard in listing.shards:
            for recording in read_shard(listing.root_url, shard):
                if isinstance(recording, ReadFault):
                    console.print(f"skipped {recording.key}: {recording.message}", markup=False)
                    continue
                try:
                    audio = collect(decoder.stream(recording.data, recording.name, sample_rate))
                except AudioFault as fault:
                    console.print(f"skipped {recording.key}: {fault.message}", markup=False)
                else:
                    yield torch.tensor(audio.waveform)


def _table(pair: Pair, rows: list[Parity], bound: float) -> Table:
    shown = Table(title=f"Our embeddings beside those of {pair.library}", title_justify="left")
    headings = ("signals", "n", "least cosine", "largest difference", "least cosine among them", "s a window")
    for heading in (*headings, f"within {bound:g}"):
        shown.add_column(heading, justify="left" if heading == "signals" else "right")
    for row in rows:
        figures = (f"{row.cosine:.7f}", f"{row.difference:.1e}", f"{row.spread:.2f}", f"{row.seconds:.2f}")
        verdict = "unchecked" if not row.whole else "yes" if row.within(bound) else "no"
        shown.add_row(row.signals, str(row.n), *figures, verdict)
    return shown

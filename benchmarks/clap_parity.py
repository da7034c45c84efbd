"""Our embeddings beside those of laion-clap and transformers, of the same random weights in the real shapes:

python -m benchmarks.clap_parity --clips "data/esc10/*/2-10*"
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.clap_originals import huggingface_clap, randomised, save_huggingface, save_laion
from jobs.check import first_clips
from pipeline.models.clap.originals import LaionAudio
from pipeline.models.clap.parity import Pair, check_parity, load_pair

CLIPS = 6
LAION = {
    "laion HTSAT-tiny": ("tiny", False),
    "laion HTSAT-tiny, fusion": ("tiny", True),
    "laion HTSAT-base": ("base", False),
    "laion HTSAT-base, fusion": ("base", True),
}
BASE = {"patch_embeds_hidden_size": 128, "depths": [2, 2, 12, 2], "hidden_size": 1024}
# The sizes of laion/clap-htsat-unfused, -fused and larger_clap_general.
HUGGINGFACE: Mapping[str, Mapping[str, Any]] = {
    "Hugging Face, unfused": {},
    "Hugging Face, fused": {"enable_fusion": True},
    "Hugging Face, larger": BASE,
}


def random_pair(name: str, folder: Path) -> Pair:
    """A checkpoint by its name here, written to a folder and loaded in its original library and in ours."""
    if name in LAION:
        save_laion(randomised(LaionAudio(*LAION[name])), folder / "laion.pt")  # type: ignore[arg-type]
        return load_pair(str(folder / "laion.pt"))
    sizes = HUGGINGFACE[name]
    save_huggingface(huggingface_clap(sizes), folder, bool(sizes.get("enable_fusion")))
    return load_pair(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", help=f"real clips, of which the first {CLIPS} are used")
    parser.add_argument("--only", choices=[*LAION, *HUGGINGFACE], help="one checkpoint alone")
    arguments = parser.parse_args()
    print("| checkpoint | signals | least cosine | largest difference | least cosine among them | s a window |")
    print("|---|---|---|---|---|---|")
    for name in [arguments.only] if arguments.only else [*LAION, *HUGGINGFACE]:
        with tempfile.TemporaryDirectory() as folder:
            pair = random_pair(name, Path(folder))
            for row in check_parity(pair, first_clips(arguments.clips, pair, CLIPS) if arguments.clips else ()):
                figures = f"{row.cosine:.7f} | {row.difference:.1e} | {row.spread:.2f} | {row.seconds:.2f}"
                print(f"| {name} | {row.signals} | {figures} |", flush=True)


if __name__ == "__main__":
    main()

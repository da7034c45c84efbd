"""What the runs explain: 320 clips in tars and loose files, a few that cannot be used, and two that end a decoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.flow.make import encoded, sound, write_folder
from tests.storage.inputs import tar_bytes

MARK = b"a clip that ends its decoder"
POISON = Path(__file__).with_name("poison")

TARS, CLIPS_PER_TAR, LOOSE = 4, 40, 160
FILES_PER_SHARD, PART_WINDOWS = 40, 7
# Eight shards of 40 clips, in six parts each.
PARTS = 48
# Clips by key, as errors name them: in a tar that is without the suffix.
BAD = {"loose/l020.wav": "truncated", "loose/l090.flac": "empty", "t2-07": "not_audio"}
POISONED = ("loose/l063.wav", "t1-21")


@dataclass(frozen=True)
class Dataset:
    """Two inputs of the same clips, of which `poisoned` has two that end the process that decodes them."""

    clean: str
    poisoned: str


def write_dataset(folder: Path) -> Dataset:
    """Write both inputs below a folder."""
    clips = _clips()
    marked = {f"{key.removesuffix('.wav')}.wav": encoded(sound(1.0)) + MARK for key in POISONED}
    return Dataset(
        write_folder(folder / "clean", _laid_out(clips)),
        write_folder(folder / "poisoned", _laid_out({**clips, **marked})),
    )


def _clips() -> dict[str, bytes]:
    keys = [f"t{tar}-{number:02d}.wav" for tar in range(TARS) for number in range(CLIPS_PER_TAR)]
    keys += [f"loose/l{number:03d}.wav" for number in range(LOOSE)]
    clips = {key: encoded(sound(1.0, seed=seed)) for seed, key in enumerate(keys)}
    whole = clips["loose/l020.wav"]
    return clips | {
        "loose/l020.wav": whole[: len(whole) // 3],
        "loose/l090.flac": b"",
        "t2-07.wav": b"this is no audio, whatever its name says\n" * 40,
    }


def _laid_out(clips: dict[str, bytes]) -> dict[str, bytes]:
    """Files by path: what is not in `loose/` goes into tars."""
    files = {key: data for key, data in clips.items() if key.startswith("loose/")}
    for tar in range(TARS):
        members = [(key, data) for key, data in clips.items() if key.startswith(f"t{tar}-")]
        files[f"t{tar}.tar"] = tar_bytes(members)
    return files

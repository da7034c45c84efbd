"""What the runs explain: 320 recordings in tars and loose files, some unusable, and two that end a decoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.flow.make import encoded, sound, write_folder
from tests.inputs.make import tar_bytes

MARK = b"a recording that ends its decoder"
POISON = Path(__file__).with_name("poison")

TARS, CLIPS_PER_TAR, LOOSE = 4, 40, 160
FILES_PER_SHARD, PART_WINDOWS = 40, 7
# Eight shards of 40 recordings, in six parts each.
PARTS = 48
# Recordings by key, as errors name them: in a tar that is without the suffix.
BAD = {"loose/l020.wav": "truncated", "loose/l090.flac": "empty", "t2-07": "not_audio"}
POISONED = ("loose/l063.wav", "t1-21")


@dataclass(frozen=True)
class Dataset:
    """Two inputs of the same recordings, of which `poisoned` has two that end the process that decodes them."""

    clean: str
    poisoned: str


def write_dataset(folder: Path) -> Dataset:
    """Write both inputs below a folder."""
    recordings = _clips()
    marked = {f"{key.removesuffix('.wav')}.wav": encoded(sound(1.0)) + MARK for key in POISONED}
    return Dataset(
        write_folder(folder / "clean", _laid_out(recordings)),
        write_folder(folder / "poisoned", _laid_out({**recordings, **marked})),
    )


def _clips() -> dict[str, bytes]:
    keys = [f"t{tar}-{number:02d}.wav" for tar in range(TARS) for number in range(CLIPS_PER_TAR)]
    keys += [f"loose/l{number:03d}.wav" for number in range(LOOSE)]
    recordings = {key: encoded(sound(1.0, seed=seed)) for seed, key in enumerate(keys)}
    whole = recordings["loose/l020.wav"]
    return recordings | {
        "loose/l020.wav": whole[: len(whole) // 3],
        "loose/l090.flac": b"",
        "t2-07.wav": b"this is no audio, whatever its name says\n" * 40,
    }


def _laid_out(recordings: dict[str, bytes]) -> dict[str, bytes]:
    """Files by path: what is not in `loose/` goes into tars."""
    files = {key: data for key, data in recordings.items() if key.startswith("loose/")}
    for tar in range(TARS):
        members = [(key, data) for key, data in recordings.items() if key.startswith(f"t{tar}-")]
        files[f"t{tar}.tar"] = tar_bytes(members)
    return files

"""Cases of the fuzzer: bytes and names drawn by (seed, number), and what is done with them."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.audio.decode import AudioFault, decode
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording
from pipeline.storage.errors import InputError, StorageError
from tests.bad_input.archives import parquet, tar
from tests.bad_input.names import FILE_NAMES, MEMBER_NAMES, decoded
from tests.bad_input.sound import RATE, sound_files

_CLIP = b"the bytes of a recording, which a reader does not look into " * 4
_VALUES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def run_case(seed: int, number: int, folder: Path) -> str:
    """Do one case, with `folder` for its files; returns what became of it.

    Raises whatever neither decoders nor readers are to raise.
    """
    rng = np.random.default_rng([seed, number])
    # Seven of ten cases are of the decoders, and one of each kind of input.
    kind = number % 10
    if kind < 7:
        return _decode(rng)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _read({7: _tar, 8: _parquet, 9: _rows if number // 10 % 2 else _names}[kind](rng, folder))


def _decode(rng: np.random.Generator) -> str:
    files = _sound_files()
    name = sorted(files)[rng.integers(len(files))]
    data = mutated(files[name], rng, [*files.values()])
    try:
        audio = decode(data, name, int(rng.choice([8_000, RATE, 44_100])), max_seconds=30.0)
    except AudioFault as fault:
        if not fault.message.startswith(name):
            raise ValueError(f"a fault that does not name its file: {fault.message}") from fault
        return fault.reason
    assert audio.waveform.dtype == np.float32
    assert audio.waveform.ndim == 1
    assert len(audio.waveform) >= 1
    assert np.isfinite(audio.waveform).all()
    assert audio.sample_rate_in > 0
    assert audio.channels_in > 0
    return "sound"


@lru_cache
def _sound_files() -> dict[str, bytes]:
    return sound_files(0.15)


def mutated(data: bytes, rng: np.random.Generator, others: list[bytes]) -> bytes:
    """Bytes with up to eight things done to them: turned, overwritten, cut, doubled, moved, or joined to others'."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        # Headers are short and matter most.
        near = max(1, min(len(made), 128 if rng.random() < 0.6 else len(made)))
        at, length = int(rng.integers(near)), int(rng.integers(1, 65))
        match int(rng.integers(8)):
            case 0:
                if at < len(made):
                    made[at] ^= 1 << int(rng.integers(8))
            case 1:
                made[at : at + length] = rng.bytes(length)
            case 2:
                width = int(rng.choice([1, 2, 4, 8]))
                value = int(rng.choice(_VALUES)) & ((1 << 8 * width) - 1)
                made[at : at + width] = value.to_bytes(width, "little" if rng.random() < 0.5 else "big")
            case 3:
                del made[at : at + length]
            case 4:
                made[at:at] = made[at : at + length]
            case 5:
                if rng.random() < 0.3:
                    del made[int(rng.integers(len(made) + 1)) :]
            case 6:
                other = others[rng.integers(len(others))]
                start = int(rng.integers(len(other)))
                made[at : at + length] = other[start : start + length]
            case 7:
                made[at : at + length] = bytes(length)
    return bytes(made)


def _read(source: Path) -> str:
    """List an input and read all of it: every ordinal once, in order."""
    try:
        listing = list_input(str(source))
        for shard in listing.shards:
            recordings = list(read_shard(listing.root_url, shard))
            ordinals = [recording.ordinal for recording in recordings]
            assert ordinals == sorted(set(ordinals)), "an ordinal twice, or out of order"
            assert len({recording.clip_id for recording in recordings}) == len(recordings), (
                "two recordings of one identity"
            )
            for recording in recordings:
                # What goes into tables has to be text and JSON.
                recording.key.encode()
                if isinstance(recording, RawRecording):
                    recording.name.encode()
                    json.dumps(recording.metadata, allow_nan=False).encode()
                else:
                    recording.message.encode()
    except (InputError, StorageError) as error:
        str(error).encode()
        return type(error).__name__
    return "read"


def _tar(rng: np.random.Generator, folder: Path) -> Path:
    members = []
    for number in range(int(rng.integers(1, 6))):
        name = MEMBER_NAMES[rng.integers(len(MEMBER_NAMES))] if rng.random() < 0.5 else f"{number}.wav".encode()
        members.append((decoded(name), _CLIP))
        if rng.random() < 0.5:
            members.append((decoded(os.path.splitext(name)[0]) + ".json", _json(rng)))
    data = tar(members)
    if rng.random() < 0.2:
        data = _pax(rng)
    (folder / "a.tar").write_bytes(mutated(data, rng, [data]))
    return folder


def _pax(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(3):
            member = tarfile.TarInfo("p" * int(rng.integers(1, 300)) + f"{number}.wav")
            member.size = len(_CLIP)
            member.pax_headers = {"comment": "x" * int(rng.integers(200)), "mtime": str(rng.random())}
            archive.addfile(member, io.BytesIO(_CLIP))
    return buffer.getvalue()


def _json(rng: np.random.Generator) -> bytes:
    return mutated(b'{"label": "dog", "take": 1, "list": [1, 2.5, null], "deep": {"x": "\\u00e9"}}', rng, [b"NaN"])


def _parquet(rng: np.random.Generator, folder: Path) -> Path:
    audio = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    count = int(rng.integers(0, 8))
    paths = [None if rng.random() < 0.2 else decoded(_any(rng, MEMBER_NAMES)) for _ in range(count)]
    cells = [
        None
        if rng.random() < 0.1
        else {"bytes": None if rng.random() < 0.3 else _CLIP, "path": path and path.encode("utf-8", "replace").decode()}
        for path in paths
    ]
    columns = {
        "audio": pa.array(cells, audio),
        "number": pa.array(rng.standard_normal(count)),
        "when": pa.array(rng.integers(-(2**62), 2**62, count), pa.timestamp(str(rng.choice(["ms", "us", "ns"])))),
    }
    data = parquet(columns)
    (folder / "a.parquet").write_bytes(mutated(data, rng, [data]) if rng.random() < 0.8 else data)
    return folder


def _rows(rng: np.random.Generator, folder: Path) -> Path:
    (folder / "there.wav").write_bytes(_CLIP)
    names = [decoded(_any(rng, (*FILE_NAMES, *MEMBER_NAMES, b"there.wav"))) for _ in range(int(rng.integers(1, 5)))]
    # No cloud is asked.
    texts = [name.encode("utf-8", "replace").decode().replace("s3://", "s4://") for name in names]
    if rng.random() < 0.5:
        data = "".join(json.dumps({"path": text, "x": number}) + "\n" for number, text in enumerate(texts)).encode()
        path = folder / "a.jsonl"
    else:
        quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
        data = "\n".join(["path,label", *(f"{text},dog" for text in quoted)]).encode()
        path = folder / "a.csv"
    path.write_bytes(mutated(data, rng, [data]).replace(b"s3:", b"s4:").replace(b"http", b"hytp"))
    return path


def _names(rng: np.random.Generator, folder: Path) -> Path:
    for _ in range(int(rng.integers(1, 6))):
        drawn = bytes(_any(rng, FILE_NAMES)) if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 60))) + b".wav"
        name = drawn.replace(b"/", b"_").replace(b"\0", b"_")
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(_CLIP)
        if rng.random() < 0.3:
            with open(os.path.join(os.fsencode(folder), os.path.splitext(name)[0][:250] + b".json"), "wb") as file:
                file.write(_json(rng))
    return folder


def _any(rng: np.random.Generator, among: tuple[bytes, ...]) -> bytes:
    return among[rng.integers(len(among))]

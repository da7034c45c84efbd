"""Tars and Parquet files that are damaged, lie, or hold what is no recording."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bad_input.names import MEMBER_NAMES, decoded


def bad_tars(good: bytes, seed: int) -> dict[str, bytes]:
    """Tars by file name; the recordings in them are `good`, or are not there."""
    rng = np.random.default_rng(seed)
    sound = tar([(f"{number}.wav", good) for number in range(4)])
    made = {f"cut-{tenth}.tar": sound[: len(sound) * tenth // 10] for tenth in range(1, 10)}
    for number in range(6):
        turned = bytearray(sound)
        for at in rng.integers(0, len(sound) // 512, 2):
            turned[int(at) * 512 + int(rng.integers(0, 400))] ^= 0xFF
        made[f"flipped-{number}.tar"] = bytes(turned)
    claims = bytearray(sound)
    claims[124:136] = b"77777777777\0"
    return made | {
        "names.tar": tar([(decoded(name), good) for name in MEMBER_NAMES]),
        "others.tar": _others(good),
        "empty.tar": b"",
        "end-only.tar": bytes(1024),
        "text.tar": b"no archive at all\n" * 100,
        "noise.tar": rng.bytes(4096),
        "zipped.tar": gzip.compress(sound),
        "claims-8-GiB.tar": _checked(bytes(claims)),
        "no-audio.tar": tar([("a.json", b"{}"), ("b.txt", b"text")]),
        "sidecars.tar": tar(
            [
                *(("a.wav", good), ("a.json", b"[1, NaN")),
                *(("b.wav", good), ("b.json", b"[" * 100_000)),
                *(("c.wav", good), ("c.json", b'{"x": NaN, "y": 1e999, "label": "\\ud800"}')),
                *(("d.wav", good), ("d.txt", b"\xff\xfe\x00")),
                *(("e.wav", b""), ("e.json", b'{"n": ' + b"9" * 5000 + b"}")),
            ]
        ),
    }


def tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _others(good: bytes) -> bytes:
    """A recording among links, devices, pipes and folders that are named as recordings are."""
    buffer = io.BytesIO()
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"other-{number}.wav")
            member.type, member.linkname = kind, "/etc/hostname"
            archive.addfile(member)
        member = tarfile.TarInfo("recording.wav")
        member.size = len(good)
        archive.addfile(member, io.BytesIO(good))
    return buffer.getvalue()


def _checked(header: bytes) -> bytes:
    """A tar with the checksum of its first header put right."""
    blank = header[:148] + b" " * 8 + header[156:512]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def bad_parquets(good: bytes, seed: int) -> dict[str, bytes]:
    """Parquet files by file name."""
    rng = np.random.default_rng(seed)
    audio = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [
        {"bytes": good, "path": "a.wav"},
        None,
        {"bytes": None, "path": None},
        {"bytes": b"", "path": "empty.wav"},
        {"bytes": None, "path": "../../outside.wav"},
        {"bytes": None, "path": "/etc/hostname"},
        {"bytes": None, "path": "missing.wav"},
        {"bytes": None, "path": ""},
        {"bytes": good, "path": "../../named outside.wav"},
        {"bytes": good, "path": "n" * 1000 + ".wav"},
        {"bytes": b"text", "path": "new\nline \U0001f415.wav"},
        {"bytes": good, "path": "a.wav"},
    ]
    sound = parquet({"audio": pa.array(cells, audio), "x": pa.array([float("nan")] * len(cells))})
    made = {f"cut-{tenth}.parquet": sound[: len(sound) * tenth // 10] for tenth in range(0, 10, 3)}
    for number in range(6):
        turned = bytearray(sound)
        for at in rng.integers(4, len(sound) - 8, 3):
            turned[int(at)] ^= 0xFF
        made[f"flipped-{number}.parquet"] = bytes(turned)
    return made | {
        "nulls.parquet": sound,
        "numbers.parquet": parquet({"audio": pa.array([1, 2, 3])}),
        "words.parquet": parquet({"audio": pa.array(["a.wav", "b.wav"])}),
        "lists.parquet": parquet({"audio": pa.array([[0.1, 0.2], None], pa.list_(pa.float32()))}),
        "only-null.parquet": parquet({"audio": pa.nulls(3)}),
        "plain.parquet": parquet({"bytes": pa.array([good, None, b""], pa.large_binary())}),
        "no-rows.parquet": parquet({"audio": pa.array([], audio)}),
        "text.parquet": b"no parquet at all" * 50,
        "magic.parquet": b"PAR1" + rng.bytes(500) + b"PAR1",
    }


def parquet(columns: dict[str, pa.Array]) -> bytes:
    """A Parquet file in groups of three rows."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=3)
    return buffer.getvalue()

"""A shard as a stream of parts: disjoint, complete, in order, and the same wherever it is entered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flow import parts
from pipeline.flow.parts import Part
from pipeline.inputs.recording import RawRecording, Segment
from pipeline.storage.errors import StorageError
from schemas.records import Cursor
from schemas.run_config import ContentConfig
from tests.flow.make import FRONT_END, RATE, all_parts, encoded, mixed_recordings, sound, write_folder

LONG_S = 6.3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nine recordings, one of them long, in 16 windows; three of them cannot be used."""
    files = {**mixed_recordings(), "cat/very long.wav": encoded(sound(LONG_S, seed=9))}
    return write_folder(tmp_path_factory.mktemp("parts"), files)


def content(part_windows: int, **settings: Any) -> ContentConfig:
    return ContentConfig(part_windows=part_windows, files_per_shard=64, **settings)


def windows_of(parts: list[Part]) -> list[str]:
    return [row.window_id for part in parts for row in part.rows]


def assert_same(one: Part, other: Part) -> None:
    assert one.rows == other.rows
    assert one.errors == other.errors
    facts = [(part.number, part.recordings, part.next, part.last) for part in (one, other)]
    assert facts[0] == facts[1]
    assert one.share == pytest.approx(other.share)
    np.testing.assert_array_equal(one.waveforms, other.waveforms)


@settings(max_examples=8, deadline=None)
@given(part_windows=st.integers(1, 20))
def test_parts_hold_every_window_and_error_once_and_in_order(source: str, part_windows: int) -> None:
    (whole,) = all_parts(source, content(4096))
    parts = all_parts(source, content(part_windows))
    assert windows_of(parts) == windows_of([whole])
    assert [error for part in parts for error in part.errors] == whole.errors
    np.testing.assert_array_equal(np.concatenate([part.waveforms for part in parts]), whole.waveforms)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(part.rows) == part_windows for part in parts[:-1])
    assert len(parts[-1].rows) <= part_windows
    assert sum(part.recordings for part in parts) == whole.recordings == 9


@settings(max_examples=12, deadline=None)
@given(part_windows=st.integers(1, 9), data=st.data())
def test_going_on_from_any_part_gives_exactly_the_rest(source: str, part_windows: int, data: st.DataObject) -> None:
    parts = all_parts(source, content(part_windows))
    last = data.draw(st.integers(0, len(parts) - 2))
    stop = parts[last]
    rest = all_parts(source, content(part_windows), start=stop.next, first=last + 1, share=stop.share)
    assert len(rest) == len(parts) - last - 1
    for one, other in zip(rest, parts[last + 1 :], strict=True):
        assert_same(one, other)


def test_a_long_clip_goes_through_several_parts(source: str) -> None:
    parts = [part for part in all_parts(source, content(2)) if any("very long" in row.key for row in part.rows)]
    indices = [row.window_index for part in parts for row in part.rows if "very long" in row.key]
    assert len(parts) >= 3
    assert indices == list(range(6))


def test_errors_of_reading_and_decoding_are_told_apart_and_clips_come_once(source: str) -> None:
    (Path(source) / "zz").mkdir(exist_ok=True)
    gone = Path(source) / "zz" / "gone.wav"
    gone.symlink_to("nowhere.wav")
    try:
        parts = all_parts(source, content(3))
    finally:
        gone.unlink()
    errors = [(error.key, error.stage, error.reason) for part in parts for error in part.errors]
    assert errors == [
        ("bad/cut.wav", "decode", "truncated"),
        ("bad/empty.flac", "decode", "empty"),
        ("bad/text.wav", "decode", "not_audio"),
        ("zz/gone.wav", "read", "missing"),
    ]
    explained = {row.key for part in parts for row in part.rows}
    assert not explained & {key for key, _, _ in errors}
    assert len(explained) + len(errors) == sum(part.recordings for part in parts) == 10


def test_a_shard_of_bad_clips_alone_gives_one_last_part(tmp_path: Path) -> None:
    bad = {path: data for path, data in mixed_recordings().items() if path.startswith("bad/")}
    (part,) = all_parts(write_folder(tmp_path, bad), content(2))
    assert part.last
    assert part.waveforms.shape == (0, FRONT_END.window_samples)
    assert (len(part.rows), len(part.errors), part.recordings, part.share) == (0, 3, 3, 1.0)


def test_the_share_grows_with_the_bytes_to_one(source: str) -> None:
    shares = [part.share for part in all_parts(source, content(1))]
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[-1] == 1.0


def test_the_share_of_a_manifest_grows_with_its_clips(tmp_path: Path) -> None:
    names = [f"{number}.wav" for number in range(4)]
    folder = write_folder(tmp_path, {name: encoded(sound(1.0)) for name in names})
    manifest = Path(folder) / "recordings.csv"
    manifest.write_text("\n".join(["path", *names]))
    assert [part.share for part in all_parts(str(manifest), content(1))] == [0.25, 0.5, 0.75, 1.0]


@settings(max_examples=20, deadline=None)
@given(
    seconds=st.floats(0.01, 4.0),
    hop=st.sampled_from([None, 1.0, 0.5, 0.3]),
    min_tail=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_windows_and_what_is_unheard_cover_every_sample(
    tmp_path_factory: pytest.TempPathFactory, seconds: float, hop: float | None, min_tail: float
) -> None:
    folder = write_folder(tmp_path_factory.mktemp("one"), {"recording.wav": encoded(sound(seconds))})
    settings_ = ContentConfig(window_hop_s=hop, min_tail=min_tail)
    (part,) = all_parts(folder, settings_)
    covered = np.zeros(round(seconds * RATE), dtype=int)
    for row in part.rows:
        start = round(row.start_s * RATE)
        assert 0 < row.length <= FRONT_END.window_samples
        covered[start : start + row.length] += 1
    assert covered.all() or part.rows[-1].unheard_s > 0
    assert covered[: len(covered) - round(part.rows[-1].unheard_s * RATE)].all()
    assert int((covered == 0).sum()) == round(part.rows[-1].unheard_s * RATE)
    assert all(row.unheard_s == 0 for row in part.rows[:-1])
    assert part.rows[-1].unheard_s < max(min_tail, 1e-9)


def test_a_window_is_the_clip_s_samples_and_silence_after_its_end(source: str) -> None:
    (part,) = all_parts(source, content(64))
    (number,) = (i for i, row in enumerate(part.rows) if row.key == "cat/three.ogg")
    length = part.rows[number].length
    assert length == round(0.6 * RATE)
    assert np.abs(part.waveforms[number, :length]).max() > 0.1
    assert not part.waveforms[number, length:].any()


def test_a_cursor_that_the_shard_no_longer_reaches_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {f"{n}.wav": encoded(sound(1.0, seed=n)) for n in range(4)})
    stop = all_parts(folder, content(1))[2]
    shorter = write_folder(tmp_path / "less", {f"{n}.wav": encoded(sound(1.0, seed=n)) for n in range(2)})
    with pytest.raises(Exception, match="changed"):
        all_parts(shorter, content(1), start=stop.next, first=3, share=stop.share)


def test_labels_come_from_the_table_alone_or_else_from_the_sidecar_or_the_folder(tmp_path: Path) -> None:
    recording = encoded(sound(0.5))
    folder = write_folder(tmp_path / "in", {"cat/a.wav": recording, "cat/b.wav": recording, "cat/c.wav": recording})
    (tmp_path / "in/cat/a.json").write_text(json.dumps({"label": "sidecar", "take": 3}))
    (tmp_path / "in/cat/b.json").write_text(json.dumps({"label": "sidecar"}))
    table = tmp_path / "labels.csv"
    table.write_text("path,label,fold\ncat/a.wav,table,7\n")
    (part,) = all_parts(folder, content(8, labels=str(table)))
    assert [row.label_true for row in part.rows] == [("table",), (), ()]
    assert part.rows[0].metadata == {"label": "table", "take": 3, "fold": "7"}
    (bare,) = all_parts(folder, content(8))
    assert [row.label_true for row in bare.rows] == [("sidecar",), ("sidecar",), ("cat",)]


class Gone:
    """A file too large to be held that is not there any more when it is opened."""

    size_bytes = 1 << 30

    def open(self) -> BinaryIO:
        raise FileNotFoundError("gone")


def test_each_segment_of_a_file_that_cannot_be_opened_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    segments = tuple(Segment(f"{n:032x}", float(n), n + 1.0) for n in range(3))
    gone = RawRecording(0, "f" * 32, "a.wav", "a.wav", Gone(), segments=segments)
    monkeypatch.setattr(parts, "read_shard", lambda *arguments, **given: iter([gone]))
    (only,) = all_parts(write_folder(tmp_path, {"a.wav": encoded(sound(1.0))}), content(4))
    assert [error.clip_id for error in only.errors] == [segment.clip_id for segment in segments]
    assert {(error.stage, error.reason) for error in only.errors} == {("read", "missing")}
    assert (only.recordings, only.rows) == (3, [])
    # What was heard before is committed: it cannot be unheard.
    with pytest.raises(StorageError, match="cannot be read any further"):
        all_parts(str(tmp_path), content(4), start=Cursor(recording=0, window=2))

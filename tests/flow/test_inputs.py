"""What a run says of its input: what it left out, what it did not draw, and the labels of what it explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runs.output import RunOutput
from pipeline.runs.verify.verify import verify
from pipeline.storage.errors import InputError
from schemas.draws import rank_of
from tests.flow.make import content_of, encoded, explain_here, rows, sound, write_folder
from tests.inputs.make import tar_bytes

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Six loose recordings, three in a tar, and other files in both."""
    clips = {f"site/{number}.wav": encoded(sound(0.5, seed=number)) for number in range(6)}
    members = {f"t/{number}.wav": encoded(sound(0.5, seed=number)) for number in range(6, 9)}
    others = {
        "notes.txt": b"x",
        "cover": b"\x89PNG",
        "shard.tar": tar_bytes({**members, "t/a.npy": b"x", "t/7.cls": b"owl"}),
    }
    return write_folder(tmp_path / "in", {**clips, **others})


def test_what_is_left_out_is_counted_by_kind(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    manifest = explain_here(source, str(tmp_path / "out"), content_of(tiny_explainer))
    assert manifest.sums.left_out == {".npy": 1, ".txt": 1, "image": 1}
    assert RunOutput(str(tmp_path / "out")).read_manifest() == manifest
    assert (manifest.recordings, manifest.errors) == (9, 0)
    assert not verify(tmp_path / "out", source).findings


def test_a_sample_is_explained_and_what_is_not_drawn_is_counted(
    source: str, tiny_explainer: str, tmp_path: Path
) -> None:
    explain_here(source, str(tmp_path / "all"), content_of(tiny_explainer))
    manifest = explain_here(source, str(tmp_path / "some"), content_of(tiny_explainer, sample=4))
    whole = {row["clip_id"]: row for row in rows(tmp_path / "all", "predictions")}
    some = {row["clip_id"]: row for row in rows(tmp_path / "some", "predictions")}
    assert list(some) == sorted(sorted(whole, key=rank_of)[:4])
    for name, row in some.items():
        assert row["probabilities"] == pytest.approx(whole[name]["probabilities"], abs=1e-4)
    assert (manifest.recordings, manifest.sums.left_out["not drawn"]) == (4, 5)
    assert not verify(tmp_path / "some", source).findings


def test_labels_are_lists_and_a_hit_is_one_of_them(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    explain_here(source, str(tmp_path / "bare"), content_of(tiny_explainer))
    decided = {row["key"]: row["label"] for row in rows(tmp_path / "bare", "predictions")}
    bare = {row["key"]: row["label_true"] for row in rows(tmp_path / "bare", "predictions")}
    assert (bare["site/0.wav"], bare["t/7"], bare["t/8"]) == (["site"], ["owl"], ["t"])
    table = tmp_path / "labels.csv"
    lines = [f"{key},{label}\n{key},other\n" for key, label in decided.items() if key != "t/8"]
    table.write_text("key,label\n" + "".join(lines))
    content = content_of(tiny_explainer, labels=str(table))
    manifest = explain_here(source, str(tmp_path / "out"), content)
    found = {row["key"]: row["label_true"] for row in rows(tmp_path / "out", "predictions")}
    assert found == {key: [label, "other"] for key, label in decided.items()} | {"t/8": []}
    assert (manifest.sums.labelled, manifest.sums.hits) == (8, 8)
    assert not verify(tmp_path / "out", source).findings
    assert not verify(tmp_path / "out", source, labels=table).findings
    table.write_text(table.read_text() + "t/8,more\n")
    with pytest.raises(InputError, match="not the table of labels that the run was made with"):
        verify(tmp_path / "out", source, labels=table)


@pytest.mark.parametrize("by_table", [False, True])
def test_segments_are_explained_with_their_own_labels(
    source: str, tiny_explainer: str, tmp_path: Path, by_table: bool
) -> None:
    table = Path(source) / "segments.csv" if not by_table else tmp_path / "segments.csv"
    table.write_text(
        "path,start,end,label\nsite/0.wav,0.1,0.4,a\nsite/0.wav,0.3,0.5,b\nsite/1.wav,,,c\nsite/2.wav,3,4,d\n"
    )
    content = content_of(tiny_explainer, labels=str(table) if by_table else None, min_tail=0.0)
    manifest = explain_here(source if by_table else str(table), str(tmp_path / "out"), content)
    found = [row for row in rows(tmp_path / "out", "predictions") if row["label_true"]]
    said = {(row["key"], row["label_true"][0], round(row["start_s"], 2), round(row["duration_s"], 2)) for row in found}
    assert said == {("site/0.wav", "a", 0.1, 0.3), ("site/0.wav", "b", 0.3, 0.2), ("site/1.wav", "c", 0.0, 0.5)}
    assert [row["reason"] for row in rows(tmp_path / "out", "errors")] == ["beyond_end"]
    assert manifest.recordings == (4 + 6 if by_table else 4)
    checked = verify(tmp_path / "out", source if by_table else str(table), labels=table if by_table else None)
    assert not checked.findings, dict(checked.findings.counts)

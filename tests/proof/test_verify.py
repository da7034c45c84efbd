"""`lmac verify`: nothing in a sound run, and every kind of planted damage named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.flow.finalize import finalize
from pipeline.models.checkpoint import ExplainerError
from pipeline.proof.findings import SHOWN, Findings
from pipeline.proof.verify import Proof, verify
from pipeline.storage.errors import StorageError
from pipeline.storage.listing import list_input
from pipeline.storage.output import RunOutput
from schemas.records import CommitRecord, Cursor, QuarantinedShard
from schemas.run_config import ContentConfig
from schemas.tables import ERRORS, TABLES
from tests.conftest import TinyRun
from tests.flow.make import mixed_clips, save_tiny
from tests.jobs.test_cli import run
from tests.proof.damage import Damaged, first, one_of_list, shorter_flac, without_complete
from tests.proof.make import run_here
from tests.s3 import S3Server
from tests.storage.inputs import tar_bytes, write_parquet

pytestmark = pytest.mark.slow


@pytest.fixture
def damaged(tiny_run: TinyRun, tmp_path: Path) -> Damaged:
    return Damaged.copy(tiny_run.output, tmp_path / "run")


def kinds(proof: Proof) -> set[str]:
    return set(proof.findings.counts)


def told(proof: Proof) -> str:
    """All findings, a line each."""
    found = [finding for kept in proof.findings.shown.values() for finding in kept]
    return "\n".join(f"{finding.kind}: {finding.file}: {finding.key}: {finding.message}" for finding in found)


def test_a_sound_run_is_sound(tiny_run: TinyRun) -> None:
    proof = verify(tiny_run.output, tiny_run.source)
    assert told(proof) == ""
    assert proof.finished
    assert (proof.shards, proof.ended, proof.parts) == (3, 3, 4)
    assert (proof.clips, proof.errors, proof.windows, proof.masks, proof.listenables) == (8, 3, 10, 10, 20)
    files = [path for path in Path(tiny_run.output).rglob("*") if path.suffix in (".parquet", ".flac")]
    assert (proof.files, proof.bytes) == (len(files), sum(path.stat().st_size for path in files))


def test_two_labels_of_each_window_are_sound_and_three_or_one_are_not(two_labels_run: TinyRun, tmp_path: Path) -> None:
    assert told(verify(two_labels_run.output, two_labels_run.source)) == ""
    run_dir = Damaged.copy(two_labels_run.output, tmp_path / "run")
    path = run_dir.change("masks", lambda rows: rows.pop(0))
    proof = verify(str(run_dir.folder))
    assert f"wrong_labels: {path}" in told(proof)
    assert "rows for 1 labels, of 2 asked for" in told(proof)
    run_dir.set_run(labels="topk:3")
    assert verify(str(run_dir.folder)).findings.counts["wrong_labels"] == 8
    labels = json.loads((run_dir.folder / "_run.json").read_text())["explainer"]["labels"]
    run_dir.set_run(labels="; ".join(labels[:2]))
    assert "wrong_labels" in kinds(verify(str(run_dir.folder)))


def test_what_is_committed_of_an_unfinished_run(damaged: Damaged) -> None:
    damaged.unfinish()
    last = damaged.commit_file(3)
    orphans = damaged.commit(3).files
    last.unlink()
    proof = verify(str(damaged.folder))
    assert told(proof) == ""  # what the part had written is no fault as long as the run goes on
    assert not proof.finished
    assert (proof.ended, proof.parts) == (2, 3)
    (damaged.folder / orphans[0].path).unlink()
    assert told(verify(str(damaged.folder))) == ""


def test_a_shard_that_was_given_up_and_is_gone_on_with(damaged: Damaged, tiny_run: TinyRun) -> None:
    lost = damaged.commit(3).shard_id
    shutil.rmtree(damaged.folder / "_commits" / lost)
    (damaged.folder / "_SUCCESS").unlink()
    shards = list_input(tiny_run.source, files_per_shard=3).shards
    finalize(damaged.output, shards, [QuarantinedShard(shard_id=lost, uri="x", attempts=3, reason="x")])
    proof = verify(str(damaged.folder), tiny_run.source)
    assert told(proof) == ""
    assert (proof.finished, proof.ended) == (False, 2)
    for folder in ("_commits", "audio", *TABLES):
        shutil.copytree(Path(tiny_run.output) / folder, damaged.folder / folder, dirs_exist_ok=True)
    proof = verify(str(damaged.folder), tiny_run.source)
    assert told(proof) == ""
    assert (proof.finished, proof.ended) == (False, 3)


FileDamage = Callable[[Damaged], tuple[str, str]]


def delete_table(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file("faithfulness").path
    (run_dir.folder / path).unlink()
    return "missing_file", path


def delete_audio(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file(None).path
    (run_dir.folder / path).unlink()
    return "missing_file", path


def flip_a_bit(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file("masks").path
    data = bytearray((run_dir.folder / path).read_bytes())
    data[len(data) // 2] ^= 1
    (run_dir.folder / path).write_bytes(bytes(data))
    return "wrong_digest", path


def cut_a_file(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file("predictions").path
    (run_dir.folder / path).write_bytes((run_dir.folder / path).read_bytes()[:-7])
    return "wrong_bytes", path


def break_parquet(run_dir: Damaged) -> tuple[str, str]:
    old = run_dir.file("masks")
    new = run_dir.output.write_bytes(old.path, b"PAR1 no table at all PAR1", "masks", old.rows)
    run_dir.record(old, new)
    return "unreadable_table", old.path


def leave_a_stray_file(run_dir: Damaged) -> tuple[str, str]:
    run_dir.output.write_bytes("predictions/stray.parquet", b"x")
    return "stray_file", "predictions/stray.parquet"


def lose_a_commit(run_dir: Damaged) -> tuple[str, str]:
    commit = run_dir.commit_file()
    lost = run_dir.commit().files[0].path
    commit.unlink()
    return "missing_commit", lost


def add_a_stale_commit(run_dir: Damaged) -> tuple[str, str]:
    file = run_dir.output.write_table("errors", "x", ERRORS.empty_table())
    path = run_dir.output.commit_path("x-0123456789", 0)
    stale = CommitRecord(
        shard_id="x-0123456789",
        part=0,
        windows=0,
        clips=0,
        errors=0,
        files=[file],
        next=Cursor(),
        share=1.0,
        last=True,
    )
    run_dir.output.commit(stale)
    return "stale_commit", path


def add_a_commit_after_the_last(run_dir: Damaged) -> tuple[str, str]:
    last = next(commit for commit in run_dir.output.commits() if commit.last)
    run_dir.output.commit(last.model_copy(update={"part": last.part + 1, "files": []}))
    return "stale_commit", run_dir.output.commit_path(last.shard_id, last.part + 1)


def break_a_commit(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.commit_file()
    path.write_text("{")
    return "damaged_record", str(path.relative_to(run_dir.folder))


def move_a_commit(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.commit_file()
    path.rename(path.with_name("000007.json"))
    return "misplaced_commit", str(path.with_name("000007.json").relative_to(run_dir.folder))


def break_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    (run_dir.folder / "_manifest.json").write_text("{}")
    return "damaged_record", "_manifest.json"


def count_wrong_in_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    manifest = run_dir.output.read_manifest()
    run_dir.output.write_manifest(manifest.model_copy(update={"windows": 11}))
    return "wrong_count", "_manifest.json"


def record_another_digest(run_dir: Damaged) -> tuple[str, str]:
    commit = run_dir.commit()
    changed = commit.files[0].model_copy(update={"sha256": "0" * 64})
    run_dir.output.commit(commit.model_copy(update={"files": [changed, *commit.files[1:]]}))
    return "record_differs", changed.path


def declare_half_a_run_whole(run_dir: Damaged) -> tuple[str, str]:
    run_dir.output.write_manifest(without_complete(run_dir.output.read_manifest()))
    return "false_success", "_SUCCESS"


def forget_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    (run_dir.folder / "_manifest.json").unlink()
    return "false_success", "_SUCCESS"


def miscount_windows(run_dir: Damaged) -> tuple[str, str]:
    run_dir.state(1, windows=run_dir.commit().windows + 1)
    return "wrong_count", str(run_dir.commit_file().relative_to(run_dir.folder))


def miscount_clips(run_dir: Damaged) -> tuple[str, str]:
    run_dir.state(1, clips=run_dir.commit().clips + 1)
    return "wrong_count", str(run_dir.commit_file().relative_to(run_dir.folder))


def miscount_rows(run_dir: Damaged) -> tuple[str, str]:
    old = run_dir.file("masks")
    run_dir.record(old, old.model_copy(update={"rows": 99}))
    return "wrong_count", old.path


@pytest.mark.parametrize(
    "damage",
    [
        *(delete_table, delete_audio, flip_a_bit, cut_a_file, break_parquet, leave_a_stray_file),
        *(lose_a_commit, add_a_stale_commit, add_a_commit_after_the_last, break_a_commit, move_a_commit),
        *(break_the_manifest, count_wrong_in_the_manifest, record_another_digest, declare_half_a_run_whole),
        *(forget_the_manifest, miscount_windows, miscount_clips, miscount_rows),
    ],
    ids=lambda damage: damage.__name__,
)
def test_damage_to_files_and_records_is_named(damaged: Damaged, damage: FileDamage) -> None:
    kind, where = damage(damaged)
    proof = verify(str(damaged.folder))
    assert any(line.startswith(f"{kind}: ") and where in line for line in told(proof).splitlines()), told(proof)


nan = float("nan")


@pytest.mark.parametrize(
    ("table", "change", "kind", "words"),
    [
        ("predictions", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("masks", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("clips", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("errors", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("predictions", lambda rows: rows.pop(1), "missing_window", "window"),
        ("masks", lambda rows: rows.pop(1), "missing_row", "no row, of 1 asked for"),
        ("faithfulness", lambda rows: rows.pop(1), "missing_row", "no row, of 1 asked for"),
        ("clips", lambda rows: rows.pop(1), "missing_row", "a listenable was asked for"),
        ("predictions", first("probability", nan), "not_finite", "probability is NaN or infinite"),
        ("predictions", one_of_list("embedding", nan), "not_finite", "embedding is NaN or infinite"),
        ("predictions", one_of_list("probabilities", -np.inf), "not_finite", "probabilities is NaN or infinite"),
        ("faithfulness", first("comp", np.inf), "not_finite", "comp is NaN or infinite"),
        ("masks", first("energy_kept", nan), "not_finite", "energy_kept is NaN or infinite"),
        ("clips", first("loudness_lufs", nan), "not_finite", "loudness_lufs is NaN or infinite"),
        ("faithfulness", first("sps", 1.25), "out_of_range", "sps is 1.25, outside 0 to 1"),
        ("faithfulness", first("ad", 101.0), "out_of_range", "ad is 101, outside 0 to 100"),
        ("faithfulness", first("fid_in", 0.5), "out_of_range", "fid_in is 0.5, not one of 0.0, 1.0"),
        ("masks", one_of_list("band_profile", -0.1), "out_of_range", "band_profile is -0.1, outside 0 to 1"),
        ("predictions", first("start_s", -1.0), "out_of_range", "start_s is -1, outside 0 to inf"),
        ("predictions", first("metadata", "[]"), "out_of_range", "metadata is no JSON object"),
        ("clips", first("kind", "both"), "out_of_range", "kind is 'both', not one of masked_in, masked_out"),
        ("errors", first("size_bytes", -1), "out_of_range", "size_bytes is -1"),
        ("predictions", first("label", "low noise"), "wrong_label", "'low noise', number"),
        ("predictions", first("label_index", lambda n: (n + 1) % 3), "wrong_label", "but the most probable is"),
        ("predictions", first("probability", lambda p: p - 0.01), "wrong_probabilities", "that of the label"),
        ("predictions", one_of_list("probabilities", 0.999), "wrong_probabilities", "they sum to"),
        (
            "predictions",
            first("probabilities", lambda p: p[:-1]),
            "wrong_probabilities",
            "2 probabilities for 3 labels",
        ),
        ("predictions", first("embedding", lambda e: e[:-1]), "uneven_shapes", "embeddings of more than one length"),
        ("masks", first("label", "fish"), "wrong_labels", "'fish': no label of the explainer"),
        ("masks", first("mask", lambda m: m[:-1]), "wrong_mask", "bytes for 257 bins in 64 frames"),
        ("masks", first("mask", lambda m: bytes(255 - level for level in m)), "wrong_mask", "mask_mean is"),
        ("masks", first("n_freq", 256), "wrong_mask", "for 256 bins in 64 frames"),
        ("masks", first("hop_s", 0.5), "uneven_shapes", "masks of more than one shape"),
        ("masks", first("time_profile", lambda p: p[1:]), "wrong_mask", "time_profile has 49 values, not 50"),
        ("masks", first("energy_kept", lambda e: e / 2), "scores_disagree", "another than in masks"),
        ("faithfulness", first("p", lambda p: p / 2), "scores_disagree", "by predictions"),
        ("faithfulness", first("ff_audio", lambda f: f / 2), "scores_disagree", "ff_audio is"),
        ("predictions", first("window_id", "f" * 32 + "-00000"), "wrong_id", "not what window"),
        ("masks", first("clip_id", "f" * 32), "wrong_id", "no window of the clip"),
        ("clips", first("uri", "audio/elsewhere.flac"), "missing_file", "audio/elsewhere.flac is named here"),
        ("clips", first("sha256", "0" * 64), "wrong_audio", "its row has another SHA-256"),
        ("clips", first("duration_s", 0.25), "wrong_audio", "frames, 4000 by its row"),
        ("clips", first("sample_rate", 8000), "wrong_audio", "16000 Hz, 8000 Hz by its row"),
        ("clips", first("peak_dbfs", -60.0), "wrong_audio", "-60.00 by its row"),
    ],
)
def test_damage_to_rows_is_named_though_every_record_agrees(
    damaged: Damaged, table: str, change: Callable, kind: str, words: str
) -> None:
    parts = range(len(damaged.output.commits()))
    # The largest part that has rows of the table: its clips have more windows than one.
    part = max(parts, key=lambda n: (any(f.table == table for f in damaged.commit(n).files), damaged.commit(n).windows))
    damaged.change(table, change, part)  # type: ignore[arg-type]
    proof = verify(str(damaged.folder))
    assert any(line.startswith(f"{kind}: ") and words in line for line in told(proof).splitlines()), told(proof)
    assert "wrong_digest" not in kinds(proof)
    assert "wrong_bytes" not in kinds(proof)


def test_a_clip_in_predictions_and_in_errors(damaged: Damaged) -> None:
    errors = next(n for n in range(4) if any(file.table == "errors" for file in damaged.commit(n).files))
    clip = pq.read_table(damaged.folder / damaged.file("predictions", 3).path)["clip_id"][0].as_py()
    damaged.change("errors", first("clip_id", clip), errors)
    assert f"clip_in_both: {damaged.commit(3).shard_id}: {clip}" in told(verify(str(damaged.folder)))


def test_a_clip_in_two_shards(damaged: Damaged) -> None:
    rows = pq.read_table(damaged.folder / damaged.file("predictions", 3).path).to_pylist()
    damaged.change("predictions", lambda others: others.extend(rows), 1)
    assert "doubled_clip" in kinds(verify(str(damaged.folder)))


def test_another_schema_version_and_another_type(damaged: Damaged) -> None:
    table = pq.read_table(damaged.folder / damaged.file("predictions").path)
    metadata = {**TABLES["predictions"].metadata, b"schema_version": b"99"}
    path = damaged.rewrite("predictions", table.replace_schema_metadata(metadata))
    assert f"wrong_schema: {path}: : schema version 99, this lmac knows 1" in told(verify(str(damaged.folder)))
    wide = table.set_column(4, pa.field("window_index", pa.int64(), False), table["window_index"].cast(pa.int64()))
    path = damaged.rewrite("predictions", wide)
    assert f"wrong_schema: {path}: : not of the schema: window_index int64;" in told(verify(str(damaged.folder)))


def test_a_truncated_flac_and_a_shorter_one_and_none(damaged: Damaged) -> None:
    path = damaged.change_audio(lambda data: data[: len(data) // 2])
    proof = verify(str(damaged.folder))
    assert kinds(proof) <= {"undecodable_audio", "wrong_audio"}
    assert path in told(proof)
    damaged.change_audio(shorter_flac, 2)
    assert "frames, " in told(verify(str(damaged.folder)))
    path = damaged.change_audio(lambda data: b"no sound", 3)
    assert f"undecodable_audio: {path}" in told(verify(str(damaged.folder)))


def test_a_soft_mask_in_a_run_of_binary_ones(damaged: Damaged) -> None:
    damaged.set_run(mask="binary")
    assert "the run is of binary masks, and this one is not" in told(verify(str(damaged.folder)))


def test_listenables_that_were_not_asked_for(damaged: Damaged) -> None:
    damaged.set_run(listenables=["masked_in"])
    assert verify(str(damaged.folder)).findings.counts == {"stray_row": 10}


def test_the_input_is_held_against_the_run(damaged: Damaged, tiny_run: TinyRun, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_run.source, tmp_path / "input"))
    (source / "cat" / "three.ogg").rename(source / "cat" / "threw.ogg")
    proof = verify(str(damaged.folder), str(source))
    assert "input_changed" in kinds(proof)
    damaged.change("errors", first("clip_id", "f" * 32), 0)
    found = told(verify(str(damaged.folder), tiny_run.source))
    assert f"missing_clip: {damaged.commit(0).shard_id}" in found
    assert f"stray_clip: {damaged.commit(0).shard_id}: {'f' * 32}" in found


def test_explaining_again(damaged: Damaged, tiny_run: TinyRun, tmp_path: Path) -> None:
    proof = verify(tiny_run.output, tiny_run.source, deep=99, explainer_url=tiny_run.explainer)
    assert told(proof) == ""
    assert proof.again == 10
    assert verify(tiny_run.output, tiny_run.source, deep=3, explainer_url=tiny_run.explainer).again == 3

    def two_levels(mask: bytes) -> bytes:
        levels = np.frombuffer(mask, np.uint8).astype(int)
        up, down = np.flatnonzero(levels < 200)[0], np.flatnonzero(levels > 100)[0]
        levels[up] += 2  # the mean stays, so that no other check can tell
        levels[down] -= 2
        return levels.astype(np.uint8).tobytes()

    damaged.change("masks", first("mask", two_levels))
    proof = verify(str(damaged.folder), tiny_run.source, deep=99, explainer_url=tiny_run.explainer)
    assert kinds(proof) == {"differs_again"}
    assert "2 bins of the mask of" in told(proof)
    other = save_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ExplainerError, match=r"has the digest [0-9a-f]{12}, the run was made with 'tiny' of"):
        verify(tiny_run.output, tiny_run.source, deep=1, explainer_url=other)
    with pytest.raises(ExplainerError, match="keeps no explainer of its own: give the one it was made with, 'tiny'"):
        verify(tiny_run.output, tiny_run.source, deep=1)


def test_the_explainer_that_is_saved_with_the_run(damaged: Damaged, tiny_run: TinyRun) -> None:
    digest = json.loads((damaged.folder / "_run.json").read_text())["explainer"]["digest"]
    shutil.copytree(tiny_run.explainer, damaged.folder / damaged.output.explainer_folder(digest))
    proof = verify(str(damaged.folder), tiny_run.source, deep=2)
    assert told(proof) == ""
    assert proof.again == 2


def test_tars_and_parquet_are_held_against_a_run_of_binary_masks(tiny_run: TinyRun, tmp_path: Path) -> None:
    source, clips = tmp_path / "in", mixed_clips()
    source.mkdir()
    names = sorted(clips)
    (source / "a.tar").write_bytes(tar_bytes({name: clips[name] for name in names[:5]}))
    write_parquet(source / "b.parquet", [{"audio": {"bytes": clips[name], "path": name}} for name in names[5:]])
    content = ContentConfig(explainer=tiny_run.explainer, mask="binary", listenables=(), window_hop_s=0.5)
    output = run_here(str(source), str(tmp_path / "out"), content)
    proof = verify(output, str(source), deep=99, explainer_url=tiny_run.explainer)
    assert told(proof) == ""
    assert (proof.clips, proof.listenables) == (8, 0)
    assert proof.again == proof.windows > 10
    damaged = Damaged(Path(output))

    def invert(rows: list) -> None:
        # A row of bins against another: no other check can tell.
        mask = np.frombuffer(rows[0]["mask"], np.uint8).copy()
        on, off = np.flatnonzero(mask)[:9], np.flatnonzero(mask == 0)[:9]
        mask[on], mask[off] = 0, 255
        rows[0]["mask"] = mask.tobytes()

    part = next(n for n, commit in enumerate(damaged.output.commits()) if commit.windows)
    damaged.change("masks", invert, part)
    proof = verify(output, str(source), deep=99, explainer_url=tiny_run.explainer)
    assert "differs_again" in kinds(proof)


def test_a_run_on_s3(tiny_run: TinyRun, s3_server: S3Server) -> None:
    shutil.copytree(tiny_run.output, s3_server.bucket_dir / "run")
    proof = verify(f"{s3_server.bucket_url}/run")
    assert told(proof) == ""
    assert proof.files == 33
    path = Damaged(s3_server.bucket_dir / "run").file("masks").path
    RunOutput(f"{s3_server.bucket_url}/run").write_bytes(path, b"damaged")
    assert f"wrong_bytes: {path}" in told(verify(f"{s3_server.bucket_url}/run"))


def test_the_command(damaged: Damaged, tiny_run: TinyRun) -> None:
    code, said = run("verify", damaged.folder)
    assert code == 0
    assert said.startswith("checked 4 parts in 33 files of 0.6 MB: 8 clips, 3 of them errors; 10 windows, 10 masks")
    assert said.endswith("nothing found to be wrong")
    kind, path = delete_audio(damaged)
    code, said = run("verify", damaged.folder)
    assert code == 1
    assert f"{kind}: 1 {path}: it is recorded and not there" in said
    code, said = run("verify", damaged.folder, "--json")
    assert code == 1
    told = json.loads(said)
    assert told["sound"] is False
    assert told["findings"][kind]["count"] == 1
    assert told["findings"][kind]["first"][0]["file"] == path
    assert run("verify", tiny_run.source) == (
        1,
        f"error: {tiny_run.source}: it has no _run.json: give the output of `lmac explain`",
    )
    code, said = run("verify", damaged.folder, "--deep", "3")
    assert (code, said) == (1, "error: --deep explains windows again from the input: give --input")


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"it has no _run\.json: give the output of `lmac explain`"):
        verify(str(tmp_path))


def test_few_findings_of_a_kind_are_kept_and_all_are_counted() -> None:
    one, all_of_them = Findings(), Findings()
    for number in range(30):
        one.add("a", f"{number}", "wrong")
    one.add("b", "x", "wrong")
    all_of_them.take(one)
    all_of_them.take(one)
    assert all_of_them.counts == {"a": 60, "b": 2}
    assert [finding.file for finding in all_of_them.shown["a"]] == [str(number) for number in range(SHOWN)]
    assert len(all_of_them) == 62


def test_neither_ray_nor_the_flow_is_needed() -> None:
    code = "import sys, pipeline.proof.verify; print({name for name in sys.modules if name == 'ray' or 'flow' in name})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ray'" not in done.stdout
    assert "pipeline.flow" not in done.stdout

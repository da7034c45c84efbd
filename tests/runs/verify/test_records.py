"""`verify` names planted damage to files, commits and the manifest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.runs.verify.verify import verify
from schemas.records import CommitRecord, Cursor
from schemas.tables import ERRORS
from tests.runs.verify.damage import Damaged
from tests.runs.verify.make import told

pytestmark = pytest.mark.slow


FileDamage = Callable[[Damaged], tuple[str, str]]


def delete_table(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file("faithfulness").path
    (run_dir.folder / path).unlink()
    return "missing_file", path


def delete_listenables(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.file("listenables").path
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
        recordings=0,
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
    run_dir.change_manifest(windows=11)
    return "wrong_count", "_manifest.json"


def sum_wrong_in_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    sums = run_dir.output.read_manifest().sums
    run_dir.change_manifest(sums=sums.model_copy(update={"reasons": {**sums.reasons, "empty": 7}}))
    return "wrong_sums", "_manifest.json: errors reason empty"


def miscount_a_table_in_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    tables = run_dir.output.read_manifest().tables
    run_dir.change_manifest(tables={**tables, "masks": tables["masks"].model_copy(update={"rows": 1})})
    return "wrong_count", "masks: files=3 rows=1"


def change_the_list_of_files(run_dir: Damaged) -> tuple[str, str]:
    path = run_dir.folder / "_manifest.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return "wrong_digest", "_manifest.parquet"


def lose_the_list_of_files(run_dir: Damaged) -> tuple[str, str]:
    (run_dir.folder / "_manifest.parquet").unlink()
    return "missing_file", "_manifest.parquet"


def break_the_list_of_files(run_dir: Damaged) -> tuple[str, str]:
    run_dir.change_manifest(files=run_dir.output.write_bytes("_manifest.parquet", b"PAR1 no table PAR1"))
    return "unreadable_table", "_manifest.parquet"


def name_a_file_in_the_manifest_alone(run_dir: Damaged) -> tuple[str, str]:
    errors = next(n for n in range(4) if any(file.table == "errors" for file in run_dir.commit(n).files))
    old = run_dir.file("errors", errors)
    new = old.model_copy(update={"path": "errors/alone.parquet"})
    (run_dir.folder / new.path).write_bytes((run_dir.folder / old.path).read_bytes())
    run_dir.replace_alone(new)
    return "missing_commit", new.path


def leave_candidates(run_dir: Damaged) -> tuple[str, str]:
    run_dir.output.write_bytes("_candidates/left.parquet", b"x")
    return "stray_file", "_candidates/left.parquet"


def name_a_file_after_another_part(run_dir: Damaged) -> tuple[str, str]:
    old = run_dir.file("faithfulness")
    new = old.model_copy(update={"path": old.path.replace("-00000", "-00007")})
    (run_dir.folder / old.path).rename(run_dir.folder / new.path)
    run_dir.record(old, new)
    return "misnamed_file", new.path


def record_another_digest(run_dir: Damaged) -> tuple[str, str]:
    commit = run_dir.commit()
    changed = commit.files[0].model_copy(update={"sha256": "0" * 64})
    run_dir.output.commit(commit.model_copy(update={"files": [changed, *commit.files[1:]]}))
    return "record_differs", changed.path


def declare_half_a_run_whole(run_dir: Damaged) -> tuple[str, str]:
    run_dir.change_manifest(complete=False)
    return "false_success", "_SUCCESS"


def forget_the_manifest(run_dir: Damaged) -> tuple[str, str]:
    (run_dir.folder / "_manifest.json").unlink()
    return "false_success", "_SUCCESS"


def miscount_windows(run_dir: Damaged) -> tuple[str, str]:
    run_dir.state(1, windows=run_dir.commit().windows + 1)
    return "wrong_count", str(run_dir.commit_file().relative_to(run_dir.folder))


def miscount_recordings(run_dir: Damaged) -> tuple[str, str]:
    run_dir.state(1, recordings=run_dir.commit().recordings + 1)
    return "wrong_count", str(run_dir.commit_file().relative_to(run_dir.folder))


def sum_wrong_in_a_commit(run_dir: Damaged) -> tuple[str, str]:
    sums = run_dir.commit().sums
    target, scores = next(iter(sums.targets.items()))
    targets = {**sums.targets, target: scores.model_copy(update={"ff": scores.ff + 0.01})}
    run_dir.state(1, sums=sums.model_copy(update={"targets": targets}))
    return "wrong_sums", f"{run_dir.commit_file().relative_to(run_dir.folder)}: {target} ff"


def count_hits_that_were_none(run_dir: Damaged) -> tuple[str, str]:
    run_dir.state(1, sums=run_dir.commit().sums.model_copy(update={"labelled": 2, "hits": 1}))
    return "wrong_sums", f"{run_dir.commit_file().relative_to(run_dir.folder)}: hits"


def miscount_rows(run_dir: Damaged) -> tuple[str, str]:
    old = run_dir.file("masks")
    run_dir.record(old, old.model_copy(update={"rows": 99}))
    return "wrong_count", old.path


@pytest.mark.parametrize(
    "damage",
    [
        *(delete_table, delete_listenables, flip_a_bit, cut_a_file, break_parquet, leave_a_stray_file),
        *(lose_a_commit, add_a_stale_commit, add_a_commit_after_the_last, break_a_commit, move_a_commit),
        *(break_the_manifest, count_wrong_in_the_manifest, record_another_digest, declare_half_a_run_whole),
        *(forget_the_manifest, miscount_windows, miscount_recordings, miscount_rows, sum_wrong_in_a_commit),
        *(count_hits_that_were_none, sum_wrong_in_the_manifest, miscount_a_table_in_the_manifest),
        *(change_the_list_of_files, lose_the_list_of_files, break_the_list_of_files),
        *(name_a_file_in_the_manifest_alone, leave_candidates, name_a_file_after_another_part),
    ],
    ids=lambda damage: damage.__name__,
)
def test_damage_to_files_and_records_is_named(damaged: Damaged, damage: FileDamage) -> None:
    kind, where = damage(damaged)
    found = verify(str(damaged.folder))
    assert any(line.startswith(f"{kind}: ") and where in line for line in told(found).splitlines()), told(found)

"""The records of a run held against each other: commits among themselves, the manifest and _SUCCESS against them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from pipeline.storage.errors import StorageError
from schemas.records import CommitRecord, FileRecord, Manifest, RunRecord

_READ_THREADS = 16
MANIFEST, SUCCESS = "_manifest.json", "_SUCCESS"


@dataclass(frozen=True)
class Outline:
    """What the records say; `commits` by path, sorted by shard and part.

    `alone` are files that the manifest names and no commit does. `ended` are the shards with a last part, `broken`
    those whose parts do not follow each other.
    """

    record: RunRecord
    manifest: Manifest | None
    succeeded: bool
    commits: dict[str, CommitRecord]
    alone: list[FileRecord]
    ended: set[str]
    broken: set[str]

    @property
    def finished(self) -> bool:
        """Whether the run says that it is whole."""
        return self.succeeded or (self.manifest is not None and self.manifest.complete)


def read_outline(output: RunOutput, findings: Findings) -> Outline:
    """Read the records of a run and check them.

    Raises StorageError when there is no run, or its record is damaged.
    """
    record = output.begun()
    succeeded = output.succeeded()
    manifest = _manifest(output, findings)
    commits = _commits(output, findings)
    ended, broken = _check_chains(commits, record, manifest, findings)
    alone = _check_manifest(commits, manifest, findings)
    if succeeded and (manifest is None or not manifest.complete):
        what = "shards that were given up" if manifest else "no manifest that can be read"
        findings.add("false_success", SUCCESS, f"it says that the run is whole, but there are {what}")
    finished = succeeded or (manifest is not None and manifest.complete)
    if finished and len(ended) != record.shards:
        findings.add("missing_shard", "_run.json", f"{len(ended)} of {record.shards} shards are committed to their end")
    return Outline(record, manifest, succeeded, commits, alone, ended, broken)


def _manifest(output: RunOutput, findings: Findings) -> Manifest | None:
    if not output.has_manifest():
        return None
    try:
        return output.read_manifest()
    except StorageError as error:
        findings.add("damaged_record", MANIFEST, str(error))
        return None


def _commits(output: RunOutput, findings: Findings) -> dict[str, CommitRecord]:
    def read(path: str) -> CommitRecord | StorageError:
        try:
            return output.read_commit(path)
        except StorageError as error:
            return error

    paths = [file.path for file in output.commit_files()]
    commits: dict[str, CommitRecord] = {}
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        for path, read_back in zip(paths, pool.map(read, paths), strict=True):
            if isinstance(read_back, StorageError):
                findings.add("damaged_record", path, str(read_back))
            elif path != output.commit_path(read_back.shard_id, read_back.part):
                message = f"it is of part {read_back.part} of {read_back.shard_id}, and lies under another name"
                findings.add("misplaced_commit", path, message)
            else:
                commits[path] = read_back
    return commits


def _check_chains(
    commits: Mapping[str, CommitRecord], record: RunRecord, manifest: Manifest | None, findings: Findings
) -> tuple[set[str], set[str]]:
    by_shard: dict[str, list[tuple[str, CommitRecord]]] = defaultdict(list)
    for path, commit in commits.items():
        by_shard[commit.shard_id].append((path, commit))
    ended, broken = set(), set()
    full = record.config.get("part_windows")
    finished = manifest is not None and manifest.complete
    for shard_id, parts in by_shard.items():
        parts.sort(key=lambda part: part[1].part)
        for number, (path, commit) in enumerate(parts):
            if commit.part != number:
                findings.add("missing_commit", path, f"part {number} of {shard_id} before it has no commit")
                broken.add(shard_id)
                break
            if commit.last and number + 1 < len(parts):
                findings.add("stale_commit", parts[number + 1][0], f"{shard_id} ends with part {number} before it")
                broken.add(shard_id)
                break
            if not commit.last and commit.windows != full:
                message = f"{commit.windows} windows in a part that is not the last, not {full}"
                findings.add("wrong_count", path, message)
        else:
            if parts[-1][1].last:
                ended.add(shard_id)
            elif finished:
                findings.add("missing_commit", parts[-1][0], f"{shard_id} has no commit for the parts after this one")
    return ended, broken


def _check_manifest(
    commits: Mapping[str, CommitRecord], manifest: Manifest | None, findings: Findings
) -> list[FileRecord]:
    committed: dict[str, FileRecord] = {}
    for path, commit in commits.items():
        for file in commit.files:
            if file.path in committed:
                findings.add("doubled_file", path, "another commit names it too", file.path)
            committed[file.path] = file
    if manifest is None:
        return []
    known = {file.path: file for file in manifest.files()}
    given_up = {shard.shard_id for shard in manifest.quarantined}
    counted: list[CommitRecord] = []
    for path, commit in commits.items():
        lacking = [file.path for file in commit.files if file.path not in known]
        # A shard that was given up may be gone on with, and the manifest be written anew at its end.
        if lacking and commit.shard_id not in given_up:
            findings.add("stale_commit", path, f"the manifest lacks {len(lacking)} of its files", lacking[0])
        if not lacking or commit.shard_id not in given_up:
            counted.append(commit)
        for file in commit.files:
            if file.path in known and known[file.path] != file:
                findings.add("record_differs", MANIFEST, f"the manifest and {path} record it differently", file.path)
    alone = [file for path, file in known.items() if path not in committed]
    for file in alone:
        if file.rows != 0:
            findings.add("missing_commit", MANIFEST, "no commit names this file of the manifest", file.path)
    names = ("listenables", "windows", "errors")
    found = {name: sum(getattr(commit, name) for commit in counted) for name in names} | {"parts": len(counted)}
    for name, count in found.items():
        if count != getattr(manifest, name):
            findings.add("wrong_count", MANIFEST, f"{getattr(manifest, name)} {name}, the commits have {count}")
    return alone

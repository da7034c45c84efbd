"""What an interrupted run leaves behind: files that no record of the run names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pipeline.runs.output import AUDIT, RunOutput, StoredFile

_TEMPORARY = re.compile(rf"({AUDIT}/)?\.[0-9a-f]{{32}}\.tmp")


@dataclass(frozen=True)
class Leftovers:
    """Files that may be deleted, sorted by path, and files that are too young to tell, or of unknown age."""

    files: list[StoredFile]
    young: list[StoredFile]


def find_leftovers(output: RunOutput, older_than: timedelta) -> Leftovers:
    """Find files of tables that no commit and no manifest names, explainers of other digests, and temporary files.

    A file younger than `older_than` may belong to a part that is being written now.
    Raises StorageError when there is no run, or one of its records is damaged: then nothing is known to be left over.
    """
    record = output.begun()
    # Listed before the commits are read: a file that a commit names was written before it.
    content = output.content_files()
    explainers, root = output.explainer_files(), output.stored(deep=False)
    named = set()
    finished = output.succeeded()
    for commit in output.commits():
        named |= {file.path for file in commit.files}
        if commit.candidates is not None and not finished:
            named.add(commit.candidates.path)
    if output.has_manifest():
        named |= {file.path for file in output.files()}
    kept = output.explainer_folder(record.explainer["digest"])
    found = [file for file in content if file.path not in named]
    found += [file for file in explainers if not file.path.startswith(f"{kept}/")]
    found += [file for file in (*root, *output.stored(AUDIT)) if _TEMPORARY.fullmatch(file.path)]
    latest = datetime.now(timezone.utc) - older_than
    found.sort(key=lambda file: file.path)
    old = [file for file in found if file.modified is not None and file.modified <= latest]
    return Leftovers(old, sorted(set(found) - set(old), key=lambda file: file.path))

"""Checks made before a run writes or starts anything."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.inputs.find import find_files
from pipeline.inputs.shards import printable
from pipeline.runs.output import RunOutput
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url, is_pattern, open_filesystem
from schemas.errors import LmacError
from schemas.explainer_config import ExplainerConfig, FrontEndConfig
from schemas.run_config import PART_MASKS, ContentConfig
from schemas.tables import TABLES
from schemas.targets import Targets
from schemas.yaml_config import ConfigError


class RunConflictError(LmacError):
    """The output belongs to something else, or to a run with other settings."""


def check_hop(content: ContentConfig, front_end: FrontEndConfig) -> None:
    """Refuse, with a ConfigError, a hop that would skip sound between windows."""
    hop_s = content.window_hop_s
    if hop_s is not None and not 1 <= round(hop_s * front_end.sample_rate) <= front_end.window_samples:
        raise ConfigError(
            f"window_hop_s: must be at most the explainer's window, {front_end.window_s:g} s, and at least one "
            f"sample, got {hop_s:g}"
        )


def check_targets(content: ContentConfig, explainer: ExplainerConfig) -> None:
    """Refuse, with a ConfigError, targets that the explainer cannot explain, or too many of them for a part."""
    targets = Targets.parse(content.targets)
    try:
        targets.refuse_for(explainer)
    except ValueError as error:
        raise ConfigError(f"targets: {error}") from None
    count = targets.count(explainer.labels)
    if content.part_windows * count > PART_MASKS:
        # A part is written as one, so all its masks are in memory together.
        raise ConfigError(
            f"part_windows: {content.part_windows} windows of {count} targets are more than the {PART_MASKS} "
            f"masks that a part may have: use --part-windows {max(PART_MASKS // count, 1)}, or fewer targets"
        )


def trace_file(path: str | None) -> Path | None:
    """Return the file for a run's trace, or None without one; raises ConfigError when it cannot be written."""
    if path is None:
        return None
    file = Path(path)
    if "://" in path or file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ConfigError(f"trace: must be a writable file on this machine, got {path!r}")
    return file


def check_apart(input_url: str, output: RunOutput) -> None:
    """Refuse, with an InputError, an output inside the input."""
    (fs, source), (target_fs, target) = open_filesystem(input_url), open_filesystem(output.url)
    # A pattern is matched against the name that a table of listenables will have.
    found = is_pattern(input_url) and fnmatchcase(f"{target}/listenables/part.parquet", source)
    if type(fs) is type(target_fs) and (found or f"{target}/".startswith(f"{source}/")):
        raise InputError(
            f"{display_url(output.url)}: the output lies within the input, so a resumed run would read it as input: "
            "choose a place outside"
        )


def check_free(output: RunOutput) -> None:
    """Refuse, with a RunConflictError, an output with files that a run would delete as leftovers of its own."""
    try:
        found = find_files(output.url).sizes
    except InputError:
        return
    taken = sorted(path for path in found if path.partition("/")[0] in TABLES)
    if taken:
        raise RunConflictError(
            f"{display_url(output.url)} holds other files, such as {printable(taken[0])!r}, in a folder that the run "
            "would write to: choose another output"
        )

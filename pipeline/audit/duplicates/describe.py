"""Findings about groups of copies: their statements, their members, and where labels disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.audit.duplicates.copy_groups import CopyGroups, Link, spanning
from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.findings import Effect, Finding, Member
from pipeline.audit.weight import CANDIDATE, LEAKAGE, STAKES, weigh

# Groups that the evidence names.
_NAMED = 50


def same_samples(windows: RecordedWindows, found: CopyGroups) -> Finding:
    """The finding of recordings with exactly the samples of another; it says how many share only some of them."""
    said = f"{_recordings(found)} have the samples of another, bit for bit, in {_groups(found.groups)}"
    sound, recording = windows.sound[windows.heard], windows.recording[windows.heard]
    of_several = np.bincount(np.unique(np.stack([sound, recording]), axis=1)[0], minlength=int(sound.max()) + 1) > 1
    in_part = len(set(recording[~of_several[sound]].tolist()) & set(found.recordings))
    if in_part:
        said += f"; {in_part} of them only in part of their windows"
    return _finding(windows, found, "same samples", said, confirmed=True, more={"in_part": in_part})


def near_copies(windows: RecordedWindows, found: CopyGroups, not_compared: int) -> Finding:
    """The finding of recordings whose waveforms agree with another's though their samples are not the same.

    `not_compared` is the number of pairs of neighbours beyond those that were compared by their sound.
    """
    said = (
        f"{_recordings(found)} have the waveform of another at another level, cut, moved, encoded again or with "
        f"noise, in {_groups(found.groups)}"
    )
    if not_compared:
        said += f"; {not_compared} less likely pairs were not compared"
    return _finding(windows, found, "near copies", said, confirmed=True, more={"not_compared": not_compared})


def unheard_candidates(windows: RecordedWindows, found: CopyGroups, given: bool) -> Finding:
    """The finding of similar recordings whose sound could not be compared; it claims nothing."""
    why = "the input no longer has their sound" if given else "pass the run's input to compare it"
    said = f"{_recordings(found)} may be near copies in {_groups(found.groups)}: not verified on sound ({why})"
    return _finding(windows, found, "near copies, not verified", said, confirmed=None)


def leakage(windows: RecordedWindows, found: CopyGroups, split: str) -> list[Finding]:
    """A finding for each set of values of the column `split` that groups of copies span."""
    findings = []
    for names, groups in spanning(found.groups, windows.splits).items():
        links = {one: [_across(windows, found, group, one)] for group in groups for one in group}
        part = CopyGroups(groups, links)
        counts = {name: sum(windows.splits[one] == name for one in part.recordings) for name in names}
        said = f"{_recordings(part)} in {_groups(groups)} of copies lie across {split} {' and '.join(names)}"
        subject = f"leakage across {split}: {', '.join(names)}"
        findings.append(_finding(windows, part, subject, said, confirmed=True, more={"by_split": counts}))
    return findings


def _across(windows: RecordedWindows, found: CopyGroups, group: list[int], own: int) -> Link:
    """A recording's clearest copy in another split, or through others if it is linked to none directly."""
    splits = windows.splits
    for link in found.links[own]:
        if splits[link.other] not in (None, splits[own]):
            return link
    best = found.links[own][0]
    others = [one for one in group if one != own and splits[one] not in (None, splits[own])]
    return Link(others[0] if others else best.other, best.correlation, best.window)


def _finding(
    windows: RecordedWindows,
    found: CopyGroups,
    subject: str,
    statement: str,
    confirmed: bool | None,
    more: dict[str, Any] | None = None,
) -> Finding:
    n, total = len(found.recordings), len(windows.names)
    disagreeing = [group for group in found.groups if len(_label_sets(windows, group)) > 1]
    if disagreeing:
        statement += f"; in {_groups(disagreeing)} labels disagree"
    firsts = [(found.links[one][0], one) for one in found.recordings]
    members = [
        Member(
            windows.clip_ids[link.window], windows.window_ids[link.window], link.correlation, windows.names[link.other]
        )
        for link, one in sorted(firsts, key=lambda pair: (-pair[0].correlation, pair[1]))
    ]
    stakes = LEAKAGE if subject.startswith("leakage") else STAKES["duplicate"]
    return Finding(
        kind="duplicate",
        subject=subject,
        statement=statement,
        n=n,
        share=n / total,
        weight=weigh(stakes, n / total, CANDIDATE if confirmed is None else 1.0),
        candidate=confirmed is None,
        effect=Effect(n / total, "of all recordings"),
        confirmed=confirmed,
        evidence={
            "groups": len(found.groups),
            "more_than_one_each": n - len(found.groups),
            "labels_disagree": [_named(windows, group) for group in disagreeing[:_NAMED]],
            "labels_disagree_groups": len(disagreeing),
            "recordings": [_named(windows, group) for group in found.groups[:_NAMED]],
            **(more or {}),
        },
        members=members,
    )


def _label_sets(windows: RecordedWindows, group: Sequence[int]) -> set[tuple[str, ...]]:
    """The different labels of a group; a recording without any is ignored."""
    return {windows.labels[one] for one in group if windows.labels[one]}


def _named(windows: RecordedWindows, group: Sequence[int]) -> dict[str, list[str]]:
    """The recordings of a group and their labels."""
    return {windows.names[one]: list(windows.labels[one]) for one in group[:_NAMED]}


def _recordings(found: CopyGroups) -> str:
    return f"{len(found.recordings)} recordings"


def _groups(groups: Sequence[list[int]]) -> str:
    return f"{len(groups)} group{'s' * (len(groups) != 1)}"

"""The windows that explain a suggested class: they show which part of the sound speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.audit.audited import AuditedRun


def best_windows(about: AuditedRun, recordings: Sequence[int], suggestions: Sequence[str]) -> tuple[list[str], int]:
    """The window of each recording to listen to: one that is explained for the suggested class, else its first.

    Also returns how many are explained for it.
    """
    clips = [about.recordings[recording] for recording in recordings]
    rows = about.connection.execute(
        "SELECT clip_id, target, min(window_id) FROM masks JOIN (SELECT unnest(?) AS clip_id, unnest(?) AS target) "
        "USING (clip_id, target) GROUP BY ALL",
        [clips, list(suggestions)],
    ).fetchall()
    explained = {(clip_id, target): window for clip_id, target, window in rows}
    first = {clip: about.window_ids[about.first_windows[one]] for clip, one in zip(clips, recordings, strict=True)}
    windows = [explained.get((clip, name), first[clip]) for clip, name in zip(clips, suggestions, strict=True)]
    return windows, sum(key in explained for key in zip(clips, suggestions, strict=True))

"""Which windows of a run its report shows, by a rule that the report states."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

# Findings may have as many members as the run has windows: half of what is shown is left for the classes.
MEMBERS_SHARE = 0.5

_MEMBERS = """
    SELECT window_id FROM (
        SELECT window_id, weight, row_number() OVER (PARTITION BY finding ORDER BY score DESC, window_id) AS place
        FROM members JOIN findings USING (finding) WHERE window_id IN (SELECT window_id FROM predictions)
    )
    GROUP BY window_id ORDER BY min(place), max(weight) DESC, window_id LIMIT ?
"""
# The ranks of schemas.draws: what a run keeps of each target comes first here too.
_CLASSES = """
    SELECT ids[place] AS window_id FROM (
        SELECT label, ids, unnest(range(1, len(ids) + 1)) AS place FROM (
            SELECT label, arg_min(window_id, sha256(window_id), ?) AS ids FROM predictions GROUP BY label
        )
    ) ORDER BY place, label LIMIT ?
"""


@dataclass(frozen=True)
class Sample:
    """The windows shown, in the order they were chosen, out of `windows`; `from_findings` of them for a finding."""

    window_ids: list[str]
    windows: int
    from_findings: int

    def rule(self, pictured: int, heard: int) -> str:
        """The rule in words, where `pictured` windows have pictures and `heard` have sound."""
        shown, windows = len(self.window_ids), self.windows
        if shown == windows:
            sentences = [f"All {windows:,} windows of the run are shown."]
        else:
            sentences = [
                f"{shown:,} of the run's {windows:,} windows are shown.",
                "The members of findings come first, the clearest of each finding in turn; then each class in turn "
                "gives the window whose id has the lowest hash (SHA-256), so every report of the run shows the same.",
            ]
        if pictured < shown or heard < shown:
            sentences.append(
                f"There are pictures of {pictured:,} and sound of {heard:,}: the first in this order whose sound "
                "the run keeps, as far as there is room."
            )
        return " ".join(sentences)


def choose(connection: duckdb.DuckDBPyConnection, count: int) -> Sample:
    """Choose up to `count` windows from the tables `predictions`, `findings` and `members` of a connection.

    Members of findings come first, the clearest of each in turn, up to half of the count; then windows of each decided
    class in turn, by the lowest hash of their ids.
    """
    ((windows,),) = connection.execute("SELECT count(*) FROM predictions").fetchall()
    most = count if windows <= count else max(1, int(count * MEMBERS_SHARE))
    members = [row[0] for row in connection.execute(_MEMBERS, [most]).fetchall()]
    others = [row[0] for row in connection.execute(_CLASSES, [count, count]).fetchall()]
    chosen = list(dict.fromkeys([*members, *others]))[:count]
    return Sample(chosen, windows, len(members))

"""Copies joined to groups of recordings, and for each recording the one that it repeats most clearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.verify_pairs import Copy


@dataclass(frozen=True)
class Link:
    """A recording's clearest copy: the other recording, the correlation, and the window of its own that shows it."""

    other: int
    correlation: float
    window: int


@dataclass(frozen=True)
class CopyGroups:
    """Groups of recordings, each sorted, in order; and all links of each recording, the clearest first."""

    groups: list[list[int]]
    links: dict[int, list[Link]] = field(repr=False)

    @property
    def recordings(self) -> list[int]:
        """All that are in a group, in order."""
        return sorted(self.links)


def group_copies(windows: RecordedWindows, copies: Iterable[Copy]) -> CopyGroups:
    """Join copies: recordings that repeat the same one are a group, whether or not they were compared."""
    links: dict[int, list[Link]] = defaultdict(list)
    for copy in copies:
        for window, other in ((copy.first, copy.second), (copy.second, copy.first)):
            own, another = int(windows.recording[window]), int(windows.recording[other])
            links[own].append(Link(another, copy.correlation, window))
    for own in links:
        links[own].sort(key=lambda link: (-link.correlation, link.other, link.window))
    return CopyGroups(_components(links), dict(links))


def spanning(groups: Sequence[list[int]], splits: Sequence[str | None]) -> dict[tuple[str, ...], list[list[int]]]:
    """The groups that span several splits, by the sorted names of the splits."""
    found: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for group in groups:
        names = sorted({split for one in group if (split := splits[one]) is not None})
        if len(names) > 1:
            found[tuple(names)].append(group)
    return dict(sorted(found.items()))


def _components(links: dict[int, list[Link]]) -> list[list[int]]:
    numbers = sorted(links)
    place = {number: index for index, number in enumerate(numbers)}
    edges = np.array([(place[own], place[link.other]) for own in numbers for link in links[own]]).reshape(-1, 2)
    shape = (len(numbers), len(numbers))
    matrix = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=shape)
    component = connected_components(matrix, directed=False)[1]
    groups: dict[int, list[int]] = defaultdict(list)
    for number, group in zip(numbers, component.tolist(), strict=True):
        groups[group].append(number)
    return sorted(groups.values())

"""Split recordings into those trained on, those that choose the epoch, and those scored once at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.inputs.selection import Selection, describe, parse_selection
from pipeline.inputs.window_set import TrainingDataError, WindowSet


@dataclass(frozen=True)
class Split:
    """Disjoint sets of recordings; `how` describes them in words."""

    train: WindowSet
    validation: WindowSet | None
    test: WindowSet | None
    how: str


def selections_of(select: Sequence[str], test: str | None) -> list[Selection]:
    """Return the selections that `load_windows` must read for a split; none if the split uses every recording.

    Raises SelectionError as `parse_selection` does.
    """
    if not select:
        return []
    return [parse_selection(select), *([parse_selection([test])] if test else [])]


def split(windows: WindowSet, select: Sequence[str], validation: str, test: str | None, seed: int) -> Split:
    """Split recordings by their metadata: `select` is trained on, `test` never is.

    `validation` is held out from `select`: a selection, a share of each class drawn at random, or "none".
    Raises TrainingDataError or SelectionError if a set is empty or tested recordings would be trained on.
    """
    chosen = windows.where(parse_selection(select)) if select else windows
    how = [f"trained on {len(chosen.keys)} recordings" + (f" ({describe(parse_selection(select))})" if select else "")]
    how += [windows.about] if windows.about else []
    tested = windows.where(parse_selection([test])) if test else None
    both = set(chosen.keys) & set(tested.keys) if tested is not None else set()
    if both:
        raise TrainingDataError(
            f"{len(both)} recordings would be both trained on and tested on: select those to train on without them"
        )
    held_out = None
    if validation != "none":
        chosen, held_out = _hold_out(chosen, validation, seed)
        how.append(f"{len(held_out.keys)} of them held out to choose the epoch ({validation})")
    if tested is not None:
        how.append(f"tested once on {len(tested.keys)} recordings ({test})")
    return Split(chosen, held_out, tested, "; ".join(how))


def _hold_out(windows: WindowSet, validation: str, seed: int) -> tuple[WindowSet, WindowSet]:
    if "=" in validation:
        selection: Selection = parse_selection([validation])
        held = set(windows.where(selection).keys)
    else:
        held = _draw(windows, _share(validation), seed)
    if not held:
        raise TrainingDataError(
            f"validation {validation} holds nothing out, as no class has two recordings: choose none"
        )
    train = [number for number, key in enumerate(windows.keys) if key not in held]
    if not train:
        raise TrainingDataError(f"validation {validation} leaves nothing to train on")
    return windows.recordings(train), windows.recordings([n for n, key in enumerate(windows.keys) if key in held])


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise TrainingDataError(f"validation must be a share between 0 and 1, COLUMN=VALUE or none, got {text!r}")
    return share


def _draw(windows: WindowSet, share: float, seed: int) -> set[str]:
    # Segments of one file share their surroundings, so they are held out together, by the labels of the first.
    of_file = windows.files or windows.keys
    first: dict[str, int] = {}
    for number, file in enumerate(of_file):
        first.setdefault(file, number)
    by_labels: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for number in first.values():
        by_labels[windows.labels[number]].append(windows.keys[number])
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for labels in sorted(by_labels):
        keys = sorted(by_labels[labels])
        # At least one recording of each class goes to either side; the only recording of a class is trained on.
        count = min(max(1, round(share * len(keys))), len(keys) - 1)
        held.update(rng.permutation(keys)[:count].tolist())
    files = {file for key, file in zip(windows.keys, of_file, strict=True) if key in held}
    return {key for key, file in zip(windows.keys, of_file, strict=True) if file in files}

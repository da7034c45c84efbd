"""Which classes of a window are explained, its targets: `top1`, `topk:K`, `all`, or names separated by semicolons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.class_bank import normalised
from schemas.explainer_config import DecoderConfig, ExplainerConfig

BETWEEN = ";"
FORMS = f"top1, topk:K, all, or classes with {BETWEEN!r} between them"
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_SHOWN = 12


@dataclass(frozen=True)
class Targets:
    """The `top` most probable classes of each window, or those of `names`; with neither, all classes."""

    top: int | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Targets:
        """Read a choice as people write it.

        Raises ValueError for a number below 1, a name that is empty or given twice, and the place of a table.
        """
        text = text.strip()
        if text in ("all", "top1"):
            return cls(top=1 if text == "top1" else None)
        if text.startswith("topk:"):
            number = text.removeprefix("topk:").strip()
            if not re.fullmatch("[0-9]+", number) or int(number) < 1:
                raise ValueError(f"topk: takes a whole number from 1 on, as in topk:3, got {number!r}")
            return cls(top=int(number))
        if text.lower().endswith(_TABLES):
            raise ValueError(
                f"{text!r} is a table, and a table of labels is for --labels; --targets says which classes "
                f"are explained: {FORMS}"
            )
        names = tuple(name.strip() for name in text.split(BETWEEN))
        if not all(names):
            raise ValueError(f"a target without a name in {text!r}: give {FORMS}")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"these targets are given twice: {', '.join(map(repr, twice))}")
        return cls(names=names)

    def __str__(self) -> str:
        if self.names:
            return f"{BETWEEN} ".join(self.names)
        return "all" if self.top is None else "top1" if self.top == 1 else f"topk:{self.top}"

    def refuse_for(self, explainer: ExplainerConfig) -> None:
        """Raise ValueError for classes an explainer lacks, more than it has, one twice, or with one mask for all."""
        labels = explainer.labels
        if self.top != 1 and not (explainer.decoder and _is_told_the_class(explainer.decoder)):
            raise ValueError(
                f"{explainer.name!r} has one mask for all classes, so that targets must be top1, got '{self}'; or give "
                "an explainer whose decoder has evidence or is prompted"
            )
        if strange := [name for name in self.names if _place(name, labels) is None]:
            more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
            raise ValueError(
                f"{', '.join(map(repr, strange))}: no class of the explainer {explainer.name!r}, which has "
                f"{', '.join(labels[:_SHOWN])}{more}; give {FORMS}"
            )
        places = self.indices(labels) or ()
        if twice := [name for name, place in zip(self.names, places, strict=False) if places.count(place) > 1]:
            raise ValueError(f"these are one class of {explainer.name!r}, given twice: {', '.join(map(repr, twice))}")
        if self.top is not None and self.top > len(labels):
            raise ValueError(
                f"the explainer {explainer.name!r} has {len(labels)} classes, got '{self}': give topk:{len(labels)} at "
                "most, or all"
            )

    def indices(self, labels: tuple[str, ...]) -> tuple[int, ...] | None:
        """The numbers of the targets among all `labels`; None where they differ from window to window."""
        if self.top is not None:
            return None
        if not self.names:
            return tuple(range(len(labels)))
        places = [_place(name, labels) for name in self.names]
        return tuple(place for place in places if place is not None)

    def count(self, labels: tuple[str, ...]) -> int:
        """How many of `labels` are targets in each window."""
        return self.top or len(self.names or labels)


def _place(name: str, labels: tuple[str, ...]) -> int | None:
    """Return the number of a class; other capitals and blanks will do if just one class then fits. Else None."""
    if name in labels:
        return labels.index(name)
    alike = [number for number, label in enumerate(labels) if normalised(label) == normalised(name)]
    return alike[0] if len(alike) == 1 else None


def _is_told_the_class(decoder: DecoderConfig) -> bool:
    return bool(decoder.evidence) or decoder.prompted

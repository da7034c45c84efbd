"""Check a run against its input, counted by independent code: all recordings, to their end, with their own labels."""

from __future__ import annotations

import csv
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.runs.verify.census.counted import DAMAGE, Census, Counted
from pipeline.runs.verify.census.label_claims import Claims, Rows, label_rows
from pipeline.runs.verify.census.lengths import Length, LengthPool
from pipeline.runs.verify.census.recordings import recordings_in
from pipeline.runs.verify.findings import Findings
from schemas.input_config import InputConfig

# How much rounding, and different delays of two decoders, may change a length.
_SLACK_S = 0.05
_MAX_CHANNELS = 64
_SPAN = 1 << 64


@dataclass(frozen=True)
class Heard:
    """What a run says about a recording: where the sound that it accounts for ends, in seconds, and its labels."""

    end_s: float
    labels: tuple[str, ...]


@dataclass
class InputCount:
    """The number of recordings of an input by what became of them, and of files that hold none."""

    recordings: int = 0
    in_full: int = 0
    in_part: int = 0
    in_errors: int = 0
    not_drawn: int = 0
    unmeasured: int = 0
    others: int = 0


def count_input(
    url: str,
    config: Mapping[str, Any],
    reading: InputConfig,
    *,
    heard: Mapping[str, Heard],
    failed: frozenset[str],
    findings: Findings,
    step: Callable[[], object] = lambda: None,
    labels: bool = True,
) -> InputCount:
    """Count an input, and find what a finished run neither has nor reports as missing.

    `config` is that of the run's record, `heard` what its predictions have, by `clip_id`, and `failed` the ids in its
    errors. Labels are compared if `labels` says that their source is known.
    """
    found, census = InputCount(), Census()
    table: Rows = {}
    if labels and reading.labels is not None:
        try:
            table = label_rows(reading.labels, reading)
        except (*DAMAGE, csv.Error) as error:
            census.uncounted.append((f"{reading.labels}: {error}", ()))
            labels = False
    claims = Claims(table)
    named: list[tuple[Counted, tuple[str, ...]]] = []
    waiting: deque[tuple[Counted, list[Heard], Future[Length]]] = deque()
    with LengthPool() as lengths:

        def is_sound(data: bytes) -> bool:
            return lengths.ask("", lambda: data).result().seconds is not None

        def is_there(clip_id: str) -> bool:
            return bool(_ids(clip_id, config, heard, failed))

        def parts_of(whole: Counted) -> list[Counted]:
            return [whole] if reading.labels is None else claims.parts(whole, is_there)

        def check_first() -> None:
            one, ends, length = waiting.popleft()
            seconds = length.result().seconds
            if seconds is None:
                found.unmeasured += 1
                return
            whole = _check_end(one, ends, seconds, findings)
            found.in_full += whole
            found.in_part += not whole

        known: set[str] = set()
        drawn = _drawn(lambda census: recordings_in(url, reading, census, is_sound), census, config, found)
        for one in (part for whole in drawn for part in parts_of(whole)):
            found.recordings += 1
            step()
            ids = _ids(one.clip_id, config, heard, failed)
            known.update(ids)
            ends = [heard[identity] for identity in ids if identity in heard]
            in_errors = any(identity in failed for identity in ids)
            if ends and not in_errors:
                waiting.append((one, ends, lengths.ask(one.file_id, partial(_read, one))))
                if len(waiting) > lengths.ahead:
                    check_first()
            found.in_part += bool(ends) and in_errors
            found.in_errors += in_errors and not ends
            if not ids:
                message = f"{one.name}: the input has it, and it is neither in predictions nor in errors"
                findings.add("missing_recording", "predictions", message, one.clip_id)
            own = one.labels if labels else None
            if labels and reading.labels is not None and own is None and ends:
                named.append((replace(one, read=bytes), ends[0].labels))
            if own is not None and any(set(end.labels) != set(own) for end in ends):
                _wrong(one, ends[0].labels, own, findings)
        while waiting:
            check_first()
    rows = claims.whole([one for one, _ in named])
    for (one, said), own in zip(named, rows, strict=True):
        if own is not None and set(said) != set(own):
            _wrong(one, said, own, findings)
    for words, of_errors in census.uncounted:
        if failed.isdisjoint(of_errors):
            message = f"it cannot be read, and no error says so: {words}"
            findings.add("uncounted_input", words.partition(":")[0], message)
    if not census.uncounted:
        for identity in heard.keys() - known:
            findings.add(
                "unknown_recording", "predictions", f"{identity}: the run has it, the input does not", identity
            )
    found.others = census.others
    return found


def _wrong(one: Counted, said: tuple[str, ...], own: tuple[str, ...], findings: Findings) -> None:
    message = f"{one.name}: labelled {list(said)} by the run, {list(own)} by the input"
    findings.add("wrong_label_true", "predictions", message, one.clip_id)


def _read(one: Counted) -> bytes:
    try:
        return one.read()
    except (OSError, ValueError):
        # A name that no file can have, or a file that is gone: nothing can be read, so nothing can be compared.
        return b""


def _check_end(one: Counted, ends: Iterable[Heard], seconds: float, findings: Findings) -> bool:
    stop = seconds if one.span[1] is None else min(one.span[1], seconds)
    off = [end for end in ends if abs(end.end_s - stop) > _SLACK_S]
    for end in off:
        message = f"{one.name}: the run accounts for its sound up to {end.end_s:.3f} s, FFmpeg decodes {stop:.3f} s"
        findings.add("cut_short" if end.end_s < stop else "too_long", "predictions", message, one.clip_id)
    return not off


def _ids(clip_id: str, config: Mapping[str, Any], heard: Mapping[str, Heard], failed: frozenset[str]) -> list[str]:
    """Return the ids under which a run has a recording: its own, or one for each of its channels."""
    ids = [clip_id]
    if config.get("channel") == "each":
        channels = (f"{clip_id}\0channel\0{number}" for number in range(1, _MAX_CHANNELS + 1))
        ids += [hashlib.sha256(name.encode()).hexdigest()[:32] for name in channels]
    return [identity for identity in ids if identity in heard or identity in failed]


def _drawn(
    counted: Callable[[Census], Iterator[Counted]], census: Census, config: Mapping[str, Any], found: InputCount
) -> Iterator[Counted]:
    """Yield the recordings that the run's sample draws, all without a sample; count the others."""
    sample: str | None = config.get("sample")
    if sample is None:
        yield from counted(census)
        return
    limit = int(float(sample) * _SPAN)
    if sample.isdigit():
        ranks = sorted({_rank(one) for one in counted(Census())})
        limit = ranks[min(int(sample), len(ranks)) - 1] + 1 if ranks else 0
    for one in counted(census):
        if _rank(one) < limit:
            yield one
        else:
            found.not_drawn += 1


def _rank(one: Counted) -> int:
    return int.from_bytes(hashlib.sha256(one.file_id.encode()).digest()[:8], "big")

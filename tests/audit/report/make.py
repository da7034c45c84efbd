"""Runs to be reported: many windows made out of a few that were explained, with names of one's own, and findings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.findings import Effect, Finding, Member, tables_of
from pipeline.flow.finalize import finalize
from pipeline.flow.tasks import ROW_GROUPS
from pipeline.inputs.shards import Shard
from pipeline.runs.output import RunOutput
from pipeline.runs.run import open_run
from schemas.audit_tables import LABELS
from schemas.draws import rank_of
from schemas.records import CommitRecord, Cursor, Sums, TargetSums
from tests.flow.make import content_of, explain_here, save_tiny, short_clips, write_folder

HOSTILE = "<img src=x onerror=window.hacked=1>/</script><script>window.hacked=2</script>/\u2028'\"&.wav"
SPAN = 1 << 64


def few(folder: Path, recordings: Mapping[str, bytes] | None = None, **settings: object) -> str:
    """A run explained in this process, by default of sixteen windows with both sides."""
    source = write_folder(folder / "few-in", short_clips(16) if recordings is None else recordings)
    explain_here(source, str(folder / "few"), content_of(save_tiny(folder / "tiny"), **settings))
    return str(folder / "few")


def many(
    base_url: str,
    url: str,
    windows: int,
    classes: Sequence[str],
    *,
    part_windows: int = 128,
    heard: float = 1.0,
    embedding: int = 32,
    note: str = "",
    key_of: Callable[[int], str] = lambda i: f"folder-{i % 97:02d}/recording {i:06d}.wav",
    seed: int = 0,
) -> str:
    """Write a run of so many windows at `url`, a recording each, out of the windows of another.

    A fifth of the labels differ from the call; `heard` is the share of windows with listenables.
    """
    rng = np.random.default_rng(seed)
    base = open_run(base_url)
    tables = {name: base.table(name).to_table() for name in ("predictions", "masks", "faithfulness", "listenables")}
    few_ids = tables["predictions"]["window_id"].to_pylist()
    sides = _rows_by_window(tables["listenables"])
    output = RunOutput(url)
    record = base.record.model_copy(
        update={"explainer": {**base.record.explainer, "labels": list(classes)}, "shards": 1}
    )
    output.write_run_record(record)
    centres = rng.standard_normal((len(classes), embedding)).astype(np.float32)
    starts = range(0, windows, part_windows)
    for number, start in enumerate(starts):
        count = min(part_windows, windows - start)
        source = rng.integers(0, len(few_ids), count)
        clip_ids = [hashlib.sha256(f"{seed} {start + i}".encode()).hexdigest()[:32] for i in range(count)]
        window_ids = [f"{one}-00000" for one in clip_ids]
        label = rng.integers(0, len(classes), count)
        truth = np.where(rng.random(count) < 0.2, rng.integers(0, len(classes), count), label)
        probability = rng.uniform(0.3, 1.0, count).astype(np.float32)
        rest = ((1 - probability) / max(1, len(classes) - 1))[:, None]
        probabilities = np.repeat(rest, len(classes), axis=1).astype(np.float32)
        probabilities[np.arange(count), label] = probability
        embeddings = centres[label] + 0.5 * rng.standard_normal((count, embedding)).astype(np.float32)
        names = [classes[c] for c in label]
        ids = {"clip_id": clip_ids, "window_id": window_ids}
        of_call = {**ids, "target": names}
        rows = {
            "predictions": _with(
                tables["predictions"].take(source),
                {
                    **ids,
                    "key": [key_of(start + i) for i in range(count)],
                    "label_true": [[classes[c]] for c in truth],
                    "label": names,
                    "label_index": label,
                    "probability": probability,
                    "probabilities": list(probabilities),
                    "embedding": list(embeddings),
                    "metadata": [
                        json.dumps({"site": f"site {i % 7}", key_of(i): key_of(i), "note": note}) for i in range(count)
                    ],
                },
            ),
            "masks": _with(tables["masks"].take(source), of_call),
            "faithfulness": _with(tables["faithfulness"].take(source), {**of_call, "p": probability}),
        }
        drawn = [i for i in range(count) if rank_of(window_ids[i]) < heard * SPAN]
        places = [(i, place) for i in drawn for place in sides.get(few_ids[source[i]], ())]
        if places:
            at = [i for i, _ in places]
            rows["listenables"] = _with(
                tables["listenables"].take([place for _, place in places]),
                {name: [values[i] for i in at] for name, values in of_call.items()},
            )
        files = [
            output.write_table(name, f"shard-{number:06d}", rows[name], ROW_GROUPS[name])
            for name in ROW_GROUPS
            if name in rows
        ]
        hits = int((label == truth).sum())
        output.commit(
            CommitRecord(
                shard_id="shard",
                part=number,
                windows=count,
                recordings=count,
                errors=0,
                files=files,
                sums=Sums(targets=_sums(rows["faithfulness"]), labelled=count, hits=hits),
                next=Cursor(recording=start + count),
                share=(start + count) / windows,
                last=start + count == windows,
            )
        )
    finalize(output, [Shard("shard", "files", "", 0)], [])
    return url


def audited(url: str, statement: str = "they sound alike", subject: str | None = None, members: int = 40) -> str:
    """Write the findings of an audit into a run: one of each kind, of its windows in the order of their ids."""
    rows = open_run(url).sql("SELECT clip_id, window_id, label FROM predictions ORDER BY window_id").fetchall()
    chosen = [Member(clip, window, 1 / (i + 1), f"suggests {label}") for i, (clip, window, label) in enumerate(rows)]
    kinds = ("label_error", "shortcut", "duplicate", "broken_audio", "unfaithful", "odd_one_out", "typical")
    findings = [
        Finding(
            kind,  # type: ignore[arg-type]
            subject or rows[0][2],
            f"{kind.replace('_', ' ')}: {statement}",
            n=members,
            share=members / len(rows),
            weight=10.0 - place,
            effect=Effect(0.4, "drop of p", 0.3, 0.5),
            p_adjusted=0.004,
            confirmed=(True, False, None)[place % 3],
            evidence={"band_hz": [45, 60], statement: statement},
            members=chosen[place * 3 : place * 3 + members],
        )
        for place, kind in enumerate(kinds)
    ]
    write_audit(url, findings)
    return url


def write_audit(url: str, findings: Sequence[Finding], labels: Mapping[str, list[str]] | None = None) -> None:
    """Write findings where an audit of a run would, and the labels by `clip_id` that it took for the run's own."""
    folder = Path(url) / "audit"
    folder.mkdir(exist_ok=True)
    taken = {"clip_id": list(labels or {}), "labels": list((labels or {}).values())}
    for name, table in {**tables_of(findings), "labels": pa.table(taken, schema=LABELS)}.items():
        pq.write_table(table, folder / f"{name}.parquet")


def _rows_by_window(table: pa.Table) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, window_id in enumerate(table["window_id"].to_pylist()):
        found.setdefault(window_id, []).append(place)
    return found


def _with(table: pa.Table, columns: Mapping[str, object]) -> pa.Table:
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return table


def _sums(table: pa.Table) -> dict[str, TargetSums]:
    found: dict[str, TargetSums] = {}
    for row in table.to_pylist():
        one = found.get(row["target"], TargetSums(windows=0, p=0, ad=0, ff=0, fid_in=0, mask_mean=0, energy_kept=0))
        added = {name: getattr(one, name) + row[name] for name in TargetSums.model_fields if name != "windows"}
        found[row["target"]] = TargetSums(windows=one.windows + 1, **added)
    return found

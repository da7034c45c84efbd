"""A run that explains more labels than the decision: its rows, its files, and what is read from them."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.audit.examples import panels_of, pick_examples, pick_windows
from pipeline.models.checkpoint import load_config
from pipeline.runs.output import RunOutput
from pipeline.runs.run import open_run
from schemas.records import TableName
from schemas.run_config import ContentConfig
from tests.conftest import TinyRun
from tests.flow.make import Recorder, explain, rows
from tests.flow.test_run import files_below
from tests.jobs.test_cli import run as lmac

pytestmark = pytest.mark.slow


def by_window(output: str, table: TableName) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows(output, table):
        found[row["window_id"]].append(row)
    return found


def test_every_window_has_a_row_for_each_of_its_two_most_probable_labels(two_labels_run: TinyRun) -> None:
    labels = load_config("esc10")[0].labels
    predictions = rows(two_labels_run.output, "predictions")
    assert len(predictions) == len({row["window_id"] for row in predictions}) == 4
    tables: list[TableName] = ["masks", "faithfulness", "listenables"]
    found = {table: by_window(two_labels_run.output, table) for table in tables}
    for row in predictions:
        best = [labels[index] for index in np.argsort(row["probabilities"])[::-1][:2]]
        assert best[0] == row["label"]
        assert {table: [one["target"] for one in found[table][row["window_id"]]] for table in tables} == dict.fromkeys(
            tables, best
        )
        p = [one["p"] for one in found["faithfulness"][row["window_id"]]]
        np.testing.assert_array_equal(p, sorted(row["probabilities"])[:-3:-1])
    manifest = RunOutput(two_labels_run.output).read_manifest()
    assert (manifest.windows, manifest.recordings, manifest.tables["listenables"].rows) == (4, 4, 8)


def test_the_mask_and_the_sound_of_another_label_are_others(two_labels_run: TinyRun) -> None:
    labels = load_config("esc10")[0].labels
    for masks in by_window(two_labels_run.output, "masks").values():
        one, other = (np.frombuffer(row["mask"], np.uint8).astype(int) for row in masks)
        assert np.abs(one - other).mean() > 1
    for sounds in by_window(two_labels_run.output, "listenables").values():
        for row in sounds:
            name = f"{row['window_id']}.{labels.index(row['target'])}.masked_in.flac"
            assert row["audio"]["path"] == name
        one, other = (soundfile.read(io.BytesIO(row["audio"]["bytes"]))[0] for row in sounds)
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.ray
def test_the_decision_s_row_is_that_of_a_run_of_decisions(
    two_labels_run: TinyRun, ray_address: str, tmp_path: Path
) -> None:
    content = ContentConfig(explainer="esc10", part_windows=3)
    explain(two_labels_run.source, tmp_path / "out", content, address=ray_address)
    two = {(row["window_id"], row["target"]): row for row in rows(two_labels_run.output, "masks")}
    alone = rows(tmp_path / "out", "masks")
    assert len(alone) == 4
    for row in alone:
        one, other = (np.frombuffer(x["mask"], np.uint8) for x in (row, two[row["window_id"], row["target"]]))
        assert np.abs(one.astype(int) - other).max() <= 1


def test_running_it_again_leaves_it_alone(two_labels_run: TinyRun) -> None:
    before = files_below(two_labels_run.output)
    reporter = Recorder()
    content = ContentConfig(explainer="esc10", targets="topk:2", part_windows=3)
    result = explain(two_labels_run.source, two_labels_run.output, content, reporter)
    assert (reporter.commits, result.resumed) == ([], 2)
    after = files_below(two_labels_run.output)
    assert {path: data for path, (_, data) in after.items()} == {path: data for path, (_, data) in before.items()}


def test_the_run_record_names_the_targets_and_holds_a_digest_of_the_labels(two_labels_run: TinyRun) -> None:
    config = json.loads((Path(two_labels_run.output) / "_run.json").read_text())["config"]
    assert config["targets"] == "topk:2"
    assert config["labels_digest"] is None
    assert "labels" not in config


def test_the_summary_is_of_the_labels_explained_and_counts_windows_once(two_labels_run: TinyRun) -> None:
    summary = open_run(two_labels_run.output).summary()
    scores = rows(two_labels_run.output, "faithfulness")
    assert summary.total is not None
    assert summary.total.windows == 4
    assert "4 recordings explained in 4 windows" in lmac(*two_labels_run.command)[1]
    assert {line.target for line in summary.targets} == {row["target"] for row in scores}
    for line in [*summary.targets, summary.total]:
        chosen = [row for row in scores if line.target in (row["target"], "all")]
        assert line.windows == len({row["window_id"] for row in chosen})
        for name in ("p", "ff", "mask_mean"):
            assert getattr(line, name) == pytest.approx(np.mean([row[name] for row in chosen]), abs=1e-6)


def test_an_example_s_sound_and_mask_are_of_its_label(two_labels_run: TinyRun) -> None:
    chosen = pick_examples(open_run(two_labels_run.output), 20)
    scores = rows(two_labels_run.output, "faithfulness")
    assert sorted(example.target for example in chosen) == sorted({row["target"] for row in scores})
    panels = panels_of(two_labels_run.source, open_run(two_labels_run.output), chosen)
    for example, panel in zip(chosen, panels, strict=True):
        of_label = [row for row in scores if row["target"] == example.target]
        (row,) = (row for row in of_label if row["window_id"] == example.window_id)
        assert (row["fid_in"], row["ff"]) == max((baseline["fid_in"], baseline["ff"]) for baseline in of_label)
        assert (example.p, example.p_in_audio) == (row["p"], row["p_in_audio"])
        assert panel.mask.mean() == pytest.approx(row["mask_mean"], abs=1e-5)


def test_windows_to_show_come_with_all_their_labels_the_best_first(two_labels_run: TinyRun) -> None:
    shown = pick_windows(open_run(two_labels_run.output), 2)
    scores = by_window(two_labels_run.output, "faithfulness")
    worst = {window: min(row["ff"] for row in rows) for window, rows in scores.items()}
    best = sorted(worst, key=lambda window: (-worst[window], window))[:2]
    assert [one.window_id for one in shown] == [best[0]] * 2 + [best[1]] * 2
    assert [one.target for one in shown] == [row["target"] for window in best for row in scores[window]]

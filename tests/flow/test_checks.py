"""What a run refuses before it writes or starts anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.flow.run import RunConflictError
from pipeline.models.checkpoint import ExplainerError
from pipeline.storage.errors import InputError
from schemas.run_config import ContentConfig
from schemas.yaml_config import ConfigError
from tests.conftest import TinyRun
from tests.flow.make import content_of, explain, save_tiny, short_clips, write_folder


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_folder(tmp_path / "in", short_clips(2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mask": "binary"}, r"mask: soft there, binary here"),
        ({"part_windows": 5}, r"part_windows: 4 there, 5 here"),
        ({"listenables": ()}, r"listenables: \['masked_in', 'masked_out'\] there, \[\] here"),
        ({"window_hop_s": 0.5}, r"window_hop_s: nothing there, 0.5 here"),
    ],
)
def test_another_config_on_the_same_output_is_refused(tiny_run: TinyRun, settings: dict, said: str) -> None:
    with pytest.raises(RunConflictError, match=said):
        explain(tiny_run.source, tiny_run.output, content_of(tiny_run.explainer, **settings))


@pytest.mark.slow
def test_another_input_on_the_same_output_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_run.source, tmp_path / "in")
    (other / "cat" / "three.ogg").unlink()
    with pytest.raises(RunConflictError, match=r"input: [0-9a-f]{12} there, [0-9a-f]{12} here"):
        explain(other, tiny_run.output, content_of(tiny_run.explainer))


@pytest.mark.slow
def test_another_explainer_on_the_same_output_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other", seed=1)
    with pytest.raises(RunConflictError, match=r"explainer: tiny [0-9a-f]{12} there, tiny [0-9a-f]{12} here"):
        explain(tiny_run.source, tiny_run.output, content_of(other))


def test_an_output_with_files_of_something_else_is_refused_and_kept(tiny_explainer: str, tmp_path: Path) -> None:
    dataset = write_folder(tmp_path / "set", {f"masks/{name}": data for name, data in short_clips(2).items()})
    with pytest.raises(RunConflictError, match=r"holds other files, such as 'masks/s000.wav'"):
        explain(f"{dataset}/masks", dataset, content_of(tiny_explainer))
    assert sorted(path.name for path in Path(dataset).rglob("*")) == ["masks", "s000.wav", "s001.wav"]


@pytest.mark.parametrize("place", ["", "/out"])
def test_an_output_within_the_input_is_refused(source: str, tiny_explainer: str, place: str) -> None:
    with pytest.raises(InputError, match="the output lies within the input"):
        explain(source, source + place, content_of(tiny_explainer))


@pytest.mark.parametrize("form", ["{}/*", "{}/**/*", "file://{}"])
def test_an_output_within_a_pattern_or_url_is_refused_too(source: str, tiny_explainer: str, form: str) -> None:
    with pytest.raises(InputError, match="the output lies within the input"):
        explain(form.format(source), f"{source}/out", content_of(tiny_explainer))


@pytest.mark.parametrize("hop", [1.5, 1e-6])
def test_a_hop_that_leaves_sound_out_is_refused(source: str, tiny_explainer: str, tmp_path: Path, hop: float) -> None:
    with pytest.raises(ConfigError, match=r"window_hop_s: must be at most the explainer's window, 1 s"):
        explain(source, tmp_path / "out", content_of(tiny_explainer, window_hop_s=hop))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"explainer": "esc10", "targets": "rain; fish"},
            "targets: 'fish': no class of .*, which has baby_cry",
        ),
        ({"explainer": "esc10", "targets": "topk:11"}, "targets: .* has 10 classes, got 'topk:11'"),
        ({"explainer": "scenes", "targets": "all"}, "targets: .* one mask for all classes"),
        (
            {"explainer": "esc10", "targets": "all", "part_windows": 410},
            "410 windows of 10 targets are more than the 4096 masks that a part may have: use --part-windows 409",
        ),
    ],
)
def test_targets_that_cannot_be_explained_are_refused(
    source: str, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        explain(source, tmp_path / "out", ContentConfig(**settings))
    assert not (tmp_path / "out").exists()


def test_labels_of_other_recordings_are_refused(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\nelse.wav,cat\n")
    with pytest.raises(InputError, match="none of its 1 recordings is one of the input's 2"):
        explain(source, tmp_path / "out", content_of(tiny_explainer, labels=str(tmp_path / "labels.csv")))


def test_a_classifier_without_a_decoder_is_refused(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    bare = shutil.copytree(tiny_explainer, tmp_path / "bare")
    text = (bare / "config.json").read_text()
    start, stop = text.index('"decoder"'), text.index('"mask_domain"')
    (bare / "config.json").write_text(text[:start] + '"decoder": null, ' + text[stop:])
    with pytest.raises(ExplainerError, match="lmac train decoder"):
        explain(source, tmp_path / "out", content_of(str(bare)))


def test_a_refused_run_leaves_no_output(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        explain(source, tmp_path / "out", content_of(tiny_explainer, window_hop_s=9.0))
    assert not (tmp_path / "out").exists()

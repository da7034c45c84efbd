from __future__ import annotations

import base64
import csv
import inspect
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

from pipeline.lmac.explainer import Explainer
from pipeline.lmac.explanation import Explanation
from schemas.explainer_config import DecoderConfig
from schemas.run_config import ContentConfig
from tests.models.make import CONFIG, FRONT_END, noise, small_models

N, RATE = FRONT_END.window_samples, FRONT_END.sample_rate
PER_TARGET = CONFIG.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=5)})
EXPLAINER = Explainer(PER_TARGET, *small_models(config=PER_TARGET))
# Three and three quarters of a window.
SOUND = noise(3 * N + 3 * N // 4).numpy()


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return EXPLAINER.explain((SOUND, RATE), targets="topk:2")


def pair(explanation: Explanation, first: int) -> Explanation:
    """Two rows of an explanation: drawing many pictures takes long."""
    rows = slice(first, first + 2)
    names = ("targets", "window", "target_index", "mask", "masked_in", "masked_out", "gain_db_in", "gain_db_out")
    scores = {name: score[rows] for name, score in explanation.scores.items()}
    return replace(explanation, scores=scores, **{name: getattr(explanation, name)[rows] for name in names})


def test_a_recording_is_cut_and_explained_as_its_windows_are(explanation: Explanation) -> None:
    np.testing.assert_array_equal(explanation.start_s, [0, 0.5, 1, 1.5])
    np.testing.assert_array_equal(explanation.lengths, [N, N, N, 3 * N // 4])
    np.testing.assert_array_equal(explanation.window, [0, 0, 1, 1, 2, 2, 3, 3])
    windows = np.pad(SOUND, (0, N // 4)).reshape(4, N)
    np.testing.assert_array_equal(explanation.waveforms, windows)
    alone = EXPLAINER.explain_windows(windows, lengths=explanation.lengths, targets="topk:2")
    for name in ("mask", "masked_in", "masked_out", "target_index", "probabilities"):
        np.testing.assert_array_equal(getattr(explanation, name), getattr(alone, name))
    for name, score in explanation.scores.items():
        np.testing.assert_array_equal(score, alone.scores[name])


def test_batches_join_to_the_same(explanation: Explanation) -> None:
    by_three = EXPLAINER.explain((SOUND, RATE), targets="topk:2", batch_size=3)
    assert by_three.targets == explanation.targets
    for name in ("window", "start_s", "lengths", "target_index", "waveforms"):
        np.testing.assert_array_equal(getattr(by_three, name), getattr(explanation, name))
    assert np.abs(by_three.mask.astype(int) - explanation.mask.astype(int)).max() <= 1
    for name, score in explanation.scores.items():
        assert by_three.scores[name].shape == score.shape
    with pytest.raises(ValueError, match="no explanation"):
        Explanation.concatenate([])


def test_hops_tails_and_short_recordings_are_a_run_s() -> None:
    np.testing.assert_array_equal(EXPLAINER.explain((SOUND[: 2 * N], RATE), window_hop_s=0.25).start_s, [0, 0.25, 0.5])
    tail = SOUND[: N + N // 4]
    np.testing.assert_array_equal(EXPLAINER.explain((tail, RATE)).lengths, [N])
    np.testing.assert_array_equal(EXPLAINER.explain((tail, RATE), min_tail=0.25).lengths, [N, N // 4])
    np.testing.assert_array_equal(EXPLAINER.explain((tail[:9], RATE)).lengths, [9])
    with pytest.raises(ValueError, match=r"window_hop_s must be at most the explainer's window, 0.5 s, .* got 0.6"):
        EXPLAINER.explain((tail, RATE), window_hop_s=0.6)


def test_what_is_not_said_is_as_in_a_run() -> None:
    defaults = {name: one.default for name, one in inspect.signature(Explainer.explain).parameters.items()}
    content = ContentConfig()
    names = ("targets", "mask", "refine", "window_hop_s", "min_tail")
    assert {name: defaults[name] for name in names} == {name: getattr(content, name) for name in names}
    assert defaults["max_seconds"] == content.max_clip_seconds


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert Explainer.load("scenes", device="auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_it_prints_a_row_for_each_window_and_target(explanation: Explanation) -> None:
    first, header, *rows = str(explanation).splitlines()
    assert first == "array: 4 windows of 0.5 s at 16000 Hz"
    assert header.split("  ")[0] == "window"
    assert len(rows) == len(explanation) == 8
    scores = explanation.scores
    for row, line in enumerate(rows):
        window, seconds, target, *values = line.split()
        assert int(window) == explanation.window[row]
        assert target == explanation.targets[row]
        names = ("p", "p_in_audio", "p_out_audio", "mask_mean")
        assert values == [f"{scores[name][row]:.2f}" for name in names]
    assert seconds == "1.50-1.88"


def test_a_long_one_prints_its_beginning_and_says_how_much_is_left(explanation: Explanation) -> None:
    long = Explanation.concatenate([explanation] * 6)
    np.testing.assert_array_equal(long.window[-2:], [23, 23])
    lines = str(long).splitlines()
    assert len(lines) == 2 + 40 + 1
    assert lines[-1] == "... and 8 more"


class Page(HTMLParser):
    """The tags of a page with their sources, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources: dict[str, list[str]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources.setdefault(tag, []).append(dict(attrs).get("src") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def data_of(uri: str, kind: str) -> io.BytesIO:
    head, _, body = uri.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(body, validate=True))


def test_a_notebook_shows_pictures_and_plays_the_very_listenables(explanation: Explanation) -> None:
    first = pair(explanation, 6)
    page = Page(first._repr_html_())
    assert len(page.sources["img"]) == 2
    assert imread(data_of(page.sources["img"][0], "image/png"), format="png").ndim == 3
    players = page.sources["audio"]
    assert len(players) == 3 * 2
    length = 3 * N // 4
    for row in range(2):
        for player, sound in enumerate((first.waveforms[3], first.masked_in[row], first.masked_out[row])):
            back, rate = soundfile.read(data_of(players[3 * row + player], "audio/flac"), dtype="float32")
            assert rate == RATE
            np.testing.assert_allclose(back, sound[:length], atol=0 if player else 0.51 / 32768)
    assert str(first) in page.text
    assert "save" not in page.text


def test_a_notebook_shows_no_more_than_it_can_bear_and_says_so(explanation: Explanation) -> None:
    page = Page(explanation._repr_html_())
    assert len(page.sources["audio"]) == 3 * 4
    assert "the first 4 of 8 explanations" in page.text
    assert "explanation.save(folder)" in page.text
    minutes = replace(EXPLAINER.explain_windows(np.zeros((2, 30 * RATE), np.float32)), targets=("a", "b"))
    assert len(Page(minutes._repr_html_()).sources["audio"]) == 3


def test_names_are_text_in_a_notebook_and_cannot_leave_the_folder(explanation: Explanation, tmp_path: Path) -> None:
    evil = "../<script>alert(1)</script>"
    named = replace(pair(explanation, 0), name=evil, targets=(evil, "<b>"))
    page = Page(named._repr_html_())
    assert not {"script", "b"} & page.sources.keys()
    assert evil in page.text
    paths = named.save(tmp_path / "out")
    assert {path.parent for path in paths} == {tmp_path / "out"}
    assert all(path.is_file() for path in paths)


def test_what_is_saved_is_all_of_it(explanation: Explanation, tmp_path: Path) -> None:
    # Both become the same in a file's name.
    named = replace(pair(explanation, 6), name="my dog.ogg", targets=("a/b", "a b"))
    paths = named.save(tmp_path / "new" / "out")
    assert len(set(paths)) == 1 + 2 * 4
    assert sorted(paths) == sorted((tmp_path / "new" / "out").iterdir())
    with paths[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == list(named.targets)
    assert [float(row["start_s"]) for row in rows] == [1.5, 1.5]
    np.testing.assert_array_equal(np.float32([row["ff"] for row in rows]), named.scores["ff"])
    stem = "0001-a_b-my_dog-1.5s"
    for kind, sound in (("masked_in", named.masked_in), ("masked_out", named.masked_out)):
        back, rate = soundfile.read(tmp_path / "new" / "out" / f"{stem}-{kind}.flac", dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(back, sound[0, : 3 * N // 4])
    assert imread(tmp_path / "new" / "out" / f"{stem}-picture.png").ndim == 3

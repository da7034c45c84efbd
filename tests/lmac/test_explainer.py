from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from pipeline.audio.flac import encode_flac
from pipeline.lmac.arguments import ArgumentError
from pipeline.lmac.explainer import Explainer, Explanation
from pipeline.lmac.masking import apply_mask
from pipeline.lmac.scores import concentration, energy_kept
from pipeline.models.checkpoint import ExplainerError, save_explainer
from schemas.errors import LmacError
from schemas.explainer_config import DecoderConfig
from tests.models.make import CONFIG, FRONT_END, noise, small_models

N = FRONT_END.window_samples
EXPLAINER = Explainer(CONFIG, *small_models())
# One whose decoder hears what speaks for the label that is asked for.
TOLD = CONFIG.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=5)})
ASKED = Explainer(TOLD, *small_models(config=TOLD))
LENGTHS = np.array([N, 3_000, N, 5_000])
FAITHFULNESS = {"p", "p_in", "p_out", "ai", "ai_001", "ad", "ad_double_softmax", "ag", "ff", "fid_in", "keep"}
AUDIO = {f"{name}_audio" for name in FAITHFULNESS - {"p"}}


def windows(batch: int = 4, n: int = N, amplitude: float = 0.1) -> np.ndarray:
    """Noise of different colours, so that the windows are not all one class."""
    out = noise(batch, n, amplitude=amplitude).numpy()
    for row in range(batch):
        out[row] = np.convolve(out[row], np.ones(1 + 3 * row) / (1 + row), mode="same")
    return np.clip(out, -1, 1)


@pytest.fixture(scope="module")
def explained() -> Explanation:
    return EXPLAINER.explain_windows(windows())


def test_shapes_and_types_are_those_stated(explained: Explanation) -> None:
    assert explained.mask.shape == (4, FRONT_END.n_freq, FRONT_END.n_frames)
    assert explained.mask.dtype == np.uint8
    assert explained.masked_in.shape == explained.masked_out.shape == (4, N)
    assert explained.masked_in.dtype == explained.masked_out.dtype == np.float32
    assert explained.probabilities.shape == (4, 3)
    assert explained.embedding.shape == (4, CONFIG.classifier.embedding)
    assert explained.gain_db_in.shape == explained.gain_db_out.shape == (4,)
    np.testing.assert_array_equal(explained.window, np.arange(4))
    assert set(explained.scores) == {*FAITHFULNESS, *AUDIO, "sps", "comp", "mask_mean", "energy_kept"}
    for value in explained.scores.values():
        assert value.shape == (4,)
        assert value.dtype == np.float32


def test_the_class_explained_is_the_decision(explained: Explanation) -> None:
    best = explained.probabilities.argmax(axis=1)
    np.testing.assert_array_equal(explained.target_index, best)
    assert explained.targets == tuple(CONFIG.labels[i] for i in best)
    np.testing.assert_allclose(explained.scores["p"], explained.probabilities.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(explained.probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("domain", ["magnitude", "log1p"])
@pytest.mark.parametrize("kind", ["soft", "binary"])
def test_the_scores_are_those_of_the_stored_mask(domain: str, kind: str) -> None:
    config = CONFIG.model_copy(update={"mask_domain": domain})
    classifier, decoder = small_models()
    got = Explainer(config, classifier, decoder).explain_windows(windows(), mask=kind)  # type: ignore[arg-type]
    magnitude = classifier.front_end.stft(torch.from_numpy(windows())).abs()
    mask = torch.from_numpy(got.mask).float() / 255
    inside = apply_mask(magnitude, mask, domain)
    rows = torch.arange(4), torch.from_numpy(got.target_index)
    with torch.no_grad():
        p_in = classifier(inside).logits.softmax(1)[rows]
        p_out = classifier(apply_mask(magnitude, 1 - mask, domain)).logits.softmax(1)[rows]
    np.testing.assert_allclose(got.scores["p_in"], p_in, atol=1e-5)
    np.testing.assert_allclose(got.scores["p_out"], p_out, atol=1e-5)
    np.testing.assert_allclose(got.scores["energy_kept"], energy_kept(magnitude, inside), atol=1e-5)
    for name, score in concentration(torch.from_numpy(got.mask)).items():
        np.testing.assert_allclose(got.scores[name], score, atol=1e-4)
    np.testing.assert_allclose(got.scores["mask_mean"], mask.mean(dim=(1, 2)), atol=1e-5)


def test_the_audio_scores_are_those_of_the_listenables(explained: Explanation) -> None:
    classifier = EXPLAINER.classifier
    rows = torch.arange(4), torch.from_numpy(explained.target_index)
    for side, name in ((explained.masked_in, "p_in_audio"), (explained.masked_out, "p_out_audio")):
        with torch.no_grad():
            p = classifier(classifier.front_end.stft(torch.from_numpy(side)).abs()).logits.softmax(1)[rows]
        np.testing.assert_allclose(explained.scores[name], p, atol=1e-5)


def test_what_is_kept_and_what_is_left_add_up_to_the_input(explained: Explanation) -> None:
    assert not explained.gain_db_in.any()
    assert not explained.gain_db_out.any()
    assert np.abs(explained.masked_in).max() > 0.01
    # Each side is rounded by at most half a step of 1/32768.
    np.testing.assert_allclose(explained.masked_in + explained.masked_out, windows(), atol=1.1 / 32768)


def test_a_window_is_explained_alike_alone_and_in_a_batch() -> None:
    batch = windows(16)
    together = EXPLAINER.explain_windows(batch)
    alone = [EXPLAINER.explain_windows(one) for one in batch]
    assert together.targets == tuple(label for one in alone for label in one.targets)
    assert len(set(together.targets)) > 1
    masks = np.concatenate([one.mask for one in alone]).astype(int)
    assert np.abs(masks - together.mask).max() <= 1
    assert together.mask.std() > 3  # the masks are not flat: the test could fail


def test_a_binary_mask_is_the_soft_one_at_a_half(explained: Explanation) -> None:
    binary = EXPLAINER.explain_windows(windows(), mask="binary").mask
    assert set(np.unique(binary)) == {0, 255}
    np.testing.assert_array_equal(binary == 255, explained.mask >= 128)


def test_nothing_sounds_after_the_length() -> None:
    lengths = np.array([N, 3_000, 1, 0])
    got = EXPLAINER.explain_windows(windows(), lengths=lengths)
    whole = EXPLAINER.explain_windows(windows())
    for row, length in enumerate(lengths):
        for side, all_of_it in ((got.masked_in, whole.masked_in), (got.masked_out, whole.masked_out)):
            assert not side[row, length:].any()
            np.testing.assert_array_equal(side[row, :length], all_of_it[row, :length])


def test_silence_is_explained_without_a_nan() -> None:
    got = EXPLAINER.explain_windows(np.zeros((2, N), np.float32))
    assert not got.masked_in.any()
    assert not got.masked_out.any()
    assert all(np.isfinite(value).all() for value in got.scores.values())
    assert np.isfinite(got.probabilities).all()
    assert (got.scores["energy_kept"] == 0).all()


@pytest.mark.parametrize("n", [1, 2, 161, 5_000])
def test_any_length_is_explained_at_that_length(n: int) -> None:
    got = EXPLAINER.explain_windows(windows(2, 8_000)[:, :n])
    assert got.masked_in.shape == (2, n)
    assert got.mask.shape[2] == -(-n // FRONT_END.hop_length) + 1


def assert_rows_are(got: Explanation, chosen: np.ndarray, other: Explanation) -> None:
    """Rows of one explanation against all of another, bit by bit."""
    assert [got.targets[row] for row in chosen] == list(other.targets)
    for name in ("window", "target_index", "mask", "masked_in", "masked_out", "gain_db_in", "gain_db_out"):
        np.testing.assert_array_equal(getattr(got, name)[chosen], getattr(other, name), err_msg=name)
    for name, values in other.scores.items():
        np.testing.assert_array_equal(got.scores[name][chosen], values, err_msg=name)


@pytest.fixture(scope="module")
def decisions() -> Explanation:
    return ASKED.explain_windows(windows(), lengths=LENGTHS)


def test_the_most_probable_labels_come_in_falling_order_window_by_window(decisions: Explanation) -> None:
    got = ASKED.explain_windows(windows(), lengths=LENGTHS, targets="topk:2")
    np.testing.assert_array_equal(got.window, [0, 0, 1, 1, 2, 2, 3, 3])
    best = (-got.probabilities).argsort(axis=1)[:, :2]
    np.testing.assert_array_equal(got.target_index, best.flatten())
    assert got.targets == tuple(CONFIG.labels[index] for index in best.flatten())
    np.testing.assert_array_equal(got.scores["p"], got.probabilities[got.window, got.target_index])
    assert_rows_are(got, np.arange(0, 8, 2), decisions)
    assert got.probabilities.shape == (4, 3)
    np.testing.assert_array_equal(got.embedding, decisions.embedding)


@pytest.mark.parametrize("settings", [{}, {"mask": "binary"}, {"refine": 2}], ids=str)
def test_all_labels_come_by_number_and_that_of_the_decision_as_alone(settings: dict[str, Any]) -> None:
    got = ASKED.explain_windows(windows(), lengths=LENGTHS, targets="all", **settings)
    assert got.targets == CONFIG.labels * 4
    np.testing.assert_array_equal(got.window, np.arange(4).repeat(3))
    decided = got.probabilities.argmax(axis=1)
    assert len(set(decided.tolist())) > 1
    alone = ASKED.explain_windows(windows(), lengths=LENGTHS, **settings)
    assert_rows_are(got, np.arange(4) * 3 + decided, alone)


def test_masks_sounds_and_scores_are_of_the_label_that_the_row_names() -> None:
    got = ASKED.explain_windows(windows(), targets="all")
    masks = got.mask.reshape(4, 3, *got.mask.shape[1:]).astype(int)
    # More than rounding makes of one mask.
    assert (np.abs(masks - np.roll(masks, 1, axis=1)).max(axis=(2, 3)) > 2).all()
    classifier = ASKED.classifier
    with torch.no_grad():
        heard = classifier(classifier.front_end.stft(torch.from_numpy(got.masked_in)).abs()).logits.softmax(1)
    np.testing.assert_allclose(got.scores["p_in_audio"], heard[np.arange(12), got.target_index], atol=1e-5)
    np.testing.assert_array_equal(got.scores["fid_in_audio"], heard.argmax(1).numpy() == got.target_index)
    np.testing.assert_allclose(got.scores["mask_mean"], got.mask.mean(axis=(1, 2)) / 255, atol=1e-5)


def test_names_are_explained_in_the_order_given() -> None:
    every, got = ASKED.explain_windows(windows(), targets="all"), ASKED.explain_windows(windows(), targets=" c;a ")
    assert got.targets == ("c", "a") * 4
    assert_rows_are(every, np.array([2, 0, 5, 3, 8, 6, 11, 9]), got)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("a; fish", "'fish': no class of the explainer 'small', which has a, b, c"),
        ("topk:4", "has 3 classes, got 'topk:4'"),
        ("topk:0", "takes a whole number from 1 on"),
    ],
)
def test_targets_that_it_has_not_are_refused(labels: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        ASKED.explain_windows(windows(), targets=labels)


@pytest.mark.parametrize("labels", ["all", "topk:2", "a"])
def test_a_decoder_that_is_not_told_the_label_explains_the_decision_only(labels: str) -> None:
    with pytest.raises(ValueError, match="one mask for all classes"):
        EXPLAINER.explain_windows(windows(), targets=labels)
    assert EXPLAINER.explain_windows(windows(), targets="topk:1").mask.shape[0] == 4


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"mask": "hard"}, "mask must be 'soft' or 'binary', got 'hard'"),
        ({"refine": -1}, "refine must be a whole number of gradient steps, 0 for none, got -1"),
        ({"min_tail": 2}, "min_tail must be a share of a window, 0 to 1, got 2"),
        ({"batch_size": 0}, "batch_size must be a whole number of windows, at least 1, got 0"),
        ({"max_seconds": 0}, "max_seconds must be a number of seconds above 0, got 0"),
        ({"window_hop_s": float("inf")}, "window_hop_s must be at most the explainer's window, .*, got inf"),
        ({"window_hop_s": -1.0}, "window_hop_s must be at most the explainer's window, .* got -1.0"),
        ({"targets": 5}, "targets must be top1, topk:K, all, or classes with ';' between them, got 5"),
    ],
    ids=str,
)
def test_an_argument_that_does_not_fit_is_named_before_anything_is_read(argument: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        EXPLAINER.explain("no-such-file.wav", **argument)
    assert isinstance(caught.value, LmacError)
    if argument.keys() <= {"mask", "refine", "targets"}:
        with pytest.raises(ArgumentError, match=said):
            EXPLAINER.explain_windows(windows(), **argument)


@pytest.mark.parametrize("lengths", [[N], [N, N, N, N + 1], [-1, N, N, N]], ids=str)
def test_lengths_that_are_not_those_of_the_windows_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ArgumentError, match=rf"lengths \[B\] must be 0 to {N} samples for each of 4 windows, got \["):
        EXPLAINER.explain_windows(windows(), lengths=np.array(lengths))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 5.0])
def test_a_device_that_is_not_there_is_refused(device: Any) -> None:
    with pytest.raises(
        ArgumentError, match=f"device must be auto, cpu or a GPU that torch can use here, got {device!r}"
    ):
        Explainer.load("scenes", device)


@pytest.mark.parametrize("bad", [[], [[]], [0.0, np.nan], [0.0, np.inf], [[[0.0]]]], ids=repr)
def test_what_is_no_finite_batch_of_waveforms_is_refused(bad: list[float]) -> None:
    with pytest.raises(ArgumentError, match=r"waveforms \[B, n\] must be finite and hold at least one sample"):
        EXPLAINER.explain_windows(np.array(bad, dtype=np.float32))
    with pytest.raises(ArgumentError, match=r"waveforms \[B, n\] must be numbers, with equally many in each window"):
        EXPLAINER.explain_windows([[0.1, 0.2], [0.1]])  # type: ignore[arg-type]


def test_a_read_only_array_and_a_tensor_are_taken_and_left_alone(explained: Explanation) -> None:
    array = windows()
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = EXPLAINER.explain_windows(array)
    tensor = torch.from_numpy(windows())
    np.testing.assert_array_equal(got.mask, explained.mask)
    np.testing.assert_array_equal(EXPLAINER.explain_windows(tensor).mask, explained.mask)
    np.testing.assert_array_equal(tensor.numpy(), windows())


def test_flac_gives_back_the_listenables_exactly(explained: Explanation) -> None:
    for side in (explained.masked_in, explained.masked_out):
        for waveform in side:
            back, rate = soundfile.read(io.BytesIO(encode_flac(waveform, FRONT_END.sample_rate)), dtype="float32")
            assert rate == FRONT_END.sample_rate
            np.testing.assert_array_equal(back, waveform)


def test_an_explainer_from_disk_explains_as_the_one_that_was_saved(tmp_path: Path, explained: Explanation) -> None:
    save_explainer(str(tmp_path), CONFIG, *small_models(), "")
    loaded = Explainer.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.explain_windows(windows()).mask, explained.mask)
    assert len(loaded.digest) == 64


def test_a_classifier_without_decoder_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    save_explainer(str(tmp_path), CONFIG.model_copy(update={"decoder": None}), small_models()[0], None, "")
    with pytest.raises(ExplainerError, match=r"without a decoder: train one with `lmac train decoder"):
        Explainer.load(str(tmp_path))

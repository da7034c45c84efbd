"""The objective for prompts, on masks whose terms are known, and a training that lowers it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.zero_shot_objective import ZeroShotTerms, zero_shot_objective
from pipeline.models.build import build_decoder
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.training.loop import fit
from pipeline.training.zero_shot_task import ZeroShotTask, draw_prompts, prompt_similarities
from schemas.training_config import DecoderTraining, LoopConfig, ZeroShotObjective
from tests.models.clap.test_prompted import CLAP, CONFIG, SHORT, sound

N_FREQ, N_FRAMES = sound().shape[1:]
AIM = ZeroShotObjective(lambda_in=1.0, lambda_out=10.0, lambda_s=100.0, lambda_apart=1000.0)
PROMPT = torch.tensor([[0, 3]])


def cosines(clap: ClapClassifier, magnitude: torch.Tensor) -> torch.Tensor:
    return clap(magnitude).embedding @ clap.class_embeddings[PROMPT[0]].T


def terms(
    mask: torch.Tensor, similarity: torch.Tensor, mean: torch.Tensor, aim: ZeroShotObjective = AIM
) -> ZeroShotTerms:
    masks = mask.expand(1, 2, N_FREQ, N_FRAMES)
    return zero_shot_objective(CLAP, sound(), masks, PROMPT, similarity, mean, mean + 0.4, aim)


def test_all_is_kept_by_ones_and_nothing_is_driven_out() -> None:
    s, silent = cosines(CLAP, sound()), cosines(CLAP, torch.zeros_like(sound()))
    got = terms(torch.ones(1), s, s - 0.1)
    assert got.masked_in == pytest.approx(0, abs=1e-6)
    assert float(got.masked_out) == pytest.approx(float((silent - s + 0.1).clamp_min(0).mean()), abs=1e-6)
    assert float(got.size) == 1


def test_all_is_lost_by_zeros_and_everything_driven_out_is_left() -> None:
    s, silent = cosines(CLAP, sound()), cosines(CLAP, torch.zeros_like(sound()))
    got = terms(torch.zeros(1), s, s - 0.1)
    assert float(got.masked_in) == pytest.approx(float((s - silent).clamp_min(0).mean()), abs=1e-6)
    assert float(got.masked_out) == pytest.approx(0.1, abs=1e-6)
    assert (float(got.size), float(got.apart)) == (0, 0)


def test_of_prompts_that_do_not_fit_only_what_begins_to_fit_counts() -> None:
    s = cosines(CLAP, sound())
    got = terms(torch.ones(1), s, s + 0.1)
    assert (float(got.masked_in), float(got.masked_out)) == (0, pytest.approx(0, abs=1))
    risen = terms(torch.ones(1), s - 0.5, s - 0.2)  # as if the mask had raised it
    assert float(risen.masked_in) == pytest.approx(0.2, abs=1e-6)


def test_a_mask_may_be_as_large_as_its_prompt_fits() -> None:
    mean = torch.zeros(1, 2)
    free = AIM.model_copy(update={"target_mean": 0.5})
    # The highest similarity is 0.4 above the mean: the first prompt fits by half, the second not at all.
    got = terms(torch.full((1,), 0.3), torch.tensor([[0.2, -0.2]]), mean, free)
    assert float(got.size) == pytest.approx((0.3 - 0.25 + 0.3) / 2, abs=1e-6)
    assert float(terms(torch.full((1,), 0.2), torch.tensor([[0.2, 0.4]]), mean, free).size) == 0


def test_what_two_masks_share_counts_as_far_as_their_prompts_differ() -> None:
    s = cosines(CLAP, sound())
    half = torch.zeros(1, 2, N_FREQ, N_FRAMES)
    half[:, 0, :, : N_FRAMES // 2] = 1
    half[:, 1, :, N_FRAMES // 2 :] = 1
    assert float(terms(half, s, s).apart) == 0
    unlike = 1 - float(CLAP.class_embeddings[0] @ CLAP.class_embeddings[3])
    assert float(terms(torch.full((1,), 0.5), s, s).apart) == pytest.approx(0.25 * unlike, rel=1e-5)


def test_the_total_is_the_weighted_sum() -> None:
    s = cosines(CLAP, sound())
    got = terms(torch.full((1,), 0.5), s, s - 0.1)
    parts = got.masked_in + 10 * got.masked_out + 100 * got.size + 1000 * got.apart
    assert float(got.total) == pytest.approx(float(parts), rel=1e-6)


def test_prompts_are_drawn_where_they_fit_and_everywhere_and_never_twice() -> None:
    rng = torch.Generator().manual_seed(0)
    sure = torch.tensor([[20.0, 0, 0, 0]]).expand(1000, 4)
    drawn = draw_prompts(sure, 2, 1.0, rng)
    assert (drawn[:, 0] == 0).float().mean() > 0.99
    assert (drawn[:, 0] != drawn[:, 1]).all()
    anywhere = torch.bincount(draw_prompts(sure, 1, 0.0, rng).flatten(), minlength=4) / 1000
    assert anywhere.numpy() == pytest.approx([0.25] * 4, abs=0.05)
    with pytest.raises(ValueError, match="is 5 prompts a window, and there are 4"):
        draw_prompts(sure, 5, 0.5, rng)


def windows(n: int = 12) -> WindowSet:
    """Windows of noise, each in a band of its own."""
    rng = np.random.default_rng(0)
    time = np.arange(SHORT.window_samples) / SHORT.sample_rate
    tones = [np.sin(2 * np.pi * 200 * (k + 1) * time) + rng.normal(0, 0.1, len(time)) for k in range(n)]
    samples = (np.stack(tones) * 8000).astype("<i2")
    keys = tuple(str(k) for k in range(n))
    return WindowSet(samples, np.arange(n), keys, ((),) * n, ({},) * n, ())


def test_a_prompt_has_a_mean_and_a_highest_similarity_over_windows() -> None:
    some = windows(3)
    embedded = CLAP(CLAP.front_end.stft(some.waveforms(torch.arange(3))).abs()).embedding
    mean, highest = prompt_similarities(CLAP, some)
    assert torch.allclose(mean, (embedded @ CLAP.class_embeddings.T).mean(0), atol=1e-5)
    assert torch.allclose(highest, (embedded @ CLAP.class_embeddings.T).amax(0), atol=1e-5)


@pytest.mark.slow
def test_training_lowers_the_objective_and_leaves_the_clap_alone(tmp_path: Path) -> None:
    loop = LoopConfig(epochs=2, batch_size=4, learning_rate=2e-2, bf16=False)
    config = DecoderTraining(loop=loop, objective=ZeroShotObjective(lambda_s=1.0), mixtures=0.0, stretch=0.0)
    torch.manual_seed(0)
    decoder = build_decoder(CONFIG, CLAP)
    before = {name: weight.clone() for name, weight in CLAP.state_dict().items()}
    task = ZeroShotTask(
        decoder, CLAP.with_class_embeddings(CLAP.class_embeddings), windows(), windows(4), config, "magnitude"
    )
    start = task.validate()
    state = fit(task, loop, tmp_path / "z.pt", "", lambda progress: None)
    assert state.history[-1]["objective"] < 0.95 * start["objective"]
    for name, weight in CLAP.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_each_task_takes_its_own_objective() -> None:
    with pytest.raises(ValueError, match="has the objective lmac-zs, got lmac"):
        ZeroShotTask(build_decoder(CONFIG, CLAP), CLAP, windows(2), None, DecoderTraining(), "magnitude")

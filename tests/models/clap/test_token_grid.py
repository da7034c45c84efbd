"""What HTSAT hears at a time and in a band lies there in each of its representations, folded as its image is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.attribution.gradcam import gradcam
from pipeline.models.clap.layout import folded
from pipeline.models.evidence import decoder_channels
from schemas.explainer_config import ClapConfig
from tests.models.clap.make import SMALL, small_clap
from tests.models.evidence import classify_with_evidence
from tests.models.make import noise, tone

CLAP = small_clap()
HOP = CLAP.front_end.config.hop_length


def representations(waveform: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return CLAP(CLAP.front_end.stft(waveform).abs()).representations


def changes(before: Tensor, after: Tensor) -> list[Tensor]:
    """At each depth how much each cell `[T', M']` changed."""
    return [
        (a - b).square().sum(dim=1)[0].sqrt()
        for a, b in zip(representations(after), representations(before), strict=True)
    ]


def test_each_depth_halves_time_and_bands_as_the_decoder_wants() -> None:
    for frames in (1001, 301, 100):
        output = CLAP(torch.rand(2, 513, frames))
        for depth, representation in enumerate(output.representations):
            size = (-(-frames // 2**depth), 64 // 2**depth)
            assert representation.shape == (2, CLAP.representation_channels[depth], *size)


@pytest.mark.parametrize("frame", [17, 240, 262, 498, 737, 760, 985])
def test_an_impulse_moves_the_cells_of_its_time_at_every_depth(frame: int) -> None:
    background = noise(1, 480_000, amplitude=0.003)
    click = background.clone()
    click[0, frame * HOP - 200 : frame * HOP + 200] += noise(400, seed=1, amplitude=0.5)
    for depth, change in enumerate(changes(background, click)):
        cell = change.sum(dim=1).argmax().item()
        # Half a token, as it may lie at its edge, half a cell, and the length of an FFT.
        assert abs((cell + 0.5) * 2**depth - frame - 0.5) <= 2**depth + 3, depth


@pytest.mark.parametrize("band", [5, 18, 33, 60])
def test_a_tone_moves_the_cells_of_its_band_at_every_depth(band: int) -> None:
    hz = float(CLAP.front_end.mel_weights[:, band].argmax()) * CLAP.front_end.config.bin_hz
    background = noise(1, 480_000, amplitude=0.03)
    sounding = background + tone(hz, 480_000, 48_000, 0.2)
    for depth, change in enumerate(changes(background, sounding)):
        assert abs((change.sum(dim=0).argmax().item() + 0.5) * 2**depth - band - 0.5) <= 2**depth + 3, depth


@pytest.mark.parametrize(("frame", "band"), [(130, 12), (410, 50), (700, 22), (900, 40)])
def test_a_short_tone_moves_the_one_place_it_is_at(frame: int, band: int) -> None:
    hz = float(CLAP.front_end.mel_weights[:, band].argmax()) * CLAP.front_end.config.bin_hz
    background = noise(1, 480_000, amplitude=0.01)
    sounding = background.clone()
    start = frame * HOP - 4_800
    sounding[:, start : start + 9_600] += tone(hz, 9_600, 48_000, 0.3) * torch.hann_window(9_600)
    for depth, change in enumerate(changes(background, sounding)):
        time, mel = divmod(change.argmax().item(), change.shape[1])
        assert abs((time + 0.5) * 2**depth - frame - 0.5) <= 2**depth + 10, depth
        assert abs((mel + 0.5) * 2**depth - band - 0.5) <= 2**depth + 3, depth


@pytest.mark.parametrize("frame", [40, 150, 260])
def test_in_a_short_window_a_place_in_time_is_where_all_repeats_have_it(frame: int) -> None:
    background = noise(1, 144_000, amplitude=0.003)
    click = background.clone()
    click[0, frame * HOP - 200 : frame * HOP + 200] += noise(400, seed=1, amplitude=0.5)
    for depth, change in enumerate(changes(background, click)):
        cell = change.sum(dim=1).argmax().item()
        assert abs((cell + 0.5) * 2**depth - frame - 0.5) <= 2**depth + 3, depth


@pytest.mark.parametrize("seconds", [10, 3, 7.3])
def test_gradients_reach_the_magnitude_and_every_representation(seconds: float) -> None:
    magnitude = CLAP.front_end.stft(noise(1, round(seconds * 48_000))).abs().requires_grad_()
    output = CLAP(magnitude)
    slopes = torch.autograd.grad(output.logits[0, 0], [magnitude, *output.representations])
    for slope in slopes:
        assert slope.isfinite().all()
        assert slope.abs().max() > 0


def test_the_detour_over_representations_leaves_the_gradient_what_it_is() -> None:
    log_mel = CLAP.front_end.log_mel(CLAP.front_end.stft(noise(1, 144_000)).abs()).requires_grad_()
    embedding = CLAP.from_log_mel(log_mel).embedding
    heard = CLAP.front_end.log_mel(torch.zeros(1, 513, 1)).expand(-1, 1001 - 901, -1)
    whole = torch.cat([log_mel[:, :300]] * 3 + [log_mel[:, 300:], heard], dim=1)
    plain = torch.nn.functional.normalize(CLAP.htsat.weights(input_features=whole[:, None]).audio_embeds, dim=1)
    torch.testing.assert_close(embedding, plain, rtol=0, atol=1e-5)
    ours, theirs = (torch.autograd.grad(e[0, 3], log_mel, retain_graph=True)[0] for e in (embedding, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6 * float(theirs.abs().max()) + 1e-8)


@pytest.mark.parametrize("frames", [1001, 301])
def test_evidence_can_be_asked_of_all_depths(frames: int) -> None:
    magnitude = CLAP.front_end.stft(noise(2, 480_000)).abs()[..., :frames]
    output, y, heard = classify_with_evidence(CLAP, magnitude, None, 6)
    assert torch.equal(y, output.logits.argmax(1))
    assert tuple(h.shape[1] for h in heard) == decoder_channels(CLAP, 6)
    assert all(h.isfinite().all() and not h.requires_grad for h in heard)
    for h, plain in zip(heard, output.representations, strict=True):
        assert h[:, plain.shape[1] :].abs().max() > 0


def test_evidence_can_be_asked_in_half_precision() -> None:
    magnitude = CLAP.front_end.stft(noise(1, 144_000)).abs()
    _, _, exact = classify_with_evidence(CLAP, magnitude, None, 6)
    with torch.autocast("cpu", torch.bfloat16):
        _, _, heard = classify_with_evidence(CLAP, magnitude, None, 6)
    for h, wanted in zip(heard, exact, strict=True):
        alike = torch.nn.functional.cosine_similarity(h.float().flatten(), wanted.flatten(), dim=0)
        assert alike > 0.9


def test_gradcam_looks_at_the_last_stage() -> None:
    magnitude = CLAP.front_end.stft(noise(2, 144_000)).abs()
    cells = gradcam(CLAP)(magnitude, torch.tensor([0, 1]))
    assert cells.shape == magnitude.shape
    assert cells.isfinite().all()
    assert cells.abs().amax(dim=(1, 2)).min() > 0


def test_evidence_of_a_depth_foretells_what_the_logits_do() -> None:
    # A change of the deepest representation, carried to the tokens behind it, against its slope.
    magnitude = CLAP.front_end.stft(noise(1, 480_000)).abs()
    output = CLAP(magnitude.requires_grad_())
    (slope,) = torch.autograd.grad(output.logits[0, 1], output.representations[-1])
    grid = CLAP.htsat.grids[-1]
    change = torch.randn(slope.shape, generator=torch.Generator().manual_seed(0))
    tokens = []
    hook = grid.register_forward_hook(lambda module, args, out: tokens.append(args))
    CLAP(magnitude)
    hook.remove()
    (last, clip), step = tokens[0], 1e-2
    time, mel = grid.maps(clip, last)  # type: ignore[operator]
    carried = folded(time[1] @ change @ mel[1].T, 4)

    def logit(x: Tensor) -> Tensor:
        encoder = CLAP.htsat.weights.audio_model.audio_encoder
        projected = CLAP.htsat.weights.audio_projection(encoder.norm(x).mean(dim=1))
        return CLAP.logit_scale * torch.nn.functional.normalize(projected, dim=1)[0] @ CLAP.class_embeddings[1]

    moved = (logit(last + step * carried) - logit(last - step * carried)) / (2 * step)
    torch.testing.assert_close((slope * change).sum(), moved, rtol=1e-2, atol=1e-4)


def test_a_clap_that_pads_hears_silence_after_a_short_window() -> None:
    padding = small_clap(ClapConfig(**{**SMALL.model_dump(), "short_windows": "pad"}))
    sound = noise(1, 144_000)
    short = padding(padding.front_end.stft(sound).abs())
    log_mel = padding.front_end.log_mel(padding.front_end.stft(sound).abs())
    silence = padding.front_end.log_mel(torch.zeros(1, 513, 700))
    whole = padding.from_log_mel(torch.cat([log_mel, silence], dim=1))
    torch.testing.assert_close(short.embedding, whole.embedding, rtol=0, atol=1e-6)

from __future__ import annotations

import pytest
import torch

from pipeline.attribution.gradcam import enlarged, gradcam, guided_gradcam
from pipeline.attribution.gradients import guided_backprop
from tests.attribution.fakes import FRAMES, SMALL, RegionClassifier, magnitude
from tests.lmac.fakes import LinearClassifier
from tests.models.make import FRONT_END, front_end, noise, tone


def burst(hz: float, start: int, stop: int) -> torch.Tensor:
    """Magnitude `[1, F, T]` of a tone over weak noise, sounding from one sample to another."""
    sound = noise(1, 160 * 95, amplitude=1e-3)
    sound[:, start:stop] += tone(hz, stop - start)
    return front_end().stft(sound).abs()


def test_gradcam_of_a_tone_lights_where_and_when_it_sounds() -> None:
    x = burst(2000, 160 * 30, 160 * 60)
    got = gradcam(RegionClassifier((0, x.shape[2]), (4, FRONT_END.n_mels)))(x, torch.tensor([0]))[0]
    frequency, frame = divmod(int(got.argmax()), x.shape[2])
    assert abs(frequency * FRONT_END.bin_hz - 2000) < 150
    assert 30 <= frame <= 60
    in_time = got.mean(dim=0)
    assert in_time[35:55].min() > 2 * torch.cat([in_time[:25], in_time[65:]]).max()


def test_gradcam_is_the_cells_of_the_last_block_weighed_by_their_channels_mean_gradient() -> None:
    x, y = magnitude(frames=64), torch.tensor([0, 1])
    output = SMALL(x.clone().requires_grad_(True))
    deepest = output.representations[-1]
    (slope,) = torch.autograd.grad(output.logits.gather(1, y[:, None]).sum(), deepest)
    cells = (deepest * slope.mean(dim=(2, 3), keepdim=True)).sum(dim=1, keepdim=True)
    mel_map = torch.nn.functional.interpolate(cells, size=(64, 32), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(gradcam(SMALL)(x, y), SMALL.front_end.spread(mel_map).detach())


def test_guided_gradcam_is_guided_backprop_where_gradcam_is_positive() -> None:
    x, y = magnitude(), torch.tensor([0, 1])
    where, what = gradcam(SMALL)(x, y), guided_backprop(SMALL)(x, y)
    got = guided_gradcam(SMALL)(x, y)
    assert got[where <= 0].abs().max() == 0
    torch.testing.assert_close(got[where > 0], (where * what)[where > 0])


@pytest.mark.parametrize("size", [(48, 32), (51, 32), (33, 32), (17, 32), (1, 16)])
def test_cells_are_enlarged_to_the_frames_they_were_pooled_from(size: tuple[int, int]) -> None:
    time = torch.arange(size[0], dtype=torch.float32)[:, None].expand(size)[None, None]
    cells = time
    for _ in range(4):
        cells = torch.nn.functional.avg_pool2d(cells, 2, ceil_mode=True)
    back = enlarged(cells, size)
    assert back.shape == time.shape
    # Pooling over an edge that is not whole averages what there is, which shifts the last cell by less than a half.
    assert (back - time).abs().max() <= 8
    assert (back[..., 8 : size[0] - 16, :] - time[..., 8 : size[0] - 16, :]).abs().sum() == pytest.approx(0, abs=1e-3)


def test_gradcam_marks_nothing_that_the_classifier_cannot_hear() -> None:
    got = gradcam(SMALL)(magnitude(), torch.tensor([0, 1]))
    assert got.shape == (2, FRONT_END.n_freq, FRAMES)
    assert got[:, ~SMALL.front_end.audible].abs().max() == 0


@pytest.mark.parametrize("method", [gradcam, guided_gradcam])
def test_a_classifier_without_a_block_to_look_at_is_refused(method) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="LinearClassifier has no last convolutional block"):
        method(LinearClassifier(torch.ones(2, 3)))

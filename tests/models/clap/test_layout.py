from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.clap.layout import Clip, TokenGrid, folded, mel_maps, time_maps, unfolded

FRAMES = st.integers(1, 1001)


def clip_of(frames: int, repeated: bool = True) -> Clip:
    return Clip(frames, 1001, 1024, repeated)


def test_a_window_as_long_as_the_clip_is_heard_once_and_whole() -> None:
    assert torch.equal(clip_of(1001).frame_of_clip(), torch.arange(1001))


def test_a_short_window_is_repeated_as_its_waveform_would_be_and_then_there_is_silence() -> None:
    heard = clip_of(301).frame_of_clip()  # 3 s: three times, then 1 s of nothing
    assert torch.equal(heard[:900], torch.arange(300).repeat(3))
    assert heard[900] == 300
    assert (heard[901:] == 301).all()


def test_with_padding_alone_a_short_window_is_heard_once() -> None:
    heard = clip_of(301, repeated=False).frame_of_clip()
    assert torch.equal(heard[:301], torch.arange(301))
    assert (heard[301:] == 301).all()


@pytest.mark.parametrize("frames", [0, 1002])
def test_more_frames_than_the_clip_has_are_refused(frames: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 1001 frames at once, got {frames}"):
        clip_of(frames)


@settings(deadline=None)
@given(FRAMES, st.sampled_from([(2, 4), (4, 4), (8, 8), (32, 32)]), st.booleans())
def test_what_is_the_same_everywhere_stays_so_on_both_ways(frames: int, size: tuple[int, int], repeated: bool) -> None:
    to_window, to_image = time_maps(clip_of(frames, repeated), *size)
    torch.testing.assert_close(to_window.sum(dim=1), torch.ones(len(to_window)))
    rows = to_image.sum(dim=1)
    assert (((rows - 1).abs() < 1e-5) | (rows == 0)).all()  # silence gets nothing
    assert rows[0] == 1
    assert to_window.shape == (-(-frames // size[0]), 1024 // size[1])


@settings(deadline=None)
@given(st.integers(40, 1001), st.sampled_from([(4, 4), (8, 8), (32, 32)]))
def test_a_place_in_time_comes_back_from_the_image_where_it_was(frames: int, size: tuple[int, int]) -> None:
    to_window, to_image = time_maps(clip_of(frames), *size)
    back = to_window @ to_image
    place = torch.arange(len(back), dtype=torch.float32)
    # At the edges of a short window a token may hear two repeats, the end of one and the start of the next.
    torch.testing.assert_close((back @ place)[2:-2], place[2:-2], rtol=0, atol=1.0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999))
def test_a_frame_lies_in_the_column_that_hears_it(frame: int) -> None:
    to_window, _ = time_maps(clip_of(1001), 4, 4)
    column = round((frame * 1023 / 1000 - 1.5) / 4)  # where bicubic stretching puts the frame
    heard = to_window[frame // 4].nonzero()[:, 0]
    assert heard.min() - 1 <= column <= heard.max() + 1


def test_bands_are_interpolated_about_their_centres() -> None:
    there, back = mel_maps(64, 2, 4)
    rows = torch.arange(16.0) * 4 + 1.5  # each row's band
    torch.testing.assert_close((there @ rows)[1:-1], (torch.arange(32.0) * 2 + 0.5)[1:-1])
    torch.testing.assert_close(back @ (torch.arange(32.0) * 2 + 0.5), rows)


def test_unfolding_puts_the_strips_of_the_image_end_to_end() -> None:
    time, band = torch.meshgrid(torch.arange(256.0), torch.arange(16.0), indexing="ij")
    # As HTSAT folds: strip over strip, within each the bands from low to high, time from left to right.
    image = torch.stack([time, band]).view(2, 4, 64, 16).permute(0, 1, 3, 2).reshape(2, 64, 64)
    tokens = image.flatten(1).T[None]
    assert torch.equal(unfolded(tokens, 4)[0], torch.stack([time, band]))
    assert torch.equal(folded(unfolded(tokens, 4), 4), tokens)


@pytest.mark.parametrize("frames", [1001, 301, 47])
def test_putting_a_representation_into_the_path_changes_no_token_and_no_gradient(frames: int) -> None:
    place, clip = TokenGrid(64, 4, 2, 4), clip_of(frames)
    x = torch.randn(2, 4096, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    representation = place(x, clip)
    through = place.with_gradient(x, representation, clip)
    assert torch.equal(through, x)
    loss = (through.square() * weights).sum()
    of_x, of_representation = torch.autograd.grad(loss, [x, representation])
    torch.testing.assert_close(of_x, 2 * x.detach() * weights)
    # The slope of the representation is what a change of it does, carried back to the tokens.
    change = torch.randn(representation.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    time, mel = place.maps(clip, x)
    carried = folded(time[1] @ change @ mel[1].T, 4)
    torch.testing.assert_close((of_representation * change).sum(), (2 * x.detach() * weights * carried).sum())

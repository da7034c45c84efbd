from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.windows import Span, Window, WindowCutter, take_window, windows_of
from schemas.explainer_config import FrontEndConfig

RATE = 8000


def front_end(window: int) -> FrontEndConfig:
    return FrontEndConfig(sample_rate=RATE, n_fft=128, hop_length=16, f_max=4000, window_s=window / RATE)


def cut(n: int, window: int, hop: int | None = None, min_tail: float = 0) -> list[Window]:
    """The windows of samples 1 to n."""
    waveform = np.arange(1, n + 1, dtype=np.float32)
    return list(windows_of(waveform, front_end(window), None if hop is None else hop / RATE, min_tail))


@given(st.integers(1, 5000), st.integers(16, 700), st.data())
def test_every_sample_lies_in_a_window_and_no_window_is_needless(n: int, window: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(max(1, window // 4), window))
    spans = [one.span for one in cut(n, window, hop)]
    heard = np.zeros(n, dtype=int)
    for i, span in enumerate(spans):
        assert span.start == i * hop
        assert 0 < span.stop - span.start <= window
        heard[span.start : span.stop] += 1
    assert heard.min() >= 1
    assert all(span.stop - span.start == window for span in spans[:-1])
    assert all(span.stop < n for span in spans[:-1])


@given(st.integers(1, 3000), st.integers(16, 500))
def test_windows_end_to_end_give_the_clip_back(n: int, window: int) -> None:
    windows = cut(n, window)
    assert [one.number for one in windows] == list(range(len(windows)))
    whole = np.concatenate([one.samples for one in windows])
    np.testing.assert_array_equal(whole[:n], np.arange(1, n + 1))
    assert not whole[n:].any()
    assert {one.samples.shape for one in windows} == {(window,)}


@given(st.integers(1, 2000), st.integers(16, 300), st.integers(1, 700), st.sampled_from([0, 0.5]), st.data())
def test_blocks_are_cut_into_the_windows_of_the_whole_from_any_window_on(
    n: int, window: int, block: int, min_tail: float, data: st.DataObject
) -> None:
    hop = data.draw(st.integers(max(1, window // 4), window))
    whole = cut(n, window, hop, min_tail)
    first = data.draw(st.integers(0, len(whole) - 1))
    cutter = WindowCutter(front_end(window), hop / RATE, min_tail, first)
    rest = np.arange(1 + first * hop, n + 1, dtype=np.float32)[None]
    found = [one for at in range(0, rest.shape[1], block) for one in cutter.add(rest[:, at : at + block])]
    found += cutter.end()
    assert [one[:2] for one in found] == [one[:2] for one in whole[first:]]
    for one, other in zip(found, whole[first:], strict=True):
        np.testing.assert_array_equal(one.samples[0], other.samples)


def test_a_short_clip_has_one_window_and_an_empty_one_has_none() -> None:
    assert [one.span for one in cut(3, 20, min_tail=0.5)] == [Span(0, 3)]
    assert [one.span for one in cut(20, 20)] == [Span(0, 20)]
    assert cut(0, 20) == []


def test_a_rest_shorter_than_the_tail_asked_for_is_left_out() -> None:
    assert [one.span for one in cut(29, 20, min_tail=0.5)] == [Span(0, 20)]
    assert [one.span for one in cut(30, 20, min_tail=0.5)] == [Span(0, 20), Span(20, 30)]


def test_a_window_is_a_copy() -> None:
    recording = np.ones(4, np.float32)
    take_window(recording, Span(0, 4), 4)[:] = 0
    assert recording.all()

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.windows import Span, cut_windows, take_window


@given(st.integers(1, 5000), st.integers(1, 700), st.data())
def test_every_sample_lies_in_a_window_and_no_window_is_needless(n: int, window: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(max(1, window // 4), window))
    spans = cut_windows(n, window, hop)
    heard = np.zeros(n, dtype=int)
    for i, span in enumerate(spans):
        assert span.start == i * hop
        assert 0 < span.stop - span.start <= window
        heard[span.start : span.stop] += 1
    assert heard.min() >= 1
    assert all(span.stop - span.start == window for span in spans[:-1])
    assert all(span.stop < n for span in spans[:-1])


@given(st.integers(1, 3000), st.integers(1, 500))
def test_windows_end_to_end_give_the_clip_back(n: int, window: int) -> None:
    recording = np.arange(1, n + 1, dtype=np.float32)
    windows = [take_window(recording, span, window) for span in cut_windows(n, window)]
    whole = np.concatenate(windows)
    np.testing.assert_array_equal(whole[:n], recording)
    assert not whole[n:].any()
    assert {w.shape for w in windows} == {(window,)}


def test_a_short_clip_has_one_window_and_an_empty_one_has_none() -> None:
    assert cut_windows(3, 10) == [Span(0, 3)]
    assert cut_windows(10, 10) == [Span(0, 10)]
    assert cut_windows(0, 10) == []


def test_a_hop_that_would_skip_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hop must lie in 1..window \(10\), got 11"):
        cut_windows(100, 10, 11)


def test_a_window_is_a_copy() -> None:
    recording = np.ones(4, np.float32)
    take_window(recording, Span(0, 4), 4)[:] = 0
    assert recording.all()

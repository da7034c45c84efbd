from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from pipeline.lmac.prefetch import prefetched, waveforms_on
from tests.lmac.scenes import scene_windows

CPU = torch.device("cpu")
BATCHES = torch.arange(20).split(3)


def test_batches_come_in_order_as_they_were_read_in_another_thread() -> None:
    readers: set[str] = set()

    def read(indices: torch.Tensor) -> dict[str, np.ndarray]:
        readers.add(threading.current_thread().name)
        return {"number": indices.numpy(), "half": indices.numpy().astype(np.float16) / 2}

    got = list(prefetched(read, BATCHES, CPU))
    assert [batch["number"].tolist() for batch in got] == [batch.tolist() for batch in BATCHES]
    assert torch.equal(got[1]["half"], torch.tensor([1.5, 2.0, 2.5], dtype=torch.float16))
    assert len(readers) == 1
    assert threading.current_thread().name not in readers


def test_what_is_drawn_to_choose_a_batch_is_drawn_in_the_caller_s_thread() -> None:
    drawing: set[str] = set()

    def chosen() -> object:
        for batch in BATCHES:
            drawing.add(threading.current_thread().name)
            yield batch

    list(prefetched(lambda indices: {"number": indices.numpy()}, chosen(), CPU))  # type: ignore[arg-type]
    assert drawing == {threading.current_thread().name}


def test_no_more_is_read_than_a_few_batches_ahead() -> None:
    read: list[int] = []

    def reading(indices: torch.Tensor) -> dict[str, np.ndarray]:
        read.append(int(indices[0]))
        return {"number": indices.numpy()}

    coming = prefetched(reading, BATCHES, CPU, ahead=2)
    for done in range(1, 4):
        next(coming)
        assert len(read) <= done + 2
    coming.close()  # type: ignore[attr-defined]
    assert len(read) < len(BATCHES)


def test_what_reading_raises_is_raised_in_its_turn() -> None:
    def read(indices: torch.Tensor) -> dict[str, np.ndarray]:
        if int(indices[0]) == 6:
            raise OSError("the disk is gone")
        return {"number": indices.numpy()}

    coming = prefetched(read, BATCHES, CPU)
    assert [int(next(coming)["number"][0]) for _ in range(2)] == [0, 3]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


def test_nothing_to_read_is_no_batch() -> None:
    assert list(prefetched(lambda indices: {}, [], CPU)) == []


def test_windows_have_the_bits_that_they_have_when_they_are_read_at_once() -> None:
    windows = scene_windows()
    got = torch.cat(list(waveforms_on(CPU, windows, torch.arange(len(windows)).split(7))))
    assert torch.equal(got, windows.waveforms(torch.arange(len(windows))))

"""A recording that kills, hangs or swells its decoder costs itself alone."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import decoder_main, decoder_process
from pipeline.audio.decode import AudioFault, collect, decode
from pipeline.audio.decoder_process import DecoderProcess
from tests.audio.make import encode, encode_av, tone
from tests.audio.poison import poison, write_poisoner

GOOD = encode(tone(440, 0.5, 22050), 22050)


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderProcess]:
    """A decoder that poison harms."""
    path = os.pathsep.join(filter(None, [write_poisoner(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    with DecoderProcess() as process:
        yield process


def children() -> set[int]:
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread may have ended meanwhile
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


def fault_of(decoder: DecoderProcess, data: bytes) -> AudioFault:
    with pytest.raises(AudioFault) as caught:
        collect(decoder.stream(data, "recording.wav", 16000))
    assert caught.value.message.startswith("recording.wav: ")
    return caught.value


def is_well(decoder: DecoderProcess) -> None:
    assert len(collect(decoder.stream(GOOD, "a", 16000)).waveform) == 8000


def test_it_decodes_as_decode_does_one_clip_after_another() -> None:
    files = [
        GOOD,
        encode(tone(1000, 3.0, 48000), 48000, "FLAC"),
        encode_av(tone(500, 1.0, 48000), 48000, "ipod", "aac"),
    ]
    files += [encode(np.full(1, 0.5, np.float32), 8000), encode(tone(440, 40.0, 44100), 44100, "WAV", "DOUBLE")]
    with DecoderProcess() as decoder:
        for data in files:
            here, there = decode(data, "a", 16000), collect(decoder.stream(data, "a", 16000))
            np.testing.assert_array_equal(there.waveform, here.waveform)
            assert there.waveform.dtype == np.float32
            assert (there.sample_rate_in, there.channels_in) == (here.sample_rate_in, here.channels_in)


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"text\n" * 99, "not_audio"), (GOOD[:30], "truncated")])
def test_a_fault_of_the_file_is_the_one_that_decode_finds(data: bytes, reason: str) -> None:
    with pytest.raises(AudioFault) as here:
        decode(data, "recording ü\n.wav", 16000)
    with DecoderProcess() as decoder:
        with pytest.raises(AudioFault) as there:
            collect(decoder.stream(data, "recording ü\n.wav", 16000))
        is_well(decoder)
    assert there.value.args == here.value.args
    assert there.value.reason == reason


def test_the_child_starts_without_the_environments_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "HF_TOKEN"),
        *("RAY_AUTH_TOKEN", "GITHUB_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK"),
    }
    for name in secrets:
        monkeypatch.setenv(name, "a secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before = children()
    with DecoderProcess() as decoder:
        is_well(decoder)
        (child,) = children() - before
        found = dict(
            entry.split("=", 1) for entry in Path(f"/proc/{child}/environ").read_text().split("\0") if "=" in entry
        )
    assert not secrets & found.keys()
    assert "a secret" not in found.values()
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["PATH"] == os.environ["PATH"]
    assert found["OMP_NUM_THREADS"] == "1"


def test_the_child_is_started_by_the_first_clip_kept_for_the_others_and_ended() -> None:
    before = children()
    with DecoderProcess() as decoder:
        assert children() == before
        is_well(decoder)
        (child,) = children() - before
        is_well(decoder)
        assert children() - before == {child}
    assert children() == before


@pytest.mark.parametrize(("word", "ended"), [("SEGFAULT", "SIGSEGV"), ("ABORT", "SIGABRT")])
def test_a_clip_that_kills_its_decoder_is_crashed_with_the_signal(
    decoder: DecoderProcess, word: str, ended: str
) -> None:
    is_well(decoder)
    fault = fault_of(decoder, poison(word))
    assert fault.reason == "crashed"
    assert ended in fault.message
    is_well(decoder)


def test_a_clip_whose_decoder_was_killed_once_is_tried_again(decoder: DecoderProcess, tmp_path: Path) -> None:
    is_well(decoder)
    assert len(collect(decoder.stream(poison("ONCE"), "a", 16000)).waveform) == 8000
    assert (tmp_path / "site" / "poisoned").exists()


def test_a_decoder_killed_between_clips_is_no_clip_s_fault(decoder: DecoderProcess) -> None:
    before = children()
    is_well(decoder)
    (child,) = children() - before
    os.kill(child, signal.SIGKILL)
    time.sleep(0.1)
    assert len(collect(decoder.stream(GOOD, "a", 16000)).waveform) == 8000


def test_a_clip_that_takes_for_ever_is_too_slow(decoder: DecoderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    is_well(decoder)
    monkeypatch.setattr(decoder_process, "SECONDS", 1.0)
    fault = fault_of(decoder, poison("SLEEP"))
    assert fault.reason == "too_slow"
    assert "makes no progress for 1 s" in fault.message
    monkeypatch.undo()
    is_well(decoder)


@pytest.mark.parametrize("word", ["MEMORY", "SWELL"])
def test_a_clip_that_takes_all_memory_is_out_of_memory(decoder: DecoderProcess, word: str) -> None:
    assert fault_of(decoder, poison(word)).reason == "out_of_memory"
    is_well(decoder)


def test_an_error_of_the_decoder_is_told_and_costs_one_clip(decoder: DecoderProcess) -> None:
    fault = fault_of(decoder, poison("ERROR"))
    assert fault.reason == "crashed"
    assert "KeyError: 'not provided for'" in fault.message
    is_well(decoder)


def test_what_a_library_prints_does_not_come_between(decoder: DecoderProcess) -> None:
    assert len(collect(decoder.stream(poison("PRINT"), "a", 16000)).waveform) == 8000


def test_a_decoder_that_cannot_start_is_no_clip_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soundfile.py").write_text("raise ImportError('broken installation')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    with DecoderProcess() as decoder, pytest.raises(RuntimeError, match="did not start \\(exit code 1\\)"):
        collect(decoder.stream(GOOD, "a", 16000))


class Pipe(io.BytesIO):
    """A pipe that counts how often it is flushed."""

    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


def test_many_small_messages_do_not_keep_each_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(0.4 * tick for tick in range(100))
    monkeypatch.setattr(decoder_main.time, "monotonic", lambda: next(clock))
    pipe = Pipe()
    # Ten of them in four seconds: after each second but the first they are on their way, and at the end.
    decoder_main.send_in_time(pipe, [({"n": n}, b"") for n in range(10)])
    assert pipe.flushed == 4


def test_any_limit_of_seconds_is_one() -> None:
    with DecoderProcess() as decoder:
        assert len(collect(decoder.stream(GOOD, "a", 16000, max_seconds=1e300)).waveform) == 8000


def test_it_ends_when_its_parent_is_killed_in_the_middle_of_a_clip(decoder: DecoderProcess, tmp_path: Path) -> None:
    (tmp_path / "recording.wav").write_bytes(poison("SLEEP"))
    script = (
        "import sys; from pipeline.audio.decoder_process import DecoderProcess\n"
        f"list(DecoderProcess().stream(open({str(tmp_path / 'recording.wav')!r}, 'rb').read(), 'a', 16000))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    of_parent = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    wait_for(lambda: bool(of_parent.read_text().split()))
    child = Path(f"/proc/{of_parent.read_text().split()[0]}")
    wait_for(lambda: b"decoder_main" in (child / "cmdline").read_bytes())
    time.sleep(1.0)
    parent.kill()
    parent.wait()
    wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2][:3])


def wait_for(happens: object, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not happens():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)

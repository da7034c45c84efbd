"""Recordings that kill, stop or swell the process that decodes them, as a broken codec would."""

from __future__ import annotations

from pathlib import Path

from tests.audio.make import encode, tone

# What libsndfile is made to do with a file that holds the word.
_SITECUSTOMIZE = """
import os, signal, sys, time

if any("decoder_main" in word for word in getattr(sys, "orig_argv", open("/proc/self/cmdline").read().split("\\0"))):
    import soundfile

    sound_file = soundfile.SoundFile

    def poisoned(file, *given, **named):
        data = file.getvalue()
        if b"POISON-SEGFAULT" in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"POISON-ABORT" in data:
            os.abort()
        if b"POISON-ONCE" in data:
            try:
                os.close(os.open(os.path.join(os.path.dirname(__file__), "poisoned"), os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        if b"POISON-SLEEP" in data:
            time.sleep(600)
        if b"POISON-MEMORY" in data:
            held = []
            while True:
                held.append(bytearray(b"x" * (16 << 20)))
        if b"POISON-SWELL" in data:
            held = bytearray(b"x" * (500 << 20))
            os.abort()
        if b"POISON-PRINT" in data:
            os.write(1, b"a library's chatter" * 1000)
        if b"POISON-ERROR" in data:
            raise KeyError("not provided for")
        return sound_file(file, *given, **named)

    soundfile.SoundFile = poisoned
"""


def poison(word: str) -> bytes:
    """A sound WAV file which holds a word that makes the decoder do harm, where `write_poisoner` is on the path."""
    return encode(tone(440, 0.5, 16000), 16000) + b"POISON-" + word.encode()


def write_poisoner(folder: Path) -> str:
    """Write the module by which every Python that has the folder on its path is harmed by `poison`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    return str(folder)

"""Some 200 audio files as other tools write, cut, join and damage them, and what becomes of each:

python -m tests.audio.matrix

prints for each the seconds that are heard here, those that the ffmpeg command decodes, and what was said.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.decode import AudioFault, decode
from tests.audio.make import encode, tone, with_granule

TOOLS = ("ffmpeg", "sox", "lame", "flac", "oggenc", "opusenc")
SECONDS = 2.6
_RATE = 48_000


@dataclass(frozen=True)
class Case:
    """A file: `sound` where nothing of it is missing, `known` where the ffmpeg command and its libraries differ."""

    name: str
    data: bytes
    sound: bool = True


@dataclass(frozen=True)
class Outcome:
    """Seconds here and by the ffmpeg command, None where they give none, and the reasons that were said."""

    case: Case
    here: float | None
    ffmpeg: float | None
    said: tuple[str, ...]

    @property
    def silent(self) -> bool:
        """Whether the lengths differ by more than 20 ms, and nothing says so."""
        # What the command cannot read, it cannot tell.
        return not self.said and self.ffmpeg is not None and abs((self.here or 0.0) - self.ffmpeg) > 0.02

    def __str__(self) -> str:
        seconds = ("none" if value is None else f"{value:.3f}" for value in (self.here, self.ffmpeg))
        return "{:38} {:>7} {:>7}  {}".format(self.case.name, *seconds, ", ".join(self.said))


def missing_tools() -> list[str]:
    """The commands that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def make_cases(folder: Path) -> list[Case]:
    """Write all files by all writers, several at once."""
    rng = np.random.default_rng(0)
    for name, rate, channels in (("stereo", 44_100, 2), ("mono", 16_000, 1), ("phone", 8_000, 1), ("high", 48_000, 2)):
        sound = tone(440, SECONDS, rate)[:, None] + 0.1 * rng.standard_normal((round(SECONDS * rate), channels))
        (folder / f"{name}.wav").write_bytes(encode(sound.astype(np.float32), rate, "WAV", "PCM_16"))
    jobs: list[Callable[[], list[Case]]] = [lambda job=job: _run(folder, *job) for job in _commands()]  # type: ignore[misc]
    with ThreadPoolExecutor(4) as pool:
        made = [case for cases in pool.map(lambda job: job(), jobs) for case in cases]
    files = {case.name: case.data for case in made}
    return [*made, *_cut(files), *_joined(files), *_lies(files), *_tagged(files), *_harmed(files)]


def outcomes(cases: list[Case]) -> Iterator[Outcome]:
    """What becomes of each file, in order."""
    with ThreadPoolExecutor(4) as pool, tempfile.TemporaryDirectory() as folder:
        yield from pool.map(lambda case: _outcome(case, Path(folder)), cases)


def _outcome(case: Case, folder: Path) -> Outcome:
    path = folder / case.name.replace(" ", "_").replace("/", "_")
    path.write_bytes(case.data)
    command = ["ffmpeg", "-v", "quiet", "-i", str(path), "-ac", "1", "-ar", str(_RATE), "-f", "s16le", "-"]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    path.unlink()
    ffmpeg = len(found) / 2 / _RATE or None
    try:
        decoded = decode(case.data, case.name, 16_000)
    except AudioFault as fault:
        return Outcome(case, None, ffmpeg, (fault.reason,))
    return Outcome(case, len(decoded.waveform) / 16_000, ffmpeg, tuple(one.reason for one in decoded.damage))


def _run(folder: Path, name: str, command: str) -> list[Case]:
    """Run a command with {out} for the file that it writes, or whose output goes to stdout and is the file."""
    out = folder / name.replace(" ", "_").replace("/", "_")
    pattern = out.with_name(f"%d-{out.name}")
    words = [word.format(out=out, segments=pattern, folder=folder) for word in command.split()]
    done = subprocess.run(words, capture_output=True, cwd=folder, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.decode()[-500:]}")
    if "{segments}" in command:
        return [Case(f"{name} {number}", (folder / f"{number}-{out.name}").read_bytes()) for number in (0, 1)]
    return [Case(name, out.read_bytes() if "{out}" in command else done.stdout)]


def _commands() -> Iterator[tuple[str, str]]:
    ffmpeg = "ffmpeg -v error -y -i "
    for codec in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw"):
        yield f"ffmpeg {codec}.wav", f"{ffmpeg} stereo.wav -c:a pcm_{codec} -f wav {{out}}"
    for codec in ("adpcm_ima_wav", "adpcm_ms", "libmp3lame"):
        yield f"ffmpeg {codec}.wav", f"{ffmpeg} stereo.wav -c:a {codec} -f wav {{out}}"
    yield "ffmpeg rf64.wav", f"{ffmpeg} stereo.wav -rf64 always {{out}}"
    yield "ffmpeg 5.1.wav", f"{ffmpeg} stereo.wav -ac 6 {{out}}"
    for codec in ("s16be", "s24be", "f32be", "alaw"):
        yield f"ffmpeg {codec}.aiff", f"{ffmpeg} stereo.wav -c:a pcm_{codec} -f aiff {{out}}"
    for kind, codec in _FILES.items():
        source = (
            "phone.wav" if kind.split(".")[-1] in ("gsm", "spx") else "high.wav" if "opus" in codec else "stereo.wav"
        )
        yield f"ffmpeg {kind}", f"{ffmpeg} {source} {codec} {{out}}"
    for kind, codec in _PIPES.items():
        yield f"ffmpeg pipe {kind}", f"{ffmpeg} stereo.wav {codec} -"
    for kind, codec in _SEGMENTS.items():
        yield (
            f"ffmpeg segment {kind}",
            f"{ffmpeg} stereo.wav -map 0:a {codec} -f segment -segment_time 1.3 {{segments}}",
        )
    yield "sox gsm.wav", "sox mono.wav -r 8000 -e gsm-full-rate -t wav {out}"
    for kind in ("wav", "aiff", "aifc", "au", "flac", "ogg", "w64", "caf", "sph", "voc", "8svx", "ircam", "sox"):
        yield f"sox {kind}", f"sox mono.wav -t {kind} {{out}}"
    for kind in ("wav", "au", "aiff", "flac", "ogg", "sph", "ircam", "sox"):
        yield f"sox pipe {kind}", f"sox mono.wav -t {kind} -"
    lame = {"cbr": "-b 128", "vbr": "-V 4", "abr": "--abr 120", "no-tag": "-t -V 4", "free": "--freeformat -b 320"}
    for kind, options in lame.items():
        yield f"lame {kind}.mp3", f"lame --quiet {options} stereo.wav {{out}}"
        yield f"lame pipe {kind}.mp3", f"lame --quiet {options} stereo.wav -"
    yield "lame 16k.mp3", "lame --quiet -V 5 mono.wav {out}"
    yield "lame 8k no-tag.mp3", "lame --quiet -t --abr 24 phone.wav {out}"
    yield "flac.flac", "flac --silent -f stereo.wav -o {out}"
    yield "flac pipe.flac", "flac --silent -c stereo.wav"
    yield "flac ogg.oga", "flac --silent -f --ogg stereo.wav -o {out}"
    yield "oggenc.ogg", "oggenc -Q stereo.wav -o {out}"
    yield "opusenc.opus", "opusenc --quiet high.wav {out}"
    yield "opusenc mono.opus", "opusenc --quiet mono.wav {out}"


_FILES = {
    "w64": "-f w64",
    "au": "-f au",
    "s16.caf": "-c:a pcm_s16be -f caf",
    "alac.caf": "-c:a alac -f caf",
    "opus.caf": "-c:a libopus -f caf",
    "flac": "-f flac",
    "vorbis.ogg": "-c:a libvorbis -f ogg",
    "opus.ogg": "-c:a libopus -f ogg",
    "flac.ogg": "-c:a flac -f ogg",
    "spx": "-c:a libspeex -f ogg",
    "cbr.mp3": "-b:a 96k -f mp3",
    "vbr.mp3": "-q:a 4 -f mp3",
    "no-xing.mp3": "-q:a 4 -write_xing 0 -f mp3",
    "mp2": "-c:a mp2 -f mp2",
    "aac.m4a": "-c:a aac -f ipod",
    "alac.m4a": "-c:a alac -f ipod",
    "aac.mov": "-c:a aac -f mov",
    "pcm.mov": "-c:a pcm_s16le -f mov",
    "opus.mp4": "-c:a libopus -f mp4",
    "fragments.mp4": "-c:a aac -movflags +frag_keyframe+empty_moov -frag_duration 500000 -f mp4",
    "aac": "-c:a aac -f adts",
    "latm": "-c:a aac -f latm",
    "aac.mka": "-c:a aac -f matroska",
    "opus.mka": "-c:a libopus -f matroska",
    "vorbis.mka": "-c:a libvorbis -f matroska",
    "flac.mka": "-c:a flac -f matroska",
    "pcm.mkv": "-c:a pcm_s16le -f matroska",
    "mp3.mkv": "-c:a libmp3lame -f matroska",
    "opus.webm": "-c:a libopus -f webm",
    "vorbis.webm": "-c:a libvorbis -f webm",
    "aac.ts": "-c:a aac -f mpegts",
    "mp3.ts": "-c:a libmp3lame -f mpegts",
    "mp2.mpg": "-c:a mp2 -f mpeg",
    "ac3": "-c:a ac3 -f ac3",
    "eac3": "-c:a eac3 -f eac3",
    "wma": "-c:a wmav2 -f asf",
    "wma1.wma": "-c:a wmav1 -f asf",
    "mp3.avi": "-c:a libmp3lame -f avi",
    "mp3.flv": "-c:a libmp3lame -f flv",
    "tta": "-f tta",
    "wv": "-f wv",
    "nut": "-c:a flac -f nut",
    "voc": "-f voc",
    "gsm": "-c:a libgsm -f gsm",
    "mxf": "-f lavfi -i testsrc=d=2.6:s=64x48:r=25 -c:v mpeg2video -ar 48000 -c:a pcm_s16le -f mxf",
    "ima.aiff": "-c:a adpcm_ima_qt -f aiff",
}
_PIPES = {
    "wav": "-f wav",
    "rf64.wav": "-rf64 always -f wav",
    "w64": "-f w64",
    "au": "-f au",
    "flac": "-f flac",
    "vorbis.ogg": "-c:a libvorbis -f ogg",
    "opus.ogg": "-c:a libopus -f ogg",
    "flac.ogg": "-c:a flac -f ogg",
    "cbr.mp3": "-b:a 96k -f mp3",
    "vbr.mp3": "-q:a 4 -f mp3",
    "aac": "-c:a aac -f adts",
    "aac.mka": "-c:a aac -f matroska",
    "opus.webm": "-c:a libopus -f webm",
    "aac.ts": "-c:a aac -f mpegts",
    "wma": "-c:a wmav2 -f asf",
    "fragments.mp4": "-c:a aac -movflags +frag_keyframe+empty_moov -frag_duration 500000 -f mp4",
    "caf": "-c:a pcm_s16be -f caf",
    "tta": "-f tta",
    "wv": "-f wv",
}
_SEGMENTS = {
    "wav": "-c:a pcm_s16le -segment_format wav",
    "flac": "-c:a flac -segment_format flac",
    "ogg": "-c:a libvorbis -segment_format ogg",
    "opus": "-c:a libopus -segment_format ogg",
    "mp3": "-c:a libmp3lame -q:a 4 -segment_format mp3",
    "aac": "-c:a aac -segment_format adts",
    "m4a": "-c:a aac -segment_format ipod",
    "mka": "-c:a aac -segment_format matroska",
    "webm": "-c:a libopus -segment_format webm",
    "ts": "-c:a aac -segment_format mpegts",
    "aiff": "-c:a pcm_s16be -segment_format aiff",
}


def _cut(files: dict[str, bytes]) -> Iterator[Case]:
    for name in (
        *("ffmpeg s16le.wav", "ffmpeg adpcm_ima_wav.wav", "ffmpeg rf64.wav", "ffmpeg s16be.aiff", "ffmpeg au"),
        *("ffmpeg w64", "ffmpeg s16.caf", "ffmpeg flac", "flac.flac", "lame vbr.mp3", "lame cbr.mp3", "lame abr.mp3"),
        *("ffmpeg vorbis.ogg", "oggenc.ogg", "opusenc.opus", "flac ogg.oga", "ffmpeg aac.m4a", "ffmpeg fragments.mp4"),
        *("ffmpeg aac.mka", "ffmpeg opus.webm", "ffmpeg aac.mov", "ffmpeg wma", "ffmpeg tta", "ffmpeg wv"),
    ):
        for percent in (55, 97):
            yield Case(f"{name} cut at {percent}%", files[name][: len(files[name]) * percent // 100], sound=False)
    # What says nothing of its length is as long as it is.
    for name in ("lame no-tag.mp3", "ffmpeg aac", "ffmpeg aac.ts", "ffmpeg ac3", "ffmpeg mp2"):
        yield Case(f"{name} cut at 55%", files[name][: len(files[name]) * 55 // 100])


def _joined(files: dict[str, bytes]) -> Iterator[Case]:
    for first, second in (
        *(("lame vbr.mp3", "lame cbr.mp3"), ("ffmpeg vbr.mp3", "ffmpeg vbr.mp3"), ("lame no-tag.mp3",) * 2),
        *(("lame pipe vbr.mp3", "lame no-tag.mp3"), ("lame vbr.mp3", "lame 16k.mp3")),
        *(("oggenc.ogg", "ffmpeg vorbis.ogg"), ("ffmpeg vorbis.ogg",) * 2, ("opusenc.opus", "ffmpeg opus.ogg")),
        *(("ffmpeg aac",) * 2, ("ffmpeg ac3",) * 2, ("ffmpeg aac.ts",) * 2, ("ffmpeg mp2",) * 2),
        *(("ffmpeg s16le.wav",) * 2, ("ffmpeg opus.webm",) * 2, ("ffmpeg aac.mka",) * 2, ("ffmpeg fragments.mp4",) * 2),
        *(("flac ogg.oga",) * 2, ("ffmpeg s16be.aiff",) * 2),
    ):
        yield Case(f"{first} + {second}", files[first] + files[second])
    # FFmpeg reads less than there is of these, or decoders differ at the seam: that is said.
    for first, second in (
        *(("ffmpeg flac",) * 2, ("flac.flac", "ffmpeg pipe flac"), ("ffmpeg pipe flac",) * 2, ("ffmpeg wma",) * 2),
        *(("oggenc.ogg", "opusenc.opus"), ("opusenc mono.opus", "opusenc.opus"), ("oggenc.ogg", "sox ogg")),
        *(("sox ogg", "oggenc.ogg"), ("flac ogg.oga", "ffmpeg flac.ogg")),
    ):
        yield Case(f"{first} + {second}", files[first] + files[second], sound=False)


def _lies(files: dict[str, bytes]) -> Iterator[Case]:
    wav, aiff, au = (files[name] for name in ("ffmpeg s16le.wav", "ffmpeg s16be.aiff", "ffmpeg au"))
    at = wav.index(b"data") + 4
    n = len(wav) - at - 4
    for size, sound in (
        (0, True),
        (0xFFFFFFFF, True),
        (0x7FFFF000, True),
        (2 * n, False),
        (n + 2, False),
        (n // 2, True),
    ):
        yield Case(f"wav of {size:#x} bytes", _put(wav, at, "<I", size), sound)
    at = aiff.index(b"SSND") + 4
    for size, sound in ((0x7F000008, True), (0, True), (2 * n, False)):
        yield Case(f"aiff of {size:#x} bytes", _put(_put(aiff, at, ">I", size), 4, ">I", size), sound)
    for size, sound in ((0xFFFFFFFF, True), (0, True), (0xFFFFFFFE, True), (2 * n, False), (n // 2, True)):
        yield Case(f"au of {size:#x} bytes", _put(au, 8, ">I", size), sound)
    rf64 = files["ffmpeg rf64.wav"]
    yield Case("rf64 of 0 bytes", _put(rf64, 28, "<Q", 0))
    yield Case("rf64 without its sizes", rf64[:12] + b"JUNK" + rf64[16:])
    yield Case("wav of a byte more", _put(wav, wav.index(b"data") + 4, "<I", n + 1))
    for name in ("oggenc.ogg", "ffmpeg vorbis.ogg"):
        for words, less in (("fewer", 5000), ("no", 1 << 40)):
            yield Case(f"{name} whose last page counts {words} samples", _fewer(files[name], less))
    caf = files["ffmpeg s16.caf"]
    at = caf.index(b"data") + 4
    for size, sound in ((-1, True), (2 * n, False)):
        yield Case(f"caf of {size} bytes", _put(caf, at, ">q", size), sound)
    for name in ("ffmpeg flac", "flac.flac", "sox flac"):
        flac = files[name]
        packed = int.from_bytes(flac[18:26], "big")
        total, rest = packed & ((1 << 36) - 1), packed >> 36 << 36
        for stated, sound in ((0, True), (total // 2, True), (1, True), (2 * total, False), ((1 << 36) - 1, False)):
            yield Case(f"{name} of {stated} samples", flac[:18] + (rest | stated).to_bytes(8, "big") + flac[26:], sound)
    for name in ("lame vbr.mp3", "lame cbr.mp3", "ffmpeg vbr.mp3"):
        mp3 = files[name]
        at = max(mp3.find(b"Xing"), mp3.find(b"Info"))
        frames, size = struct.unpack_from(">II", mp3, at + 8)
        for words, value in (("half", frames // 2), ("no", 0)):
            yield Case(f"{name} with {words} frames", _put(mp3, at + 8, ">I", value))
        yield Case(f"{name} with twice the frames", _put(mp3, at + 8, ">I", 2 * frames), sound=False)
        for words, value in (("half", size // 2), ("no", 0)):
            yield Case(f"{name} with {words} bytes", _put(mp3, at + 12, ">I", value))
        yield Case(f"{name} with twice the bytes", _put(mp3, at + 12, ">I", 2 * size), sound=False)


def _fewer(ogg: bytes, less: int) -> bytes:
    """An Ogg file whose last page counts so many samples less, with its checksum."""
    return with_granule(ogg, lambda granule: max(-1, granule - less))


def _put(data: bytes, at: int, pattern: str, value: int) -> bytes:
    made = bytearray(data)
    struct.pack_into(pattern, made, at, value)
    return bytes(made)


def _tagged(files: dict[str, bytes]) -> Iterator[Case]:
    id3 = b"ID3\x04\x00\x00\x00\x00\x07\x76" + b"TIT2\x00\x00\x00\x05\x00\x00\x03name" + bytes(1014 - 15)
    ape = struct.pack("<8sIIII8x", b"APETAGEX", 2000, 32, 0, 0)
    for name in ("lame vbr.mp3", "lame no-tag.mp3", "flac.flac", "ffmpeg flac", "ffmpeg s16le.wav", "ffmpeg aac"):
        yield Case(f"ID3v2 + {name}", id3 + files[name])
        yield Case(f"{name} + ID3v1", files[name] + b"TAG" + b"name".ljust(125, b"\0"))
        yield Case(f"{name} + APE", files[name] + ape)
        yield Case(f"{name} + APE + ID3v1", files[name] + ape + b"TAG" + b"name".ljust(125, b"\0"))
    for name in ("oggenc.ogg", "ffmpeg aac.m4a", "ffmpeg s16be.aiff", "ffmpeg opus.webm"):
        yield Case(f"{name} + ID3v1", files[name] + b"TAG" + b"name".ljust(125, b"\0"))


def _harmed(files: dict[str, bytes]) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    for name in (
        *("lame vbr.mp3", "lame no-tag.mp3", "ffmpeg flac", "flac.flac", "oggenc.ogg", "opusenc.opus", "flac ogg.oga"),
        *("ffmpeg aac", "ffmpeg aac.m4a", "ffmpeg aac.mka", "ffmpeg aac.ts", "ffmpeg ac3", "ffmpeg alac.m4a"),
        *("ffmpeg wma", "ffmpeg opus.webm", "ffmpeg tta", "ffmpeg wv", "ffmpeg pipe flac"),
    ):
        data, at = bytearray(files[name]), len(files[name]) // 2
        data[at : at + 3000] = bytes(3000)
        yield Case(f"{name} with a hole", bytes(data), sound=False)
        del data[at : at + 3000]
        yield Case(f"{name} with a gap", bytes(data), sound=False)
        data = bytearray(files[name])
        data[at : at + 400] = rng.bytes(400)
        yield Case(f"{name} with noise", bytes(data), sound=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(Path(folder))
    silent = 0
    for outcome in outcomes(cases):
        silent += outcome.silent
        verdict = "SILENT" if outcome.silent else "false alarm" if outcome.case.sound and outcome.said else ""
        print(f"{outcome}  {verdict}".rstrip())
    print(f"{len(cases)} files, {silent} silent differences")


if __name__ == "__main__":
    main()

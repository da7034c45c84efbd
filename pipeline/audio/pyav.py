"""Decoding with FFmpeg's libraries: files that libsndfile does not know, or does not read to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from pipeline.audio.containers import read_wave, stated_end
from pipeline.audio.framed import flac_first_frame, mp3_header
from pipeline.audio.stream import AudioFault, AudioStream, Damage, check_format, size_of

# Playlists and scripts (hls, concat, dash...) can name other files and hosts: only self-contained demuxers.
_DEMUXERS = (
    "mov,matroska,webm,aac,asf,amr,amrnb,amrwb,wv,ape,tta,tak,mpc,mpc8,ac3,eac3,dts,mp3,flac,ogg,wav,aiff,au,caf,w64,"
    "flv,mpegts,mpeg,avi,rm,dsf,loas,nistsphere,voc,ircam,gsm,sbc,xwma,iff,oma,shn,pvf,sox,truehd,mlp,nut,wtv,act,qcp,"
    "3dostr,wsd,iss,rso,smjpeg,aptx,codec2,mxf"
)
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "none"}
# Streams of frames may begin and end anywhere: an undecodable frame at either end is no loss.
_RAW = frozenset(
    {"mp3", "aac", "loas", "ac3", "eac3", "dts", "mpegts", "mpeg", "amr", "amrnb", "amrwb", "truehd", "mlp"}
)
# Containers whose header states a length, which FFmpeg then does not estimate, and its precision in seconds.
_STATES = {
    **dict.fromkeys(("wav", "w64", "aiff", "au", "caf", "flac", "nistsphere", "tta", "wv", "ape"), 0.02),
    **{"mov,mp4,m4a,3gp,3g2,mj2": 0.1, "matroska,webm": 0.1, "asf": 0.3},
}
# Containers that state one length for all their streams, counted from the start of the timeline.
_STATES_WHOLE = frozenset({"matroska,webm", "asf"})
_SIZED = frozenset({"wav", "w64", "aiff", "au", "caf"})
# The padding that an encoder puts before and after the sound of an MP3, which its frame count includes.
_MP3_SLACK_S = 0.25
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")


def open_pyav(file: BinaryIO, name: str) -> AudioStream:
    """Open a file with FFmpeg; of several audio streams, the one that FFmpeg chooses.

    If the format changes midway, the rest is converted to the format of the beginning, as FFmpeg does.
    Raises AudioFault: "not_audio" when no demuxer knows it or it holds no audio stream, "undecodable" when
    there is no decoder for it or its format is absurd, "out_of_memory" when a header asks for more than FFmpeg gets.
    """
    mp3, wave = mp3_header(file), read_wave(file)
    file.seek(0)
    try:
        container = av.open(file, mode="r", options=_OPTIONS)
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise _out_of_memory(name) from error
        raise AudioFault("not_audio", f"{name}: no decoder knows this format ({_message(error)})") from error
    if not container.streams.audio:
        container.close()
        raise AudioFault("not_audio", f"{name}: it holds no audio stream")
    known = [one for one in container.streams.audio if one.codec_context is not None]
    if not known:
        container.close()
        raise AudioFault("undecodable", f"{name}: there is no decoder for its audio")
    stream = max(known, key=lambda one: (bool(one.disposition & Disposition.default), one.codec_context.channels))
    frames = _frames(container, stream, name, wave.frame_bytes if wave is not None else 0)
    first = next((frame for frame in frames if isinstance(frame, av.AudioFrame)), None)
    if first is None:
        container.close()
        raise AudioFault("no_samples", f"{name}: its audio stream holds no samples")
    # The decoder knows better than the header: for HE-AAC the header states half the rate.
    sample_rate, channels = first.sample_rate, first.layout.nb_channels
    check_format(name, sample_rate, channels)

    def blocks(start: int) -> Iterator[NDArray[np.float32] | Damage]:
        at = 0
        for block in _blocks(first, frames):
            if isinstance(block, Damage):
                if at >= start:
                    yield block
                continue
            at += len(block)
            if at > start:
                yield block[max(0, start - (at - len(block))) :]

    kind, place = container.format.name, file.tell()
    slack = _STATES.get(kind, 0.0)
    seconds = 0.0
    if slack and kind not in _STATES_WHOLE and stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif slack and _is_alone(stream, container):
        seconds = ((container.duration or 0) - max(0, container.start_time or 0)) / 1e6
    if kind in ("aiff", "w64") and not stream.codec_context.name.startswith("pcm_"):
        # Writers count packets, or samples, or leave it out.
        seconds = 0.0
    if kind == "caf":
        # It counts packets, the last of which may hold less than the others.
        slack = max(slack, stream.codec_context.frame_size / sample_rate)
    if kind in _SIZED:
        end = stated_end(file)
        # FFmpeg computes the length of W64 from the file's size.
        if end is None or (kind == "w64" and end < size_of(file)):
            seconds = 0.0
    if kind == "flac" and flac_first_frame(file):
        # Cut from a longer file, whose length its header states.
        seconds = 0.0
    if kind == "mp3" and mp3 is not None and mp3.frames is not None:
        # FFmpeg guesses the length if the header and the size of the file differ.
        slack, seconds = _MP3_SLACK_S, mp3.frames * (1152 if sample_rate >= 32_000 else 576) / sample_rate
    file.seek(place)
    return AudioStream(sample_rate, channels, round(seconds * sample_rate) or None, blocks, slack_s=slack)


def _is_alone(stream: av.AudioStream, container: av.container.InputContainer) -> bool:
    """Whether a container holds no other stream with a duration: cover pictures and attached files have none."""
    return all(
        one.type == "attachment" or one.disposition & Disposition.attached_pic or one.index == stream.index
        for one in container.streams
    )


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream, name: str, block_bytes: int
) -> Iterator[av.AudioFrame | Damage]:
    """Yield the stream's frames and, where packets between them could not be decoded, how many.

    The packets of a WAV are made of blocks of `block_bytes`.
    """
    raw = container.format.name in _RAW
    failed, samples, rate = 0, 0, 0
    words = ""
    with container:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError) as error:
                if isinstance(error, MemoryError):
                    raise _out_of_memory(name) from error
                packet, words = None, _message(error)
                failed += not raw
            if packet is None:
                break
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError) as error:
                if isinstance(error, MemoryError):
                    raise _out_of_memory(name) from error
                if packet.size and packet.size >= block_bytes and not _no_sound(bytes(packet), stream):
                    failed, words = failed + 1, _message(error)
                continue
            if frames and failed and (samples or not raw):
                yield _damage(failed, samples, rate, words)
            if frames:
                failed = 0
            for frame in frames:
                samples, rate = samples + frame.samples, frame.sample_rate
                yield frame
    if failed and not raw and samples:
        yield Damage("truncated", f"its end could not be decoded ({words})")
    elif failed and not samples:
        raise AudioFault("undecodable", f"{name}: {words}")


def _no_sound(packet: bytes, stream: av.AudioStream) -> bool:
    """Whether a packet is a tag, or a header inside a chain, that no decoder accepts."""
    return packet.startswith(_TAGS) or (stream.codec_context.name == "flac" and packet[:1] != b"\xff")


def _damage(failed: int, samples: int, rate: int, words: str) -> Damage:
    at = samples / rate if rate else 0.0
    what = "a piece of it" if failed == 1 else f"{failed} pieces of it"
    return Damage("damaged", f"{what} after {at:.2f} s could not be decoded ({words})", at)


def _blocks(first: av.AudioFrame, frames: Iterator[av.AudioFrame | Damage]) -> Iterator[NDArray[np.float32] | Damage]:
    # Interleaved: PyAV reads beyond the planes of a frame that has more than eight.
    packed, form = av.AudioResampler(format="flt"), _form(first)
    frame: av.AudioFrame | Damage | None = first
    while frame is not None:
        if isinstance(frame, Damage):
            yield frame
        else:
            if _form(frame) != form:
                yield from _samples(packed.resample(None))
                form = _form(frame)
                packed = av.AudioResampler(format="flt", layout=first.layout.name, rate=first.sample_rate)
            yield from _samples(packed.resample(frame))
        frame = next(frames, None)
    yield from _samples(packed.resample(None))


def _form(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _samples(packed: list[av.AudioFrame]) -> Iterator[NDArray[np.float32]]:
    channels = (frame.layout.nb_channels for frame in packed)
    return (
        frame.to_ndarray().reshape(-1, n).astype(np.float32, copy=False)
        for frame, n in zip(packed, channels, strict=True)
    )


def _out_of_memory(name: str) -> AudioFault:
    return AudioFault("out_of_memory", f"{name}: decoding it takes more memory than there is")


def _message(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

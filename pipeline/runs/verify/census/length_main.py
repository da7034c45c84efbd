"""The process that decodes files for their lengths: reads a size and the bytes, writes a line of JSON, and repeats."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import struct
import sys
from typing import Any

import av
from av.stream import Disposition

_SIZE = struct.Struct(">Q")
_MAX_BYTES = 8 << 30
# Playlists and scripts can name other files and hosts: only self-contained formats.
_OPTIONS = {
    "format_whitelist": "mov,matroska,webm,aac,asf,amr,wv,ape,tta,tak,mpc,mpc8,ac3,eac3,dts,mp3,flac,ogg,wav,aiff,au,"
    "caf,w64,flv,mpegts,mpeg,avi,rm,dsf,loas,nistsphere,voc,iff,mxf,nut,gsm,spdif,shn,sox,ircam,pvf,iss,oma",
    "protocol_whitelist": "none",
}


def length_of(data: bytes) -> dict[str, Any]:
    """Return the seconds of the audio stream that FFmpeg chooses, by decoding as much of it as possible."""
    seconds = 0.0
    try:
        with av.open(io.BytesIO(data), mode="r", options=_OPTIONS) as container:
            streams = [one for one in container.streams.audio if one.codec_context is not None]
            if not streams:
                return {"seconds": None, "reason": "it holds no audio stream that can be decoded"}
            for packet in container.demux(max(streams, key=_rank)):
                # A damaged packet costs its own samples only.
                with contextlib.suppress(av.error.InvalidDataError):
                    for frame in packet.decode():
                        # In chained streams the rate may change.
                        seconds += frame.samples / frame.sample_rate
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        if not seconds:
            return {"seconds": None, "reason": str(error)}
    if not seconds:
        return {"seconds": None, "reason": "its audio stream holds no samples"}
    return {"seconds": seconds}


def _rank(stream: av.AudioStream) -> tuple[bool, int]:
    """Rank streams as the ffmpeg command does: first the one marked as default, then the one with the most channels."""
    return bool(stream.disposition & Disposition.default), stream.codec_context.channels


def main() -> None:
    """Answer requests until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
    while len(head := sys.stdin.buffer.read(_SIZE.size)) == _SIZE.size:
        data = sys.stdin.buffer.read(_SIZE.unpack(head)[0])
        sys.stdout.write(json.dumps(length_of(data)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Names that people, machines and attackers give to files."""

from __future__ import annotations

import os

# For files on a disk: no slash and no NUL, up to 255 bytes.
FILE_NAMES = (
    b"new\nline.wav",
    b"carriage\rreturn\ttab.wav",
    b"'single' \"double\" `back`.wav",
    b"..wav.wav",
    b"a..b.wav",
    b"back\\slash\\..\\x.wav",
    b"%2e%2e%2fpercent.wav",
    b"<img src=x onerror=alert(1)>.wav",
    b"$(touch gone); & | > x.wav",
    b"-rf.wav",
    b" leading and trailing .wav",
    b"star*question?[bracket].wav",
    b"hash#query?a=b.wav",
    b"colon: C: x.wav",
    "emoji \U0001f415\u200d\U0001f9ba.wav".encode(),
    "right \u202eto left.wav".encode(),
    "\u65e5\u672c\u8a9e.wav".encode(),
    "composed \u00e9.wav".encode(),
    "composed e\u0301.wav".encode(),
    b"not utf-8 \xff\xfe.wav",
    b"latin-1 caf\xe9.wav",
    b"bell \x07 escape \x1b[31m.wav",
    b"con.wav",
    b"UPPER.WAV",
    b"two.dots.wav",
    b"x" * 251 + b".wav",
)
# For members of a tar, where anything may stand.
MEMBER_NAMES = (
    b"../outside.wav",
    b"../../../../../../tmp/outside.wav",
    b"/absolute/outside.wav",
    b"inside/../../outside2.wav",
    b"./dot/./x.wav",
    b"double//slash.wav",
    b"n" * 1000 + b".wav",
    b"/".join([b"deep"] * 150) + b"/x.wav",
    b"not utf-8 \xff\xfe\xfd.wav",
    b"new\nline.wav",
    "emoji \U0001f415.wav".encode(),
    b"same.wav",
    b"same.wav",
    b"same.flac",
    b"between.wav",
    b"same.wav",
    b"s3://bucket/key.wav",
    b"C:\\windows\\x.wav",
    b" .wav",
    b"'; DROP TABLE recordings; --.wav",
)


def decoded(name: bytes) -> str:
    """A name as Python's own functions take and give it."""
    return os.fsdecode(name)

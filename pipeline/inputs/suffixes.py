"""What a file is, as far as its name says."""

from __future__ import annotations

import posixpath
import re
from typing import Literal

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".bwf", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".sph"),
        *(".flac", ".wv", ".ape", ".tta", ".shn", ".dsf", ".dff", ".8svx", ".ircam", ".nist"),
        *(".mp3", ".mp2", ".mp1", ".mpga", ".ogg", ".oga", ".ogx", ".opus", ".spx", ".m4a", ".m4b", ".m4r", ".aac"),
        *(".adts", ".latm", ".ac3", ".eac3", ".dts", ".wma", ".amr", ".awb", ".mpc", ".gsm", ".ra", ".rm", ".oma"),
        *(".mp4", ".m4v", ".mov", ".mkv", ".mka", ".webm", ".weba", ".3gp", ".3g2", ".avi", ".flv", ".asf", ".wmv"),
        *(".mpg", ".mpeg", ".vob", ".m2ts", ".mts", ".ogv", ".mxf"),
    }
)
# Files beside a recording of the same name, with metadata about it.
SIDECAR_SUFFIXES = (".json", ".cls", ".label", ".txt")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
ROW_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
# Suffixes that audio does not have: these files are not opened to see what is in them.
_OTHER_SUFFIXES = frozenset(
    {
        *SIDECAR_SUFFIXES,
        *ROW_SUFFIXES,
        *_COMPRESSED,
        *(".md", ".rst", ".log", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".xml", ".html", ".htm", ".css", ".js"),
        *(
            ".pdf",
            ".doc",
            ".docx",
            ".xls",
            ".xlsx",
            ".ods",
            ".rtf",
            ".tex",
            ".bib",
            ".srt",
            ".vtt",
            ".lab",
            ".textgrid",
        ),
        *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".svg", ".ico", ".heic"),
        *(".py", ".pyc", ".ipynb", ".sh", ".c", ".h", ".cpp", ".java", ".r", ".m", ".bat", ".ps1", ".lock", ".sql"),
        *(".npy", ".npz", ".pt", ".pth", ".pkl", ".pickle", ".pyd", ".ckpt", ".safetensors", ".onnx", ".h5", ".hdf5"),
        *(".mat", ".arrow", ".feather", ".orc", ".avro", ".db", ".sqlite", ".zip", ".rar", ".7z", ".idx", ".tfrecord"),
        *(
            ".mid",
            ".midi",
            ".md5",
            ".sha1",
            ".sha256",
            ".sig",
            ".m3u",
            ".m3u8",
            ".cue",
            ".pls",
            ".torrent",
            ".ds_store",
        ),
    }
)
# An unknown suffix that is not part of a date or a number.
_WORD = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}")

NameKind = Literal["audio", "tar", "parquet", "other"]


def kind_by_name(name: str) -> NameKind | None:
    """Return what a file is by the end of its name; None if only its contents can say."""
    lower = name.lower()
    suffix = suffix_of(name)
    if suffix in AUDIO_SUFFIXES:
        return "audio"
    if lower.endswith(TAR_SUFFIXES):
        return "tar"
    if suffix == ".parquet":
        return "parquet"
    return "other" if suffix in _OTHER_SUFFIXES else None


def suffix_of(name: str) -> str:
    """Return the last suffix of a name in lower case, with its dot; empty when it has none."""
    return posixpath.splitext(name)[1].lower()


def is_audio(name: str) -> bool:
    """Return True when a file's name has an audio suffix."""
    return suffix_of(name) in AUDIO_SUFFIXES


def table_suffix(name: str) -> str | None:
    """Return the suffix of a table of rows, `.csv` for `a.csv.gz` too; None for other names."""
    stem, suffix = posixpath.splitext(name.lower())
    suffix = posixpath.splitext(stem)[1] if suffix in _COMPRESSED else suffix
    return suffix if suffix in ROW_SUFFIXES else None


def without_audio_suffix(name: str) -> str:
    """Return a name without its audio suffix; other names as they are ("take.5" keeps its ".5")."""
    return posixpath.splitext(name)[0] if is_audio(name) else name


def stem_of(name: str) -> str:
    """Return the name that a recording shares with its sidecars: its own, without the audio suffix.

    An unknown suffix is removed too, as the file was recognised as audio by its contents; but a suffix that may be part
    of a date or a number stays: "a.5.wav" becomes "a.5", "2021.05.03" stays as it is.
    """
    suffix = suffix_of(name)
    known = suffix in AUDIO_SUFFIXES or (kind_by_name(name) is None and _WORD.fullmatch(suffix))
    return posixpath.splitext(name)[0] if known else name


def sidecar_of(name: str) -> str | None:
    """Return the name that a sidecar is about, "a" or "a.wav" for `a.json` and `a.wav.json`; None for other names."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in SIDECAR_SUFFIXES else None


def is_hidden(path: str) -> bool:
    """Return True when a relative path, or a folder on it, begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))

"""Which files are audio, by the ends of their names."""

from __future__ import annotations

import posixpath

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
        *(".flac", ".wv", ".ape", ".tta"),
        *(".mp3", ".mp2", ".mpga", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".ac3", ".wma", ".amr"),
        *(".mp4", ".mka", ".webm", ".3gp"),
    }
)


def is_audio(name: str) -> bool:
    """Return True when a file's name ends as audio files' names do."""
    return posixpath.splitext(name)[1].lower() in AUDIO_SUFFIXES


def without_audio_suffix(name: str) -> str:
    """Return a name without its audio suffix; other names as they are ("take.5" keeps its ".5")."""
    return posixpath.splitext(name)[0] if is_audio(name) else name


def is_hidden(path: str) -> bool:
    """Return True when a relative path, or a folder on it, begins with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))

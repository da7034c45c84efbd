"""Resolve the path, URL or name of a CLAP (`clap:WHERE`) to a checkpoint file or directory on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.models.checkpoint import resolve, shipped
from pipeline.models.clap import ClapError
from pipeline.models.clap.download import cached_download, cached_path, hub_snapshot, hub_url
from pipeline.storage.filesystem import display_url, is_local, is_url, open_filesystem

LAION_REPOSITORY = "lukewys/laion_clap"
LAION_FILES = (
    "630k-best.pt",
    "630k-audioset-best.pt",
    "630k-fusion-best.pt",
    "630k-audioset-fusion-best.pt",
    "music_audioset_epoch_15_esc_90.14.pt",
    "music_speech_epoch_15_esc_89.25.pt",
    "music_speech_audioset_epoch_15_esc_89.98.pt",
)
CONFIG = "config.json"
BUNDLED = "clap"  # a folder in an explainer's directory
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# The settings of the front end have their own file, or since transformers 5 are part of the processor's.
EXTRACTORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
TOKENIZER_FILES = " or ".join(" with ".join(files) for files in TOKENIZERS)
_TOKENIZER_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# torch.save writes a zip; before torch 1.6 it wrote a bare pickle of protocol 2.
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02"


@dataclass(frozen=True)
class ClapSource:
    """A checkpoint on this machine: a laion-clap file, or a directory of a Hugging Face ClapModel."""

    kind: Literal["laion", "huggingface"]
    path: Path


def resolve_clap(where: str) -> ClapSource:
    """Find a CLAP by path, URL, laion's name or Hugging Face name, downloading it if necessary.

    An existing path takes precedence over a name; `hf://owner/name` is always on the hub. Downloads are cached. A
    CLAP that comes with the package has the name of its explainer.
    Raises ClapError if nothing, or no CLAP, is found; StorageError if a download fails, saying what to fetch and where
    to put it.
    """
    if where.startswith("hf://"):
        return _from_hub(where.removeprefix("hf://"))
    if is_url(where):
        return _from_url(where)
    path = _path(where)
    if where and path.is_dir():
        return _directory(path, also_hub_name=_is_hub_name(where))
    if where and path.exists():
        return _file(path)
    if where in shipped() and (bundled := bundled_clap(where)):
        return _directory(bundled)
    if where in LAION_FILES:
        return _file(cached_download(hub_url(LAION_REPOSITORY, where), cached_path(where), check=check_is_checkpoint))
    if _is_hub_name(where):
        return _from_hub(where)
    hint = f"; {path.name} alone would be downloaded" if path.name in LAION_FILES else ""
    raise ClapError(
        f"no CLAP at {where!r}: it does not exist{hint}. Give a checkpoint of laion-clap (file or URL), a directory "
        "of a Hugging Face ClapModel, its name on the hub (laion/clap-htsat-unfused), or one of: "
        f"{', '.join((*filter(bundled_clap, shipped()), *LAION_FILES))}"
    )


def bundled_clap(explainer: str) -> Path | None:
    """Return the directory of the CLAP that comes with an explainer, given by its name or path, or None."""
    fs, root = open_filesystem(resolve(explainer))
    folder = Path(root) / BUNDLED
    return folder if is_local(fs) and (folder / CONFIG).is_file() else None


def tokenizer_files(present: Collection[str]) -> tuple[str, ...] | None:
    """Return which of the present files make up a tokenizer, or None."""
    for files in TOKENIZERS:
        if set(files) <= set(present):
            return (*files, *(extra for extra in _TOKENIZER_EXTRAS if extra in present))
    return None


def check_is_checkpoint(path: Path) -> None:
    """Raise ClapError unless a file begins like torch's files; only its first bytes are read."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head.startswith((_ZIP, _PICKLE)):
        kind = "empty" if not head else "a web page" if head.lstrip()[:1] == b"<" else "something else"
        raise ClapError(f"{path} is no checkpoint of laion-clap (a file that torch.save wrote): it is {kind}")


def _path(where: str) -> Path:
    try:
        path = Path(where).expanduser()
        path.exists()
    except (RuntimeError, OSError) as error:
        raise ClapError(f"no CLAP at {where!r}: {error}. Give the path of a checkpoint or of its directory") from None
    return path


def _is_hub_name(where: str) -> bool:
    return _HUB_NAME.fullmatch(where) is not None and not where.endswith(_CHECKPOINT_SUFFIXES)


def _from_url(url: str) -> ClapSource:
    fs, path = open_filesystem(url)
    if is_local(fs):
        return resolve_clap(path)
    return _file(cached_download(url, check=check_is_checkpoint))


def _from_hub(name: str) -> ClapSource:
    if not _is_hub_name(name):
        raise ClapError(f"{display_url(f'hf://{name}')} names no model on the hub: give hf://owner/name")
    files = f"{CONFIG}, {' or '.join(WEIGHTS)}, {' or '.join(EXTRACTORS)}, and {TOKENIZER_FILES}"
    put = "give the path of the folder that they are in"
    return _directory(hub_snapshot(name, marker=CONFIG, choose=_needed, files=files, put=put))


def _needed(present: Collection[str]) -> tuple[str, ...] | None:
    """Return the present files that a snapshot needs, or None if some kind is missing."""
    weights = next((file for file in WEIGHTS if file in present), None)
    extractors = [file for file in EXTRACTORS if file in present]
    tokenizer = tokenizer_files(present)
    if CONFIG not in present or weights is None or tokenizer is None or not extractors:
        return None
    return (CONFIG, weights, *extractors, *tokenizer)


def _file(path: Path) -> ClapSource:
    if path.name in (CONFIG, *WEIGHTS) or path.suffix == ".safetensors":
        raise ClapError(f"{path} is one file of a Hugging Face model: give its directory, {path.parent}")
    if not path.is_file():
        raise ClapError(f"{path} is neither a file nor a directory")
    check_is_checkpoint(path)
    return ClapSource("laion", path)


def _directory(path: Path, also_hub_name: bool = False) -> ClapSource:
    """Check that a directory holds a ClapModel's configuration and weights, without reading the weights."""
    hub = f". If the hub's model was meant, give hf://{path}" if also_hub_name else ""
    checkpoints = sorted(file.name for file in path.iterdir() if file.suffix in (".pt", ".pth", ".ckpt"))
    if not (path / CONFIG).is_file():
        found = f" It holds {', '.join(checkpoints)}: give the path of the file itself." if checkpoints else ""
        raise ClapError(f"{path} is no directory of a Hugging Face ClapModel: {CONFIG} is not there.{found}{hub}")
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except ValueError as error:
        raise ClapError(f"{path / CONFIG} is not JSON: {error}{hub}") from None
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type != "clap":
        raise ClapError(f"{path / CONFIG} is not a CLAP's: its model_type is {model_type!r}, not 'clap'{hub}")
    if not any((path / file).is_file() for file in WEIGHTS):
        raise ClapError(f"{path} holds no weights: neither {' nor '.join(WEIGHTS)} is there{hub}")
    return ClapSource("huggingface", path)

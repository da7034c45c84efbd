"""What is in the input, looked at once: files, tars, Parquet and manifests -> sorted shards."""

from __future__ import annotations

import hashlib
import posixpath
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.inputs.file_reader import group_files, loose_entries
from pipeline.inputs.find import find_files
from pipeline.inputs.manifest import list_manifest
from pipeline.inputs.parquet_file import plan_parquet
from pipeline.inputs.shards import Shard, place_bytes, printable, shard_id
from pipeline.inputs.suffixes import is_audio
from pipeline.inputs.table_rows import ROW_SUFFIXES
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url, is_pattern, is_url, open_filesystem, split_parent

_FOOTER_THREADS = 16
_EXPECTED = (
    "expected audio files (.wav, .flac, .ogg, .mp3, .m4a...), WebDataset shards (.tar), .parquet with audio in "
    "a column `audio` or `bytes`, or a manifest (.csv, .tsv, .jsonl) with a column `uri` or `path`"
)


@dataclass(frozen=True)
class Listing:
    """The input's shards, sorted by place; `root_url` is what their URIs are relative to.

    `digest` is the SHA-256 over all (place, size), sorted: two listings with one digest are the same input.
    `skipped` names the files that hold no audio.
    """

    root_url: str
    shards: list[Shard]
    digest: str
    skipped: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one line for people: how many shards of which kinds, and what was skipped."""
        kinds = [shard.kind for shard in self.shards]
        files = sum(len(shard.entries) for shard in self.shards)
        counts = {
            f"{_count(files, 'loose file')} in {_count(kinds.count('files'), 'shard')}": kinds.count("files"),
            _count(kinds.count("tar"), "tar shard"): kinds.count("tar"),
            _count(kinds.count("parquet"), "Parquet shard"): kinds.count("parquet"),
        }
        return "; ".join([", ".join(words for words, n in counts.items() if n), *_skipped(self.skipped)])


def list_input(
    url: str, *, shard_bytes: int = 256 << 20, files_per_shard: int = 64, rows_per_shard: int = 2048
) -> Listing:
    """List an input: a folder, a glob pattern, a tar, a Parquet file, an audio file, or a manifest of URIs.

    Loose files are grouped into shards of at most `files_per_shard` files and about `shard_bytes` bytes;
    whole row groups of Parquet into shards of about `rows_per_shard` rows or `shard_bytes` bytes.
    Raises InputError when the input does not exist or holds nothing usable, StorageError when it is out of
    reach.
    """
    if posixpath.splitext(url)[1].lower() in ROW_SUFFIXES and not is_pattern(url):
        entries = list_manifest(url)
        root_url = split_parent(url if is_url(url) else open_filesystem(url)[1])[0]
        sizes = {entry.place: entry.size_bytes for entry in entries}
        return Listing(root_url, group_files(entries, shard_bytes, files_per_shard), _digest(sizes))

    root_url, sizes = find_files(url)
    tars = {path for path in sizes if path.lower().endswith(".tar")}
    tables = sorted(path for path in sizes if path.lower().endswith(".parquet"))
    audio = {path: size for path, size in sizes.items() if is_audio(path)}
    entries = loose_entries(audio, {path for path in sizes if path.endswith(".json")})

    shards = group_files(entries, shard_bytes, files_per_shard)
    shards += [Shard(shard_id(path, path), "tar", path, sizes[path]) for path in tars]
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        plans = [pool.submit(plan_parquet, root_url, path, sizes[path], rows_per_shard, shard_bytes) for path in tables]
    shards += [shard for plan in plans for shard in plan.result()]

    used = {*audio, *(shard.uri for shard in shards), *(entry.sidecar for entry in entries)}
    skipped = tuple(printable(path) for path in sorted(sizes) if path not in used)
    if not shards:
        found = "".join(_skipped(skipped)) or "it is empty"
        raise InputError(f"{display_url(url)}: there is nothing in it to listen to ({found}); {_EXPECTED}")
    shards.sort(key=lambda shard: (shard.entries[0].place if shard.entries else shard.uri, shard.row_start))
    return Listing(root_url, shards, _digest({p: n for p, n in sizes.items() if p in used}), skipped)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _skipped(names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    examples = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"skipped {len(names)} {'file that is' if len(names) == 1 else 'files that are'} not audio: {examples}"]


def _digest(sizes: dict[str, int]) -> str:
    digest = hashlib.sha256()
    for place, size in sorted((place_bytes(place), size) for place, size in sizes.items()):
        digest.update(place + b"\0" + str(size).encode() + b"\n")
    return digest.hexdigest()

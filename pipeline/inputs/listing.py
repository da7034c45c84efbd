"""List the input once: files, tars, Parquet and manifests -> sorted shards."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pipeline.inputs.audio_folder import described_by_folders
from pipeline.inputs.file_kinds import kinds_of
from pipeline.inputs.file_reader import group_files, loose_entries
from pipeline.inputs.find import find_files
from pipeline.inputs.names import names_of
from pipeline.inputs.parquet_file import plan_parquet
from pipeline.inputs.shards import NOT_DRAWN, Entry, Shard, clip_id, place_bytes, printable, shard_id
from pipeline.inputs.suffixes import table_suffix
from pipeline.inputs.uri_table import list_manifest
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import display_url, is_pattern, is_url, join, open_filesystem, split_parent
from schemas.draws import Sample, rank_of
from schemas.input_config import InputConfig

_FOOTER_THREADS = 16
_EXPECTED = (
    "expected audio files (.wav, .flac, .ogg, .mp3, .m4a...), tars of them (.tar, .tar.gz...), .parquet with a column"
    " of audio, or a table (.csv, .tsv, .jsonl) with a column of their paths"
)


@dataclass(frozen=True)
class Listing:
    """The input's shards, sorted by place; `root_url` is what their URIs are relative to.

    `digest` is the SHA-256 over all (place, size), sorted: two listings with one digest are the same input. `left_out`
    has, by kind, an example of the files that hold no recording, and `counts` their numbers; `not_drawn` is the number
    of loose files that a sample leaves out.
    """

    root_url: str
    shards: list[Shard]
    digest: str
    left_out: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    not_drawn: int = 0

    @property
    def left_out_counts(self) -> Counter[str]:
        """How many files of each kind hold no recording, and how many recordings are not drawn."""
        return self.counts + Counter({NOT_DRAWN: self.not_drawn})

    def describe(self) -> str:
        """Return one line for people: how many shards of which kinds, and what was left out."""
        kinds = [shard.kind for shard in self.shards]
        files = sum(len(shard.entries) for shard in self.shards)
        counts = {
            f"{_count(files, 'loose file')} in {_count(kinds.count('files'), 'shard')}": kinds.count("files"),
            _count(kinds.count("tar"), "tar shard"): kinds.count("tar"),
            _count(kinds.count("parquet"), "Parquet shard"): kinds.count("parquet"),
        }
        drawn = [f"{_count(self.not_drawn, 'loose file')} not drawn"] if self.not_drawn else []
        return "; ".join([", ".join(words for words, n in counts.items() if n), *drawn, *self._left_out()])

    def _left_out(self) -> list[str]:
        if not self.counts:
            return []
        kinds = [f"{n} {kind} ({self.left_out[kind]})" for kind, n in sorted(self.counts.items())]
        return [f"left out {_count(self.counts.total(), 'file')} of other kinds: {', '.join(kinds)}"]


def list_input(
    url: str,
    reading: InputConfig = InputConfig(),
    sample: str | None = None,
    *,
    shard_bytes: int = 256 << 20,
    files_per_shard: int = 64,
    rows_per_shard: int = 2048,
) -> Listing:
    """List an input: a folder, a glob pattern, a tar, a Parquet file, an audio file, or a manifest of URIs.

    Loose files are grouped into shards of at most `files_per_shard` files and about `shard_bytes` bytes;
    whole row groups of Parquet into shards of about `rows_per_shard` rows or `shard_bytes` bytes. `reading` says which
    columns of tables mean what; with a `sample`, only the recordings that it draws are in the shards, or are read from
    them. Raises InputError when the input does not exist or holds nothing usable, StorageError when it cannot be
    reached.
    """
    if table_suffix(url) is not None and not _matches_others(url):
        listing, entries = _manifest(url, reading)
    else:
        listing, entries = _files(url, reading, rows_per_shard, shard_bytes)
    limit = _rank_limit(listing.root_url, entries, listing.shards, sample)
    drawn = [entry for entry in entries if limit is None or rank_of(clip_id(entry.place)) < limit]
    shards = group_files(drawn, shard_bytes, files_per_shard)
    shards += [replace(shard, rank_limit=limit) for shard in listing.shards]
    shards.sort(key=lambda shard: (shard.entries[0].place if shard.entries else shard.uri, shard.row_start))
    if not shards:
        raise InputError(f"{display_url(url)}: the sample {sample} draws none of its {len(entries)} recordings")
    return replace(listing, shards=shards, not_drawn=len(entries) - len(drawn))


def _matches_others(url: str) -> bool:
    """Whether a URL is a pattern, not the name of an existing file with such characters in it."""
    if not is_pattern(url):
        return False
    fs, path = open_filesystem(url)
    return not fs.exists(path)


def _manifest(url: str, reading: InputConfig) -> tuple[Listing, list[Entry]]:
    entries = list_manifest(url, reading)
    root_url = split_parent(url if is_url(url) else open_filesystem(url)[1])[0]
    # The segments read from a file decide the result as well.
    places = ("\0".join((entry.place, *(one.clip_id for one in entry.segments))) for entry in entries)
    return Listing(root_url, [], _digest((place, 0) for place in places)), entries


def _files(url: str, reading: InputConfig, rows_per_shard: int, shard_bytes: int) -> tuple[Listing, list[Entry]]:
    """Return the listing with its archives, and the entries of its loose files."""
    found = find_files(url)
    root_url, sizes = found.root_url, found.sizes
    kinds = kinds_of(root_url, sizes, alone=len(sizes) == 1 and not found.hidden)
    by_kind = defaultdict(list)
    for path in sorted(sizes):
        by_kind[kinds[path]].append(path)
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        plans = {
            path: pool.submit(
                plan_parquet, root_url, path, sizes[path], rows_per_shard, shard_bytes, reading.audio_column
            )
            for path in by_kind["parquet"]
        }
        planned = {path: plan.result() for path, plan in plans.items()}
    shards = [shard for plan in planned.values() for shard in plan]
    shards += [Shard(shard_id(path, path), "tar", path, sizes[path]) for path in by_kind["tar"]]
    shards = [replace(shard, reading=reading.reading()) for shard in shards]
    without = [path for path, plan in planned.items() if not plan]
    if len(sizes) == 1 and without and reading.audio_column is None:
        # A table without audio may still name it.
        return _manifest(join(root_url, without[0]), reading)
    others = [path for kind, paths in by_kind.items() if kind not in ("audio", "tar", "parquet") for path in paths]
    entries = loose_entries({path: sizes[path] for path in by_kind["audio"]}, others)
    entries, tables = described_by_folders(root_url, entries, [*others, *without], reading)
    used = {*by_kind["audio"], *(shard.uri for shard in shards), *tables}
    used.update(path for entry in entries for path in entry.sidecars)
    left_out = {path: kinds[path] for path in others if path not in used}
    left_out |= {path: ".parquet without audio" for path in without if path not in used}
    left_out |= dict.fromkeys(found.hidden, "hidden")
    counts = Counter(left_out.values())
    examples = {kind: printable(path) for path, kind in sorted(left_out.items(), reverse=True)}
    counts.update(found.left_out)
    examples |= dict.fromkeys(found.left_out, "...")
    listing = Listing(root_url, shards, _digest((p, sizes[p]) for p in used), examples, counts)
    if not shards and not entries:
        if reading.audio_column and without:
            raise InputError(f"{display_url(url)}: no Parquet file in it has a column {reading.audio_column!r}")
        words = "".join(listing._left_out()) or "it is empty"
        raise InputError(f"{display_url(url)}: there is nothing in it to listen to ({words}); {_EXPECTED}")
    return listing, entries


def _rank_limit(root_url: str, entries: list[Entry], archives: list[Shard], sample: str | None) -> int | None:
    """Return the rank below which recordings are drawn; None for all of them."""
    if sample is None:
        return None
    drawn = Sample.parse(sample)
    if drawn.count is None:
        return drawn.limit
    ids = [clip_id(entry.place) for entry in entries]
    ids += [name.clip_id for name in names_of(root_url, archives)]
    return drawn.limit_among(ids)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _digest(sizes: Iterable[tuple[str, int]]) -> str:
    digest = hashlib.sha256()
    for place, size in sorted((place_bytes(place), size) for place, size in sizes):
        digest.update(place + b"\0" + str(size).encode() + b"\n")
    return digest.hexdigest()

"""Find out what each file of an input is: by its name or, if that does not say, by its first bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pipeline.inputs.sniff import SNIFFED_BYTES, kind_by_content
from pipeline.inputs.suffixes import kind_by_name, suffix_of
from pipeline.storage.filesystem import is_local, open_filesystem, refuse_special, resolve
from pipeline.storage.retry import retrying

_THREADS = 16


def kinds_of(root_url: str, sizes: dict[str, int], alone: bool = False) -> dict[str, str]:
    """Return "audio", "tar" or "parquet" for files that may hold recordings, and a word for what each other file is.

    With `alone`, a file is opened whatever its name says.
    """
    kinds: dict[str, str] = {}
    unknown = []
    for path in sizes:
        kind = kind_by_name(path)
        if kind is None or (kind == "other" and alone):
            unknown.append(path)
        else:
            kinds[path] = kind if kind != "other" else suffix_of(path)
    with ThreadPoolExecutor(_THREADS) as pool:
        kinds |= dict(zip(unknown, pool.map(lambda path: _sniffed(root_url, path), unknown), strict=True))
    return kinds


def _sniffed(root_url: str, path: str) -> str:
    fs, full = open_filesystem(resolve(root_url, path))
    try:
        refuse_special(fs, full)
    except OSError:
        return "pipe, socket or device"
    try:
        # A disk returns what there is; object storage refuses a range of an empty object.
        if not is_local(fs) and fs.size(full) == 0:
            return "empty file"
        head = retrying(lambda: fs.cat_file(full, start=0, end=SNIFFED_BYTES), what=f"reading {path}")
    except FileNotFoundError:
        return "link to nothing"
    except OSError:
        # Reading it whole says why.
        return "audio"
    return kind_by_content(bytes(head))

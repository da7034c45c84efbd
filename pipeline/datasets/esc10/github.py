"""ESC-10 over the network: single files from one commit of ESC-50 on GitHub."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pipeline.datasets.esc10.layout import Esc10Error, Esc10Summary, lay_out

REPOSITORY = "karolpiczak/ESC-50"
COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
ARCHIVE_URL = f"https://github.com/{REPOSITORY}/archive/{COMMIT}.zip"

_ATTEMPTS = 3
_TIMEOUT_S = 20.0


def download_esc10(
    directory: Path,
    *,
    api_url: str = "https://api.github.com",
    raw_url: str = "https://raw.githubusercontent.com",
    threads: int = 8,
    pause_s: float = 1.0,
    on_recording: Callable[[int, int], None] | None = None,
) -> Esc10Summary:
    """Download ESC-10 (about 180 MB) into `directory`, keeping files that exist already and are complete.

    Every file must hash to its git blob id in the tree of the pinned commit. This trusts GitHub's API, over TLS, to
    list that tree, but not the server of the files. (`unpack_esc10` compares a zip with a digest in this code, and
    trusts no server.)

    Raises Esc10Error, which says what to do by hand, if a server does not answer in three attempts (waiting `pause_s`,
    then twice that), or if a file is not that of the commit; such a file is not kept.
    """
    listing_url = f"{api_url}/repos/{REPOSITORY}/git/trees/{COMMIT}?recursive=1"
    try:
        listing = json.loads(_fetch(listing_url, pause_s, directory))
    except ValueError:
        raise Esc10Error(f"{listing_url} did not answer with JSON; {_by_hand(directory)}") from None
    if listing.get("truncated"):
        raise Esc10Error(f"{listing_url} was cut short by the server; {_by_hand(directory)}")
    blob_ids = {entry["path"]: entry["sha"] for entry in listing["tree"] if entry["type"] == "blob"}

    def read(path: str) -> bytes:
        if path not in blob_ids:
            raise Esc10Error(f"commit {COMMIT} of {REPOSITORY} holds no {path}, says {listing_url}")
        url = f"{raw_url}/{REPOSITORY}/{COMMIT}/{path}"
        content = _fetch(url, pause_s, directory)
        if git_blob_id(content) != blob_ids[path]:
            raise Esc10Error(
                f"{url} is not the file of the commit: its git blob id is {git_blob_id(content)}, "
                f"not {blob_ids[path]}; it was not kept. Run again, or {_by_hand(directory)}"
            )
        return content

    def is_whole(file: Path, path: str) -> bool:
        return git_blob_id(file.read_bytes()) == blob_ids.get(path)

    return lay_out(directory, read, is_whole, threads, on_recording)


def git_blob_id(content: bytes) -> str:
    """Return git's id of a file's content: SHA-1 over a header with its length, and the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _fetch(url: str, pause_s: float, directory: Path) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "lmac"})
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            # The other 4xx would answer the same again; GitHub's limit on anonymous calls lasts an hour.
            if error.code != 429 and error.code < 500:
                break
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        if attempt < _ATTEMPTS:
            time.sleep(pause_s * 2 ** (attempt - 1))
    raise Esc10Error(f"could not fetch {url} ({reason}). To go on without it, {_by_hand(directory)}")


def _by_hand(directory: Path) -> str:
    return (
        f"fetch {ARCHIVE_URL} (646 MB) by other means and run: lmac data esc10 '{directory}' --from ESC-50-{COMMIT}.zip"
    )

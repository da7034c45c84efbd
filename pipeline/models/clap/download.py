"""Download the files of a CLAP once, into a cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec import AbstractFileSystem

from pipeline.models.clap import ClapError
from pipeline.storage.errors import StorageError, as_storage_error
from pipeline.storage.filesystem import display_url, open_filesystem

# Timeouts for connecting and between two reads; a download as a whole has none.
_CONNECT_S, _SILENCE_S = 5.0, 60.0


def cached_path(name: str) -> Path:
    """Return the path of a named file in the cache: below LMAC_CACHE, else below the user's cache folder."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("LMAC_CACHE") or f"{user}/lmac").expanduser() / "clap" / name


def cached_download(url: str, target: Path | None = None, *, check: Callable[[Path], None]) -> Path:
    """Fetch a URL into the cache, unless it is there already, and return its path.

    Without `target` the file is named after the digest of its URL. The file appears only when it is complete and
    `check` has accepted it.
    Raises StorageError if it cannot be fetched, saying where to put it by hand, and what `check` raises.
    """
    if target is None:
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        target = cached_path(f"{digest}-{PurePosixPath(urlsplit(url).path).name or 'checkpoint'}")
    if target.is_file():
        return target
    by_hand = f"To go on without it, fetch {display_url(url)} by other means and put it at {target}"
    if _is_hub(url) and _hub_constants().HF_HUB_OFFLINE:
        raise StorageError(
            f"{display_url(url)} is needed, and the hub is set to be offline (HF_HUB_OFFLINE). {by_hand}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as folder:
            part = Path(folder) / target.name
            fs, path = _open(url)
            fs.get_file(path, str(part))
            try:
                check(part)
            except ClapError as error:
                raise ClapError(f"{display_url(url)}: {str(error).replace(str(part), 'what was fetched')}") from None
            part.replace(target)
    except Exception as error:
        if isinstance(error, ClapError | StorageError) or not _is_remote_failure(error):
            raise
        # Raised without its cause, as a client's own message may hold the URL with its credentials.
        raise StorageError(f"fetching {display_url(url)}: {_reason(error)}. {by_hand}") from None
    return target


def hub_url(repository: str, file: str) -> str:
    """Return the URL of a file of a repository on the Hugging Face hub, or on the mirror that HF_ENDPOINT names."""
    return f"{_hub_constants().ENDPOINT}/{repository}/resolve/main/{file}"


def hub_snapshot(
    name: str, *, marker: str, choose: Callable[[Collection[str]], Sequence[str] | None], files: str, put: str
) -> Path:
    """Return the folder of a model from the hub, from the hub's own cache if it is complete there, else downloaded.

    `choose` picks the needed files from those that exist, and returns None if some are missing; `marker` is always
    among them. For messages, `files` names them, and `put` says where to put them by hand.
    Raises ClapError if the hub has no such model or it lacks files, StorageError if the hub is out of reach.
    """
    cached = cached_snapshot(name, marker)
    if cached is not None and choose([file.name for file in cached.iterdir() if file.exists()]) is not None:
        return cached
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    hub = _hub_constants()
    by_hand = f"To go on without it, fetch {files} from {hub.ENDPOINT}/{name} by other means and {put}"
    if hub.HF_HUB_OFFLINE:
        raise StorageError(
            f"{name} is not in {hub.HF_HUB_CACHE}, and the hub is set offline (HF_HUB_OFFLINE). {by_hand}"
        )
    try:
        # This request has a short timeout; snapshot_download would retry for minutes.
        siblings = HfApi(endpoint=hub.ENDPOINT).model_info(name, timeout=_CONNECT_S).siblings or ()
        wanted = choose([file.rfilename for file in siblings])
        if wanted is None:
            raise ClapError(f"{name} on the hub cannot be used: it lacks some of {files}")
        folder = snapshot_download(
            name,
            allow_patterns=list(wanted),
            cache_dir=hub.HF_HUB_CACHE,
            endpoint=hub.ENDPOINT,
            etag_timeout=_CONNECT_S,
        )
    except HFValidationError as error:
        raise ClapError(f"{name!r} is no name of a model on the hub: {error}") from None
    except RepositoryNotFoundError:
        raise ClapError(
            f"{name}: no such path here, and the hub has no model of that name, or it is private (log in with "
            "`hf auth login`)"
        ) from None
    except Exception as error:
        if isinstance(error, ClapError) or not _is_remote_failure(error):
            raise
        raise StorageError(f"asking {hub.ENDPOINT} for {name}: {_reason(error)}. {by_hand}") from None
    return Path(folder)


def cached_snapshot(name: str, marker: str) -> Path | None:
    """Return the folder in the hub's cache that holds the model's file `marker`, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, marker, cache_dir=_hub_constants().HF_HUB_CACHE)
    return Path(found).parent if isinstance(found, str) else None


def _hub_constants() -> Any:
    # Imported late, like all of the hub's client: it takes a second, and few commands need it.
    from huggingface_hub import constants

    return constants


def _is_hub(url: str) -> bool:
    return url.startswith(f"{_hub_constants().ENDPOINT}/")


def _open(url: str) -> tuple[AbstractFileSystem, str]:
    if not url.startswith(("http://", "https://")):
        return open_filesystem(url)
    from aiohttp import ClientTimeout

    # aiohttp's defaults abort any download after five minutes, and ignore the proxies of the environment.
    timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    return fsspec.filesystem("http", client_kwargs={"timeout": timeout, "trust_env": True}), url


def _is_remote_failure(error: Exception) -> bool:
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or package in (
        *("aiohttp", "botocore", "aiobotocore"),
        *("huggingface_hub", "httpx", "httpx2", "httpcore", "requests"),
    )


def _reason(error: Exception) -> str:
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return f"the server answered HTTP {status}"
    package = type(error).__module__.partition(".")[0]
    if isinstance(error, FileNotFoundError) and package != "huggingface_hub":
        return "it does not exist there"
    if package in ("botocore", "aiobotocore") or isinstance(error, PermissionError):
        return str(as_storage_error(error, "")).removeprefix(": ")
    if package == "builtins" and isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it cannot be reached, or broke off ({type(error).__name__})"

"""Any URL or local path -> an fsspec filesystem and a path on it."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec import AbstractFileSystem

from pipeline.storage.errors import as_storage_error

GLOB = re.compile(r"[*?\[]")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")

# The endpoint, region and credentials come from the AWS environment and profiles, which botocore reads. Its
# defaults give up after 6 s of an outage; `retrying` waits longer, around these.
_S3_OPTIONS: dict[str, Any] = {
    "config_kwargs": {
        "retries": {"mode": "standard", "max_attempts": 5},
        "connect_timeout": 5,
        "read_timeout": 60,
        "max_pool_connections": 32,
    },
}

WRITE_S, WRITE_BYTES_PER_S = 60.0, 20_000


def open_filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the filesystem that holds `url`, a local path or any fsspec URL, and the path of `url` on it.

    Raises StorageError when the URL's scheme is unknown or its package is not installed.
    """
    if not is_url(url):
        return fsspec.filesystem("file"), os.path.abspath(os.path.expanduser(url))
    # Listings are not cached: another process writes while this one reads.
    options: dict[str, Any] = {"use_listings_cache": False}
    if url.startswith(("s3://", "s3a://")):
        options |= _S3_OPTIONS
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise as_storage_error(error, display_url(url)) from error
    return fs, path.rstrip("/")


def is_url(text: str) -> bool:
    """Return True for `scheme://...`, False for a local path."""
    return _SCHEME.match(text) is not None


def is_pattern(url: str) -> bool:
    """Return True when a path or URL has glob characters in it (a file's real name may have them too)."""
    return GLOB.search(url) is not None


def put_file(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a file on a remote filesystem; raises TimeoutError when it takes implausibly long."""
    # An S3 client waits for the server to request the body, without a timeout: a server that died silently would block
    # the write, and so the run, for ever.
    limit = {"timeout": WRITE_S + len(data) / WRITE_BYTES_PER_S} if fs.async_impl else {}
    fs.pipe_file(path, data, **limit)


def is_local(fs: AbstractFileSystem) -> bool:
    """Return True when the filesystem is this machine's own disk."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def refuse_special(fs: AbstractFileSystem, path: str) -> None:
    """Raise an OSError for a pipe, socket or device on this machine: opening one may wait for ever."""
    if is_local(fs) and Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and no file")


def join(root: str, relative: str) -> str:
    """Join a path below a root path or URL; an empty root or relative part adds no slash."""
    return f"{root.rstrip('/')}/{relative}" if root and relative else root or relative


def resolve(root: str, uri: str) -> str:
    """Return where `uri` lies: itself when it is a URL or an absolute path, else below `root`."""
    return uri if is_url(uri) or uri.startswith("/") else join(root, uri)


def split_parent(path: str) -> tuple[str, str]:
    """Split a path or URL into its folder and its last component."""
    folder, _, name = path.rpartition("/")
    return folder, name


def display_url(url: str) -> str:
    """Return a URL as it may be printed or stored: without user and password and, for http(s), without the query.

    Elsewhere, as on S3, `?` and `#` are characters of a name.
    """
    if not is_url(url):
        return url
    if url.lower().startswith(("http://", "https://")):
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def recorded_url(url: str) -> str:
    """Return a URL or path as a record may hold it: without credentials, and without the folders of this machine.

    An absolute local path becomes relative to the current folder or, outside it, keeps only its last name.
    """
    if is_url(url):
        return display_url(url)
    path = Path(url)
    if not path.is_absolute():
        return url
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.name


def is_plain(path: str) -> bool:
    """Return True when a relative path stays below the folder that it is joined to."""
    bad = path.startswith("/") or is_url(path) or "\\" in path or "\0" in path
    return not bad and not {"", ".", ".."} & set(path.split("/"))

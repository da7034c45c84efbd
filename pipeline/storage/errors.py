"""Storage errors that people can fix: the input is not usable, or the storage is not reachable."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import LmacError


class StorageError(LmacError):
    """Storage could not be read or written; the message names what, why, and what to do."""


class InputError(LmacError):
    """The input or a table of labels is not usable; the message names it and says what was expected."""


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn errors of storage and its clients, inside the block, into a StorageError."""
    try:
        yield
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if isinstance(error, OSError) or package in ("botocore", "aiobotocore", "aiohttp"):
            raise as_storage_error(error, what) from error
        raise


def as_storage_error(error: BaseException, what: str) -> StorageError:
    """Return a StorageError which says what failed and what to do about `error`."""
    return StorageError(f"{what}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error.__cause__, socket.gaierror):
        return f"{error}: check the host's name and the network"
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return "no S3 credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if kind == "ProfileNotFound":
        return f"{error}: check AWS_PROFILE against ~/.aws/config"
    if kind == "EndpointConnectionError":
        return f"{error}: check AWS_ENDPOINT_URL and the network"
    if isinstance(error, FileNotFoundError):
        return "it does not exist: check the path, and on S3 the bucket's name"
    if isinstance(error, NotADirectoryError):
        return "what should be a folder is a file: check the path"
    if isinstance(error, PermissionError):
        return f"access denied ({error}): check the credentials and what they are allowed to do"
    if isinstance(error, ImportError):
        return f"this kind of URL needs one more package ({error})"
    return f"{kind}: {error}"

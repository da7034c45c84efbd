"""Build ESC-10 from a copy of ESC-50 that was fetched by hand."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

from pipeline.datasets.esc10.github import ARCHIVE_URL
from pipeline.datasets.esc10.layout import METADATA, Esc10Error, Esc10Summary, lay_out

ARCHIVE_SHA256 = "661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f"


def unpack_esc10(
    source: Path,
    directory: Path,
    *,
    archive_sha256: str = ARCHIVE_SHA256,
    on_recording: Callable[[int, int], None] | None = None,
) -> Esc10Summary:
    """Build ESC-10 in `directory` from `source`, the zip of the pinned commit or an unpacked ESC-50 folder.

    A zip must have the pinned SHA-256. A folder has no digest and is taken as it is. Raises Esc10Error if
    `source` is neither, is another zip, or lacks a file.
    """
    if source.is_dir():
        return _from_folder(source, directory, on_recording)
    if not source.is_file() or not zipfile.is_zipfile(source):
        raise Esc10Error(f"{source} is neither a zip file nor a folder: fetch {ARCHIVE_URL}")
    digest = _sha256(source)
    if digest != archive_sha256:
        raise Esc10Error(
            f"{source} has SHA-256 {digest}, not {archive_sha256}: fetch {ARCHIVE_URL} again, or, if you "
            "trust your copy, unpack it and pass the folder, which is not checked"
        )
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
        # GitHub puts everything under one folder, named after the commit.
        roots = [name.removesuffix(METADATA) for name in names if name.endswith(f"/{METADATA}")]
        if len(roots) != 1:
            raise Esc10Error(f"{source} holds {len(roots)} files {METADATA}: this is not an archive of ESC-50")

        def read(path: str) -> bytes:
            try:
                return archive.read(roots[0] + path)
            except KeyError:
                raise Esc10Error(f"{source} lacks {path}: fetch {ARCHIVE_URL} again") from None

        def is_whole(file: Path, path: str) -> bool:
            return file.read_bytes() == read(path)

        return lay_out(directory, read, is_whole, on_recording=on_recording)


def _from_folder(source: Path, directory: Path, on_recording: Callable[[int, int], None] | None) -> Esc10Summary:
    roots = [root for root in (source, *sorted(source.iterdir())) if (root / METADATA).is_file()]
    if not roots:
        raise Esc10Error(f"{source} holds no {METADATA}: pass the folder that the ESC-50 zip unpacks to")

    def read(path: str) -> bytes:
        try:
            return (roots[0] / path).read_bytes()
        except FileNotFoundError:
            raise Esc10Error(f"{roots[0]} lacks {path}: unpack {ARCHIVE_URL} again") from None

    def is_whole(file: Path, path: str) -> bool:
        return file.read_bytes() == read(path)

    return lay_out(directory, read, is_whole, on_recording=on_recording)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

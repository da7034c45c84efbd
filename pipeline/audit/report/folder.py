"""The folder that a report is written to, on this machine's disk or at a URL."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pipeline.audit.report.page import PAGE
from pipeline.storage.errors import StorageError, storage_errors
from pipeline.storage.filesystem import display_url, is_local, join, open_filesystem, put_file
from pipeline.storage.retry import retrying

# Marks a folder as a report, which may be overwritten.
MARK = b'<meta name="generator" content="lmac report">'
_PARTS = ("assets", "data", "pictures", "sounds")
_THREADS = 8


class ReportFolder:
    """A new or empty folder, or one with an earlier report, whose files are removed first.

    Raises StorageError if the folder holds anything else, or the storage refuses or stays unavailable.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = open_filesystem(url)
        self._local = is_local(self._fs)
        self.files, self.bytes = 0, 0
        with storage_errors(f"writing to {display_url(url)}"):
            self._clear()

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files at paths relative to the folder, several at a time."""
        with storage_errors(f"writing to {display_url(self.url)}"), ThreadPoolExecutor(_THREADS) as pool:
            for size in pool.map(lambda file: self._put(*file), files):
                self.files, self.bytes = self.files + 1, self.bytes + size

    def _put(self, path: str, data: bytes) -> int:
        target = join(self._root, path)
        if self._local:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(target, data)
        else:
            retrying(lambda: put_file(self._fs, target, data), what=f"writing {display_url(join(self.url, path))}")
        return len(data)

    def _clear(self) -> None:
        page = join(self._root, PAGE)
        if not self._fs.exists(self._root) or not self._fs.ls(self._root, detail=False):
            return
        if not self._fs.exists(page) or MARK not in self._fs.cat_file(page):
            raise StorageError(
                f"{display_url(self.url)} holds something other than a report: pass a new or empty folder as --out"
            )
        # The page goes first: a half-deleted folder is no report.
        self._fs.rm_file(page)
        for part in _PARTS:
            if self._fs.exists(join(self._root, part)):
                self._fs.rm(join(self._root, part), recursive=True)

"""`lmac browse`: serve the pages of a report on the loopback, reading sound and pictures on request."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.audit.report.loopback import LoopbackServer
from pipeline.audit.report.media import PICTURES
from pipeline.audit.report.on_demand import OnDemand
from pipeline.audit.report.page import PAGE
from pipeline.audit.report.pages import Pages
from pipeline.runs.original import Originals
from pipeline.runs.run import open_run
from pipeline.storage.errors import InputError
from schemas.report_config import BrowseConfig

# Nobody waits at a page for as long as a run waits for its storage.
_PATIENCE_S = 5.0
_KEPT_BYTES = 128 << 20

Words = Callable[[str], None]


class Browsing:
    """Pages that are served at `url` until `close`, or until a `with` block ends.

    `url` holds a secret: whoever has it on this machine can read what the run holds.
    """

    def __init__(self, server: LoopbackServer, pages: Pages, at_end: ExitStack) -> None:
        self.url = server.url
        self.windows, self.shown, self.heard = pages.sample.windows, len(pages.windows.rows), pages.media.heard
        self.findings = pages.claimed
        self._at_end = at_end
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="lmac browse", daemon=True)
        self._thread.start()
        at_end.callback(server.shutdown)

    def link(self) -> Path:
        """Write a page that only its owner can read and that leads to `url`; return its path. It is deleted at the end.

        The arguments that a browser is started with are visible to all users of a machine.
        """
        handle, name = tempfile.mkstemp(prefix="lmac-browse-", suffix=".html")
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={self.url}">\n')
        self._at_end.callback(Path(name).unlink, missing_ok=True)
        return Path(name)

    def wait(self) -> None:
        """Wait until it is closed, or interrupted."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def close(self) -> None:
        """Stop serving."""
        self._at_end.close()

    def __enter__(self) -> Browsing:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()


def browse(
    run: str | os.PathLike[str],
    *,
    input_url: str | os.PathLike[str] | None = None,
    config: BrowseConfig | None = None,
    step: Words = lambda what: None,
    told: Words = lambda line: print(line, file=sys.stderr),
) -> Browsing:
    """Serve the report of a run at a path or URL, without writing it: to this machine alone, under a secret address.

    Sound, spectrograms and masks of all windows listed are read when a page asks for them: from the run, and from
    `input_url` if passed. `step` is called with what is being done until all is ready, `told` with a line for each
    request that failed.
    Raises StorageError if the run has not ended or the storage stays unavailable, LmacError if the port is in use.

    >>> from lmac import browse, open_run
    >>> with browse(open_run("explained").url) as served:
    ...     served.url.startswith("http://127.0.0.1:"), served.shown, served.heard
    (True, 10, 10)
    """
    config = config or BrowseConfig()
    with ExitStack() as stack:
        # First, as reading the tables takes a while: a port in use is reported at once.
        server = stack.enter_context(LoopbackServer(config.port, told))
        opened = open_run(run)
        step("reading tables")
        originals = None if input_url is None else stack.enter_context(Originals(opened, os.fspath(input_url)))
        pages = Pages(opened, config.windows, originals, _PATIENCE_S)
        step("summing up classes")
        pages.media.find_masks()
        server.read = _reader(pages)
        server.read(PAGE)
        return Browsing(server, pages, stack.pop_all())


def _reader(pages: Pages) -> Callable[[str], bytes | None]:
    """A function that reads the file at a path, or returns None. Paths are looked up, and never joined to a folder."""
    own, places = frozenset(pages.paths()), pages.media.places()

    def make(key: tuple[str, int]) -> dict[str, bytes]:
        kind, i = key
        if kind == "sound":
            return {path: data for files in pages.media.files([i]) for path, data in files.items()}
        return dict(pages.media.masks([i])) if kind == "mask" else {kind: pages.read(kind)}

    made: OnDemand[tuple[str, int]] = OnDemand(make, _KEPT_BYTES)

    def read(path: str) -> bytes | None:
        if path in own:
            return made.get((path, 0))[path]
        if path not in places:
            return None
        i = places[path]
        # A spectrogram is made from the sound.
        found = made.get(("mask" if path.startswith(PICTURES) and path.endswith(".png") else "sound", i))
        if path not in found:
            row = pages.windows.rows[i]
            raise InputError(f"{row['key']}: the input has no such recording: pass the --input of the run")
        return found[path]

    return read

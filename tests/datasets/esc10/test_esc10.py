"""ESC-10 is built from a made-up ESC-50: over HTTP on loopback, from a zip, from a folder."""

from __future__ import annotations

import csv
import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.datasets.esc10 import Esc10Error, Esc10Summary, download_esc10, unpack_esc10
from pipeline.datasets.esc10.github import COMMIT, REPOSITORY, git_blob_id
from pipeline.datasets.esc10.layout import parse_metadata

METADATA = """filename,fold,target,category,esc10,src_file,take
1-100032-A-0.wav,1,0,dog,True,100032,A
2-100038-A-14.wav,2,14,chirping_birds,False,100038,A
3-17367-A-10.wav,3,10,rain,True,17367,A
5-4211-B-12.wav,5,12,crackling_fire,True,4211,B
"""
FILES = {
    "meta/esc50.csv": METADATA.encode(),
    "LICENSE": b"1-100032-A.ogg: CC0, someone\n",
    **{
        f"audio/{name}": f"sound of {name}".encode() * 50
        for name in ("1-100032-A-0.wav", "2-100038-A-14.wav", "3-17367-A-10.wav", "5-4211-B-12.wav")
    },
}
RECORDINGS = (
    "001 - Dog bark/1-100032-A-0.wav",
    "002 - Rain/3-17367-A-10.wav",
    "010 - Fire crackling/5-4211-B-12.wav",
)


class FakeGitHub(ThreadingHTTPServer):
    """Serves the listing of `FILES`, and `served`, each after so many `failures` (HTTP 503)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served = dict(FILES)
        self.failures: dict[str, int] = {}
        self.requests: list[str] = []
        self.truncated = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def download(self, directory: Path) -> Esc10Summary:
        return download_esc10(directory, api_url=self.url, raw_url=self.url, threads=2, pause_s=0.01)


class _Handler(BaseHTTPRequestHandler):
    server: FakeGitHub

    def do_GET(self) -> None:
        if self.path == f"/repos/{REPOSITORY}/git/trees/{COMMIT}?recursive=1":
            entries = [{"path": p, "type": "blob", "sha": git_blob_id(c)} for p, c in FILES.items()]
            listing = {"tree": [*entries, {"path": "audio", "type": "tree", "sha": "0" * 40}]}
            return self._answer(200, json.dumps({**listing, "truncated": self.server.truncated}).encode())
        path = self.path.removeprefix(f"/{REPOSITORY}/{COMMIT}/")
        self.server.requests.append(path)
        if self.server.failures.get(path, 0) > 0:
            self.server.failures[path] -= 1
            return self._answer(503, b"")
        if path not in self.server.served:
            return self._answer(404, b"")
        return self._answer(200, self.server.served[path])

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    server = FakeGitHub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def assert_is_esc10(directory: Path) -> None:
    with (directory / "meta" / "esc10.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["path"] for row in rows] == list(RECORDINGS)
    assert [(row["fold"], row["target"], row["category"]) for row in rows] == [
        ("1", "0", "dog_bark"),
        ("3", "1", "rain"),
        ("5", "9", "fire_crackling"),
    ]
    for path in RECORDINGS:
        assert (directory / path).read_bytes() == FILES[f"audio/{Path(path).name}"]
    assert (directory / "LICENSE").read_bytes() == FILES["LICENSE"]
    assert sum(p.is_file() for p in directory.rglob("*")) == len(RECORDINGS) + 2


def test_a_download_is_laid_out_by_class(github: FakeGitHub, tmp_path: Path) -> None:
    assert github.download(tmp_path) == Esc10Summary(tmp_path, recordings=3, kept=0)
    assert_is_esc10(tmp_path)
    assert "audio/2-100038-A-14.wav" not in github.requests


def test_a_second_download_fetches_only_what_is_missing_or_broken(github: FakeGitHub, tmp_path: Path) -> None:
    github.download(tmp_path)
    (tmp_path / RECORDINGS[0]).unlink()
    (tmp_path / RECORDINGS[1]).write_bytes(b"cut sh")
    github.requests.clear()
    assert github.download(tmp_path).kept == 1
    assert [p for p in sorted(github.requests) if p.startswith("audio")] == [
        "audio/1-100032-A-0.wav",
        "audio/3-17367-A-10.wav",
    ]
    assert_is_esc10(tmp_path)


def test_a_file_that_is_not_the_commits_is_named_and_not_kept(github: FakeGitHub, tmp_path: Path) -> None:
    bad = "audio/3-17367-A-10.wav"
    github.served[bad] = b"something else"
    with pytest.raises(Esc10Error, match=f"{bad} is not the file of the commit.*not kept"):
        github.download(tmp_path)
    assert not (tmp_path / RECORDINGS[1]).exists()
    assert not (tmp_path / "meta" / "esc10.csv").exists()
    github.served[bad] = FILES[bad]
    github.download(tmp_path)
    assert_is_esc10(tmp_path)


def test_a_passing_fault_is_tried_three_times(github: FakeGitHub, tmp_path: Path) -> None:
    github.failures["audio/1-100032-A-0.wav"] = 2
    github.download(tmp_path)
    assert_is_esc10(tmp_path)


def test_a_lasting_fault_names_the_file(github: FakeGitHub, tmp_path: Path) -> None:
    github.failures["audio/1-100032-A-0.wav"] = 3
    with pytest.raises(Esc10Error, match=r"1-100032-A-0.wav \(HTTP 503"):
        github.download(tmp_path)


def test_what_is_not_there_is_not_asked_for_again(github: FakeGitHub, tmp_path: Path) -> None:
    del github.served["meta/esc50.csv"]
    with pytest.raises(Esc10Error, match="HTTP 404"):
        github.download(tmp_path)
    assert github.requests == ["meta/esc50.csv"]


def test_a_listing_cut_short_is_refused(github: FakeGitHub, tmp_path: Path) -> None:
    github.truncated = True
    with pytest.raises(Esc10Error, match="cut short"):
        github.download(tmp_path)


def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(github: FakeGitHub, tmp_path: Path) -> None:
    github.server_close()  # nothing listens there any more
    with pytest.raises(Esc10Error) as error:
        github.download(tmp_path)
    assert f"https://github.com/karolpiczak/ESC-50/archive/{COMMIT}.zip" in str(error.value)
    assert f"lmac data esc10 '{tmp_path}' --from ESC-50-{COMMIT}.zip" in str(error.value)


def test_git_blob_id_is_gits() -> None:
    # git hash-object of a file holding "hello\n"
    assert git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "ESC-50.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, content in FILES.items():
            made.writestr(f"ESC-50-{COMMIT}/{name}", content)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_zip_of_the_right_digest_gives_the_same_layout(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert unpack_esc10(archive, out, archive_sha256=sha256(archive)).kept == 0
    assert_is_esc10(out)
    assert unpack_esc10(archive, out, archive_sha256=sha256(archive)).kept == 3


def test_another_zip_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(Esc10Error, match=f"{sha256(archive)}, not 661183a6"):
        unpack_esc10(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_taken_as_it_is(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path / "unpacked")
    unpack_esc10(tmp_path / "unpacked", tmp_path / "out")
    assert_is_esc10(tmp_path / "out")
    unpack_esc10(tmp_path / "unpacked" / f"ESC-50-{COMMIT}", tmp_path / "out2")
    assert_is_esc10(tmp_path / "out2")


def test_a_folder_that_lacks_a_recording_is_named(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path)
    (tmp_path / f"ESC-50-{COMMIT}" / "audio" / "5-4211-B-12.wav").unlink()
    with pytest.raises(Esc10Error, match=r"lacks audio/5-4211-B-12.wav"):
        unpack_esc10(tmp_path / f"ESC-50-{COMMIT}", tmp_path / "out")


@pytest.mark.parametrize("name", ["nothing-here.zip", "text.zip", "empty"])
def test_what_is_no_esc50_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.zip").write_text("not a zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Esc10Error, match=name):
        unpack_esc10(tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("row", ["../../x.wav,1,0,dog,True,1,A", "a.wav,1,0,cat,True,1,A", "a.wav,1,0,dog,False,1,A"])
def test_metadata_that_is_not_esc50s_is_refused(row: str) -> None:
    with pytest.raises(Esc10Error):
        parse_metadata(f"filename,fold,target,category,esc10,src_file,take\n{row}\n")

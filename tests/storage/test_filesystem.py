from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.errors import StorageError, as_storage_error
from pipeline.storage.filesystem import display_url, is_plain, join, open_filesystem, recorded_url, resolve


def test_a_url_is_shown_without_credentials_and_query() -> None:
    assert display_url("https://me:secret@host:81/a/b.wav?token=x#y") == "https://host:81/a/b.wav"
    assert display_url("s3://bucket/a b/c.wav") == "s3://bucket/a b/c.wav"
    assert display_url("/data/a?b.wav") == "/data/a?b.wav"


def test_a_record_holds_neither_credentials_nor_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recorded_url("https://me:secret@host/a.wav?token=x") == "https://host/a.wav"
    assert recorded_url(str(tmp_path / "data" / "a.csv")) == "data/a.csv"
    assert recorded_url("/home/somebody/data/esc10") == "esc10"
    assert recorded_url("data/esc10") == "data/esc10"


def test_local_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_filesystem("a/b")[1] == str(tmp_path / "a" / "b")
    assert open_filesystem(f"file://{tmp_path}/a/")[1] == str(tmp_path / "a")


def test_joining_and_resolving() -> None:
    assert join("s3://b/x/", "a.wav") == join("s3://b/x", "a.wav") == "s3://b/x/a.wav"
    assert resolve("/root", "a/b") == "/root/a/b"
    assert resolve("/root", "s3://b/a") == "s3://b/a"
    assert resolve("/root", "/else/a") == "/else/a"


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b c", "é"]), min_size=1, max_size=5).map("/".join))
def test_a_plain_path_stays_below_its_root(path: str) -> None:
    import os

    if is_plain(path):
        assert os.path.normpath(f"/root/{path}") == f"/root/{path}"


@pytest.mark.parametrize("url", ["nonsense://a/b", "gs://bucket/a", "abfs://a/b"])
def test_a_kind_of_url_that_cannot_be_opened_is_named(url: str) -> None:
    with pytest.raises(StorageError, match=url):
        open_filesystem(url)


def test_errors_come_with_what_to_do() -> None:
    assert "check the path, and on S3 the bucket's name" in str(as_storage_error(FileNotFoundError(), "reading a"))
    assert "check the credentials" in str(as_storage_error(PermissionError("403"), "reading a"))

from __future__ import annotations

import pickle
import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inputs.shards import Entry, Shard, clip_id, printable, shard_id

names = st.text(st.characters(min_codepoint=1), max_size=60)


@given(names, names)
def test_a_shard_id_is_a_safe_file_name_whatever_the_path(path: str, place: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}-[0-9a-f]{10}", shard_id(path, place))


def test_shard_ids_keep_what_can_be_read() -> None:
    assert shard_id("data/Train 00_1.tar", "x").startswith("train-00-1-")
    assert shard_id("../../etc/passwd\n.tar", "x").startswith("passwd-")
    assert shard_id("犬.tar", "x").startswith("shard-")


@given(names, names)
def test_clip_ids_differ_where_places_differ(one: str, other: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", clip_id(one))
    assert (clip_id(one) == clip_id(other)) == (one == other)


def test_clip_ids_never_change() -> None:
    assert clip_id("001 - Dog bark/1-100032-A.ogg") == "e1d1deafa5c55b1a1e716db2d0964861"


def test_a_name_that_is_not_utf_8_keeps_its_bytes_in_the_id_and_prints() -> None:
    latin, other = b"caf\xe9.wav", b"caf\xe8.wav"
    assert clip_id(latin.decode("utf-8", "surrogateescape")) != clip_id(other.decode("utf-8", "surrogateescape"))
    assert printable(latin.decode("utf-8", "surrogateescape")) == "caf\ufffd.wav"
    printable("\ud800").encode("utf-8")


def test_shards_can_be_sent_to_another_process() -> None:
    shard = Shard("a-0", "files", "", 3, (Entry("k", "k.wav", 3, {"label": "dog"}, "k.wav"),))
    assert pickle.loads(pickle.dumps(shard)) == shard

"""Tables that people and programs write: every row with its own columns, or the line that is wrong."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs.delimited import delimited_rows
from pipeline.inputs.listing import list_input
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.table_rows import read_rows
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig
from schemas.yaml_config import ConfigError, load_config
from tests.inputs.make import read_all, write_files


def rows(text: str, suffix: str = ".csv", **given: str) -> list[list[str]]:
    return [list(columns.values()) for _, columns in delimited_rows(text, suffix, "t", **given)]


def test_common_voice_s_tsv_has_every_row_with_its_own_labels() -> None:
    text = "client\tpath\tsentence\tlabel\n" + "".join(
        f"c{i}\t{i}.mp3\t{sentence}\tl{i}\n"
        for i, sentence in enumerate(['"Hello', "plain", 'bye"', '"Whole."', 'a "b" c', '"', '""', '"x" y', "end"])
    )
    found = rows(text, ".tsv")
    assert [(row[1], row[3]) for row in found] == [(f"{i}.mp3", f"l{i}") for i in range(9)]
    assert found[0][2] == '"Hello'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path;label\na.wav;dog\n", [["a.wav", "dog"]]),
        ("path\tlabel\na.wav\tdog\n", [["a.wav", "dog"]]),
        ("path|label\na.wav|dog\n", [["a.wav", "dog"]]),
        ("path;label;db\na.wav;dog;-3,5\n", [["a.wav", "dog", "-3,5"]]),
        ("sep=;\npath;label\na.wav;dog, cat\n", [["a.wav", "dog, cat"]]),
        ("path\na.wav\n", [["a.wav"]]),
        ('path,label\n"a, b.wav","dog ""x"""\n', [["a, b.wav", 'dog "x"']]),
        (
            'path,label,note\na.wav,dog,"two\nlines, of text"\nb.wav,cat,\n',
            [["a.wav", "dog", "two\nlines, of text"], ["b.wav", "cat", ""]],
        ),
        ('path,note\n"a.wav","x"\n"b.wav","two\nlines, of"\n', [["a.wav", "x"], ["b.wav", "two\nlines, of"]]),
        ('path,note,label\n"a.wav","he said \\"hi\\", and went","dog"\n', [["a.wav", 'he said "hi", and went', "dog"]]),
        (' path , label \n a.wav , "dog" \nb.wav,"cat"\n', [["a.wav", "dog"], ["b.wav", "cat"]]),
        ("path,label\r\na.wav,dog\r\n\r\nb.wav,cat", [["a.wav", "dog"], ["b.wav", "cat"]]),
        ("path,label\ra.wav,dog\rb.wav,cat\r", [["a.wav", "dog"], ["b.wav", "cat"]]),
        (",path,label\n0,a.wav,dog\n", [["a.wav", "dog"]]),
        ("path,label\na\u2028b.wav,dog\n", [["a\u2028b.wav", "dog"]]),
    ],
)
def test_delimiter_and_quoting_are_found(text: str, expected: list[list[str]]) -> None:
    assert rows(text) == expected


def test_a_tsv_with_another_delimiter_and_a_csv_with_tabs() -> None:
    assert rows("path,label\na.wav,dog\n", ".tsv") == [["a.wav", "dog"]]
    assert rows("path\tlabel\na.wav\tdog, cat\n", ".tsv") == [["a.wav", "dog, cat"]]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ('path,note,label\na.wav,"x, y",dog\nb.wav,"hi,cat\nc.wav,x,cow\n', 3, "does not pair"),
        ('path,note,label\na.wav,"x, y",dog\nb.wav,"hi,cat\nc.wav,bye",cow\n', 3, "closes on line 4 only"),
        ('"path","label"\n"a.wav","dog"\n"b.wav","ca"t"\n', 3, "does not pair"),
        ('path,label\n"a.wav","dog"\n"b.wav","ca"t"\n', 3, "does not pair"),
        ('path,text,label\nq.wav,"x,a\nr.wav,y\ns.wav,bye",c\n', 2, "closes on line 4 only"),
        ('path,text,label\nq.wav,"x,a\nr.wav,y,b,c\ns.wav,bye",c\n', 2, "closes on line 4 only"),
        ('path,text,label\nq.wav,"x,a\nr.wav,y\nbye",c\n', 2, "closes on line 4 only"),
        ('path,text,label\nq.wav,"x,a\ns.wav,y,bye",c\n', 2, "closes on line 3 only"),
        ('path,label,text\ns/1.wav,"dog","hello\ns/2.wav,"cat",x\ns/3.wav,"dog",y\n', 2, "does not pair"),
        ('path,label,text\ns/1.wav,"dog","hello\ns/2.wav,"cat",x\ns/3.wav,cow,y\ns/4.wav,,y\n', 2, "does not pair"),
        ("path,label\na.wav,dog,x\n", 2, "more columns than the header line, 3 and not 2"),
        ("path,label\na.wav,dog\nb.wav\n", 3, "fewer columns than the header line, 1 and not 2"),
        ("sep=,\npath,label\na.wav,dog,x\n", 3, "more columns"),
    ],
)
def test_a_malformed_row_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(InputError, match=f"t, line {line}: .*{why}"):
        rows(text)


def test_a_mark_that_takes_rows_of_a_tsv_is_refused() -> None:
    for between in ("r.wav\ty", "r.wav\ty\tb\tc"):
        with pytest.raises(InputError, match=r"t, line 2: .*closes on line 4 only"):
            rows(f'path\ttext\tlabel\nq.wav\t"x\ta\n{between}\ns.wav\tbye"\tc\n', ".tsv")


def test_delimiter_and_quoting_may_be_given() -> None:
    assert rows("path:label\na.wav:dog\n", delimiter=":") == [["a.wav", "dog"]]
    assert rows("path,label\n'a, b.wav',dog\n", quote="'") == [["a, b.wav", "dog"]]
    assert rows('path,label\n"a.wav",dog\n', quote="none") == [['"a.wav"', "dog"]]
    two_lines = 'path,label\na.wav,"x\nb.wav,y"\n'
    assert rows(two_lines) == [["a.wav", '"x'], ["b.wav", 'y"']]
    assert rows(two_lines.replace("b.wav,y", "b"), quote='"') == [["a.wav", "x\nb"]]


@pytest.mark.parametrize(("given", "expected"), [("tab", "\t"), ("\\t", "\t"), (";", ";"), ("comma", ",")])
def test_delimiters_have_names(given: str, expected: str) -> None:
    assert InputConfig(delimiter=given).delimiter == expected


@pytest.mark.parametrize("options", [{"delimiter": "ab"}, {"quote": "ab"}, {"quote": "x"}, {"label_separator": ""}])
def test_settings_that_cannot_be_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        load_config(InputConfig, None, options)


TEXT = "path,label\nä.wav,dog\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", TEXT.encode()),
        ("t.csv", codecs.BOM_UTF8 + TEXT.encode()),
        ("t.csv", TEXT.encode("utf-16")),
        ("t.csv", codecs.BOM_UTF16_BE + TEXT.replace(",", "\t").encode("utf-16-be")),
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("t.csv.bz2", bz2.compress(TEXT.encode())),
        ("t.tsv.xz", lzma.compress(TEXT.replace(",", "\t").encode())),
        ("t.jsonl", b'{"path": "\xc3\xa4.wav ", " label": "dog"}\n'),
        ("t.jsonl.gz", gzip.compress(b'{"path": "\xc3\xa4.wav", "label": "dog"}\n', mtime=0)),
        ("t.json", b'[{"path": "\xc3\xa4.wav", "label": "dog"}]'),
        ("t.json", b'{"path": "\xc3\xa4.wav", "label": "dog"}\n'),
    ],
)
def test_every_form_and_encoding_of_a_table(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (row,) = read_rows(str(tmp_path / name))
    assert row.columns == {"path": "ä.wav", "label": "dog"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("latin-1"), "t.csv, line 2: it is not UTF-8 text .byte 0xe4.; save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "t.csv: it seems to be UTF-16 without a byte order mark; save it as UTF-8"),
        (b"", "t.csv: it has no rows"),
        (b"path,label\n", "t.csv: it has no rows"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-12], "t.csv: what is compressed in it is damaged or cut short"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "t.csv: it is a Git LFS pointer"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_rows(str(tmp_path / "t.csv"))


def manifest(folder: Path, text: str, name: str = "m.csv", **settings: Any) -> list[RawRecording | ReadFault]:
    (folder / name).write_text(text)
    return read_all(list_input(str(folder / name), InputConfig(**settings)))


@pytest.mark.parametrize(
    "column", ["uri", "Path", "audio", "FILE", "filename", "file_name", "audio_filepath", "wav", "fname"]
)
def test_the_column_of_a_manifest_is_found_by_the_names_in_use(tmp_path: Path, column: str) -> None:
    write_files(tmp_path, ["a.wav"])
    (item,) = manifest(tmp_path, f"x, {column}\n1, a.wav \n")
    assert (item.key, item.data) == ("a.wav", b"a.wav")  # type: ignore[union-attr]


def test_the_column_of_a_manifest_may_be_given_and_is_named_where_it_is_not_there(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    (item,) = manifest(tmp_path, "path,Clip\nno.wav,a.wav\n", uri_column="clip")
    assert (item.key, item.metadata) == ("a.wav", {"path": "no.wav"})  # type: ignore[union-attr]
    with pytest.raises(InputError, match="no column 'wave' for the URIs; it has path, Clip"):
        manifest(tmp_path, "path,Clip\nno.wav,a.wav\n", uri_column="wave")


@pytest.mark.parametrize("spelt", ["d\\a.wav", "./d/a.wav", "d//a.wav", unicodedata.normalize("NFD", "d/é.wav")])
def test_a_manifest_s_spelling_of_a_name_finds_the_file(tmp_path: Path, spelt: str) -> None:
    write_files(tmp_path, ["d/a.wav", unicodedata.normalize("NFC", "d/é.wav")])
    (item,) = manifest(tmp_path, f"path\n{spelt}\n")
    assert isinstance(item, RawRecording)
    assert item.data.startswith(b"d/")


def test_a_path_of_windows_is_explained(tmp_path: Path) -> None:
    (item,) = manifest(tmp_path, "path\nC:\\data\\a.wav\n")
    assert isinstance(item, ReadFault)
    assert "it is a path of Windows: write it relative to the table" in item.message


def test_two_rows_of_one_file_give_it_two_labels(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    (item,) = manifest(tmp_path, "path,label,fold\na.wav,dog,1\na.wav,cat,1\n")
    assert item.metadata == {"label": ["dog", "cat"], "fold": "1"}  # type: ignore[union-attr]


@pytest.mark.parametrize("other", ["./s/1.wav", "s\\1.wav", "s//1.wav", "s/../s/1.wav", "{folder}/s/1.wav"])
def test_two_spellings_of_a_file_are_one_recording_with_two_labels(tmp_path: Path, other: str) -> None:
    write_files(tmp_path, ["s/1.wav"])
    (item,) = manifest(tmp_path, f"path,label\ns/1.wav,a\n{other.format(folder=tmp_path)},b\n")
    assert isinstance(item, RawRecording)
    assert (item.key, item.data, item.metadata) == ("s/1.wav", b"s/1.wav", {"label": ["a", "b"]})


def spans(item: RawRecording | ReadFault) -> list[tuple[float, float | None]]:
    return [(one.start_s, one.stop_s) for one in item.segments]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("start,end", "1.5,2", (1.5, 2.0)),
        ("Start,END", " 1.5 , 2 ", (1.5, 2.0)),
        ("start_s,end_s", "0,2e0", (0.0, 2.0)),
        ("offset,duration", "1,0.5", (1.0, 1.5)),
        ("start,duration", "1,0.5", (1.0, 1.5)),
        ("onset,offset", "1,1.5", (1.0, 1.5)),
        ("onset,offset,duration", "1,1.5,9", (1.0, 1.5)),
        ("offset,x", "1,", (1.0, None)),
        ("start,end", "1,", (1.0, None)),
        ("start,end", ",2", (0.0, 2.0)),
        ("start,end", ",", None),
        ("duration,x", "3,", None),
    ],
)
def test_segments_are_named_by_the_columns_in_use(
    tmp_path: Path, header: str, cells: str, expected: tuple[float, float | None] | None
) -> None:
    write_files(tmp_path, ["a.wav"])
    (item,) = manifest(tmp_path, f"path,{header}\na.wav,{cells}\n")
    assert spans(item) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("2,1", "the segment from 2 s to 1 s has no length"),
        ("1,1", "has no length"),
        ("-1,1", "start is -1 s, before the recording begins"),
        ("one,2", "start is 'one', which is no number of seconds"),
        ("1,nan", "end is 'nan', which is no number"),
        ("1,inf", "end is 'inf'"),
        ("00:01,00:02", "start is '00:01'"),
        ("1_0,20", "start is '1_0'"),
    ],
)
def test_times_that_cannot_be_are_refused_with_the_line(tmp_path: Path, cells: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"m\.csv, line 3: .*{why}"):
        manifest(tmp_path, f"path,start,end\na.wav,0,1\nb.wav,{cells}\n")


def test_a_file_is_read_once_for_all_of_its_segments(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav", "b.wav"])
    text = "path,start,end,label\na.wav,2,3,cat\nb.wav,0,1,x\na.wav,0,1,dog\na.wav,0,1,loud\na.wav,,,all\n"
    a, b = manifest(tmp_path, text)
    assert spans(a) == [(0.0, None), (0.0, 1.0), (2.0, 3.0)]
    assert [one.metadata["label"] for one in a.segments] == ["all", ["dog", "loud"], "cat"]
    assert a.segments[0].clip_id == a.clip_id
    ids = [one.clip_id for item in (a, b) for one in item.segments]
    assert len(set(ids)) == len(ids) == 4
    again = manifest(tmp_path, "path,start,end\nb.wav,0,1\na.wav,2.0,3.00\n", "n.csv")
    assert [one.clip_id for item in again for one in item.segments] == [ids[3], ids[2]]


@pytest.mark.parametrize("times", ["start,end", "start,duration"])
def test_segments_of_one_id_are_one_with_both_labels(tmp_path: Path, times: str) -> None:
    write_files(tmp_path, ["q.wav"])
    starts = ["0.3", "0.30000000000000004", "0.29999999999"]
    lines = "".join(f"q.wav,{start},0.6,{start}\n" for start in starts)
    (item,) = manifest(tmp_path, f"path,{times},label\n{lines}")
    (segment,) = item.segments
    assert segment.metadata["label"] == starts
    (item,) = manifest(tmp_path, f"path,{times},label\nq.wav,0,,a\nq.wav,,,b\nq.wav,-0.0,,c\n")
    assert isinstance(item, RawRecording)
    assert item.clip_ids == [item.clip_id]
    assert item.metadata["label"] == ["a", "b", "c"]


def test_segments_of_a_file_that_is_not_there_are_told_each(tmp_path: Path) -> None:
    (item,) = manifest(tmp_path, "path,start,end\na.wav,0,1\na.wav,1,2\n")
    assert isinstance(item, ReadFault)
    assert len(item.segments) == 2


def test_json_lines_may_have_segments_and_lists(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    lines = [{"audio_filepath": "a.wav", "offset": 1, "duration": 0.5, "labels": ["x", "y"]}]
    (item,) = manifest(tmp_path, "".join(json.dumps(line) + "\n" for line in lines), "m.json")
    assert spans(item) == [(1.0, 1.5)]
    assert item.segments[0].metadata["labels"] == ["x", "y"]


def test_a_parquet_file_without_audio_is_a_manifest_where_it_names_some(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    pq.write_table(pa.table({"path": ["a.wav"], "start": [0.5], "end": [1.0]}), tmp_path / "m.parquet")
    (item,) = read_all(list_input(str(tmp_path / "m.parquet")))
    assert (item.key, spans(item)) == ("a.wav", [(0.5, 1.0)])


def shuffled(text: str) -> Callable[[int], str]:
    head, *body = text.splitlines()
    return lambda turn: "\n".join([head, *body[turn:], *body[:turn]]) + "\n"


def test_the_digest_tells_of_other_segments_and_not_of_another_order(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "m.csv").write_text(text)
        return list_input(str(tmp_path / "m.csv")).digest

    turned = shuffled("path,start,end\na.wav,0,1\nb.wav,0,1\n")
    assert digest(turned(0)) == digest(turned(1))
    assert digest(turned(0)) != digest("path,start,end\na.wav,0,1\nb.wav,0,2\n")


def test_columns_of_times_may_be_declared_to_be_none(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    text = "filename,start,end,class\na.wav,58.5,62.5,siren\n"
    (item,) = manifest(tmp_path, text, segments=False)
    assert (spans(item), item.metadata["start"]) == ([], "58.5")  # type: ignore[union-attr]
    pq.write_table(pa.table({"bytes": [b"x"], "start": [58.5], "end": [1.0]}), tmp_path / "t.parquet")
    (row,) = read_all(list_input(str(tmp_path / "t.parquet"), InputConfig(segments=False)))
    assert (spans(row), row.metadata["end"]) == ([], 1.0)  # type: ignore[union-attr]


AUDIO_SET = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=3
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
--ZhevVpy1s, 50.000, 60.000, "/m/012xff"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AUDIO_SET, ["YTID", "start_seconds", "end_seconds", "positive_labels"]),
        ("# made by hand, on a Monday\npath,label\na.wav,x\n", ["path", "label"]),
        ("# one\n\n#two\npath\na.wav\n", ["path"]),
        ("#path,label\na.wav,x\n", ["path", "label"]),
        ("#id,class\nabc,x\n", ["id", "class"]),
        ("#,path\n0,a.wav\n", ["#", "path"]),
        ("# path;label\r\na.wav;x\r\n", ["path", "label"]),
    ],
)
def test_comments_before_the_header_are_none_of_the_rows(text: str, expected: list[str]) -> None:
    found = delimited_rows(text, ".csv", "t")
    assert [list(columns) for _, columns in found] == [expected] * len(found)
    assert [line for line, _ in found] == [
        number for number, line in enumerate(text.splitlines(), 1) if line[0:3] in ("a.w", "abc", "--P", "--Z", "0,a")
    ]


def test_a_line_is_counted_from_the_file_s_first_comments_too() -> None:
    with pytest.raises(InputError, match="t, line 4: it has more columns"):
        delimited_rows("# one\n# two\npath,label\na.wav,x,y\n", ".csv", "t")


@pytest.mark.parametrize("header", ["Begin Time (s),End Time (s)", "start [s],end [sec]", "Begin-Time,End Time"])
def test_times_are_found_under_the_names_that_annotation_programs_give_them(tmp_path: Path, header: str) -> None:
    write_files(tmp_path, ["a.wav"])
    (item,) = manifest(tmp_path, f"path,{header}\na.wav,1.5,2\n")
    assert spans(item) == [(1.5, 2.0)]


def test_times_of_another_kind_are_refused_with_the_option_that_leaves_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --no-segments"):
        manifest(tmp_path, "path,start_time,end_time\na.wav,2021-05-03 10:20,2021-05-03 10:30\n")


def test_audio_that_datasets_wrote_into_json_is_found_by_its_path(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.wav"])
    text = '{"audio": {"bytes": null, "path": "a.wav"}, "label": "x"}\n'
    (item,) = manifest(tmp_path, text, "m.jsonl")
    assert (item.key, item.data) == ("a.wav", b"a.wav")  # type: ignore[union-attr]
    with pytest.raises(InputError, match="line 1: 'audio' is 7, which is no path"):
        manifest(tmp_path, '{"audio": 7}\n', "m.jsonl")


def test_what_a_table_lacks_is_said_with_what_to_do(tmp_path: Path) -> None:
    (item,) = manifest(tmp_path, "path\nb.wav\n")
    assert "paths in a table count from the table's own folder" in item.message  # type: ignore[union-attr]
    with pytest.raises(InputError, match="give the table a first line with the names of its columns"):
        manifest(tmp_path, "a.wav,dog\nb.wav,cat\n")
    with pytest.raises(InputError, match="or give the --delimiter of the table"):
        manifest(tmp_path, "path label\na.wav dog\n")

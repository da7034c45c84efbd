from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.file_names import explanation_name, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("狗叫", "狗叫"),
        ("Wa\u0308rme", "W\u00e4rme"),
        ("हिन्दी में", "हिन्दी_में"),
        ("../a\\b\0c\nd", "a_b_c_d"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("\u0301", "unnamed"),
        ("broken \udcff byte", "broken_byte"),
        ("a" * 59 + "é", "a" * 59),
        ("a" * 59 + " b", "a" * 59),
    ],
)
def test_names_keep_the_letters_of_any_script(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_name_is_one_short_part_of_a_path(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 60
    assert safe == unicodedata.normalize("NFC", safe) == safe_name(safe)
    assert not {"/", "\\", ".", "-"} & set(safe)
    assert all(unicodedata.category(character)[0] != "C" for character in safe)


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{explanation_name(12345, '狗' * 99, 'é' * 99, 3599.25)}-masked_out.flac"
    path.write_bytes(b"x")
    assert path.read_bytes() == b"x"

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.messages import shown_command


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("s3://me:secret@bucket/a=b.csv", "s3://bucket/a=b.csv"),
        ("--labels=s3://me:secret@bucket/a.csv", "--labels=s3://bucket/a.csv"),
        ("--against=other=s3://me:secret@bucket/e", "--against=other=s3://bucket/e"),
        ("other=/home/somebody/e", "other=e"),
        ("/home/somebody/a=b/e", "e"),
        ("fold=1,2", "fold=1,2"),
    ],
)
def test_a_command_is_shown_without_credentials_and_without_the_folders_of_this_machine(
    argument: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_command(["evaluate", argument]) == f"lmac evaluate {shown}"


def test_a_clap_in_a_recorded_command_has_neither_credentials_nor_folders() -> None:
    for given, recorded in (
        ("clap:https://user:pw@host/x.pt?X-Amz-Signature=SECRET", "clap:https://host/x.pt"),
        ("clap:/home/somebody/x.pt", "clap:x.pt"),
        ("clap:laion/clap-htsat-unfused", "clap:laion/clap-htsat-unfused"),
    ):
        assert shown_command(["train", "--classifier", given]) == f"lmac train --classifier {recorded}"
        assert shown_command(["train", f"--classifier={given}"]) == f"lmac train --classifier={recorded}"

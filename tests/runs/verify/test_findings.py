"""What is kept of many findings."""

from __future__ import annotations

from pipeline.runs.verify.findings import SHOWN, Findings


def test_few_findings_of_a_kind_are_kept_and_all_are_counted() -> None:
    one, all_of_them = Findings(), Findings()
    for number in range(30):
        one.add("a", f"{number}", "wrong")
    one.add("b", "x", "wrong")
    all_of_them.take(one)
    all_of_them.take(one)
    assert all_of_them.counts == {"a": 60, "b": 2}
    assert [finding.file for finding in all_of_them.shown["a"]] == [str(number) for number in range(SHOWN)]
    assert len(all_of_them) == 62

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.evaluation.report import write_report
from tests.evaluation.report.make import area, point, write_evaluation, write_facts, write_table

pytestmark = pytest.mark.slow

METHODS = ("lmac", "integrated_gradients", "energy", "random")
TITLES = {
    "points": "## Curves at equal size",
    "summary": "## Scores of the soft masks",
    "differences": "## Paired differences",
    "localisation": "## Where the truth is known",
    "sanity": "## Sanity checks",
    "timing": "## Speed",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("evaluation")
    write_evaluation(directory, METHODS)
    write_report(directory)
    return directory


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "action")]
        self.alts += [value or "" for name, value in attrs if name == "alt"]


def parsed(directory: Path) -> Links:
    links = Links()
    links.feed((directory / "report.html").read_text("utf-8"))
    return links


def test_every_number_of_the_areas_stands_in_both_reports(written: Path) -> None:
    markdown, page = ((written / name).read_text("utf-8") for name in ("report.md", "report.html"))
    for row in pq.read_table(written / "areas.parquet").to_pylist():
        shown = f"{row['value']:.3f}", f"({row['low']:.3f}-{row['high']:.3f})"
        assert all(text in markdown and text in page for text in shown)


def test_the_page_needs_nothing_from_elsewhere(written: Path) -> None:
    targets = parsed(written).targets
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"https?:|@import|url\(|<script", (written / "report.html").read_text("utf-8"))


def test_every_picture_of_the_page_says_what_it_shows(written: Path) -> None:
    links = parsed(written)
    assert len(links.alts) == links.tags.count("img") == len(list((written / "plots").glob("*.png")))
    assert all(len(alt) > 20 for alt in links.alts)


def test_the_plots_are_pictures_of_something_and_markdown_links_them(written: Path) -> None:
    markdown = (written / "report.md").read_text("utf-8")
    plots = sorted((written / "plots").glob("*.png"))
    assert [plot.name for plot in plots] == sorted(re.findall(r"\(plots/([^)]+)\)", markdown))
    for plot in plots:
        pixels = np.asarray(Image.open(io.BytesIO(plot.read_bytes())).convert("L"), dtype=float)
        assert pixels.var() > 50, plot.name


def test_the_sizes_stand_before_the_scores_and_under_a_warning(written: Path) -> None:
    section = (written / "report.md").read_text("utf-8").split(TITLES["summary"])[1]
    assert section.index("An all-ones mask tops FF, AD and Fid-In") < section.index("| method |")
    header = next(line for line in section.splitlines() if line.startswith("| method |"))
    assert [name.strip() for name in header.split("|")[3:5]] == ["mask mean", "energy kept"]


def test_markdown_rows_have_as_many_cells_as_their_header(written: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", (written / "report.md").read_text("utf-8"), re.MULTILINE)
    assert blocks
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("missing", sorted(TITLES))
def test_a_missing_table_leaves_out_its_section(tmp_path: Path, missing: str) -> None:
    write_evaluation(tmp_path, METHODS[:2], audio=("clean",))
    for name in (missing, *(("areas",) if missing == "points" else ())):
        (tmp_path / f"{name}.parquet").unlink()
    write_report(tmp_path)
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert {name for name, title in TITLES.items() if title not in markdown} == {missing}


def test_markup_in_names_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>|*$'
    write_facts(tmp_path, explainer=evil, input=evil, audio=[evil], methods=["lmac", evil], config={evil: evil})
    rows = [point(method, "bins", 0.02, "p_in", 0.5, evil) for method in ("lmac", evil)]
    write_table(tmp_path, "points", rows)
    write_table(tmp_path, "areas", [area(method, "bins", "insertion", 0.5, evil) for method in ("lmac", evil)])
    write_report(tmp_path)
    assert "script" not in parsed(tmp_path).tags
    assert "&lt;script&gt;" in (tmp_path / "report.html").read_text("utf-8")
    prose = re.sub(r"```.*?```", "", (tmp_path / "report.md").read_text("utf-8"), flags=re.DOTALL)
    assert "<script" not in prose


def test_baselines_that_were_left_out_stand_beside_the_verdict_with_the_reason(tmp_path: Path) -> None:
    write_evaluation(tmp_path, METHODS)
    facts = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    why = "made for ReLUs, and the classifier has LayerNorm"
    write_facts(tmp_path, **facts, methods_left_out={"deeplift": why, "guided_backprop": why, "gradcam": "no block"})
    write_report(tmp_path)
    said = f"Not among the baselines: deeplift, guided backprop ({why})."
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text("utf-8")
        assert (
            0 < text.index(said) < text.index("Not among the baselines: gradcam (no block).") < text.index("Curves at")
        )


def test_an_evaluation_that_says_nothing_of_itself_is_still_reported(tmp_path: Path) -> None:
    write_facts(tmp_path, accuracy=None)
    write_report(tmp_path)
    assert "How it was made" in (tmp_path / "report.html").read_text("utf-8")


def test_a_directory_without_an_evaluation_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"evaluation\.json is missing"):
        write_report(tmp_path)


def test_a_table_that_lacks_a_column_is_refused_by_name(written: Path, tmp_path: Path) -> None:
    write_facts(tmp_path)
    pq.write_table(pq.read_table(written / "areas.parquet").drop_columns(["side"]), tmp_path / "areas.parquet")
    with pytest.raises(ValueError, match=r"areas\.parquet has no column side"):
        write_report(tmp_path)


def test_rows_show_the_baseline_that_is_best_in_each_and_what_quiet_bins_alone_would_do(tmp_path: Path) -> None:
    write_facts(tmp_path, audio=["clean"], methods=["lmac", "first", "second", "constant"])
    rows = [
        {**point(method, by, budget, name, value), **({"ranking": order} if order else {})}
        for by, budget in (("bins", 0.1), ("energy", 0.5))
        for method, ad, ff, order in (
            ("lmac", 12.0, 0.61, ""),
            ("first", 11.0, 0.2, ""),
            ("second", 31.0, 0.55, "absolute"),
            ("constant", 6.0, 0.64, "signed_per_energy"),
        )
        if order != "signed_per_energy" or by == "energy"
        for name, value in (("ad", ad), ("ff", ff), ("fid_in", 0.9), ("bins_kept", 0.3), ("energy_kept", 0.4))
    ]
    write_table(tmp_path, "points", rows)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    (bins,) = (line for line in text.splitlines() if line.startswith("| 10% of bins | 12.0"))
    assert "first: 11.0 / 0.200" in bins
    assert "second: 31.0 / 0.550" in bins
    assert "6.0" not in bins
    (energy,) = (line for line in text.splitlines() if line.startswith("| 50% of energy | 12.0"))
    assert "6.0 / 0.640 / 0.90" in energy
    write_facts(tmp_path, audio=["clean"], methods=["lmac", "first", "second"])
    write_table(tmp_path, "points", [row for row in rows if row["method"] != "constant"])
    write_report(tmp_path)
    assert "quietest" not in (tmp_path / "report.md").read_text("utf-8").split("## ")[2]


def test_silent_listenables_are_counted_and_left_out_of_the_mean(written: Path) -> None:
    section = (written / "report.md").read_text("utf-8").split(TITLES["localisation"])[1]
    row = next(line for line in section.splitlines() if line.startswith("| lmac |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == "12"
    assert cells[-1] == "1"
    mean, low, high = map(float, re.fullmatch(r"([\d.]+) \(([\d.]+)-([\d.]+)\)", cells[-2]).groups())  # type: ignore[union-attr]
    assert 7 < low < mean < high < 11

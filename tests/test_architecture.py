"""The page of the architecture: the files and functions that it names are there, and imports follow its arrows."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
FOLDERS = ("jobs", "lmac", "pipeline", "schemas")


def package(parts: tuple[str, ...]) -> str:
    """The package of a module, as the page names it; `runs/verify` is one of its own."""
    if parts[0] == "lmac":
        return "lmac (top level)"
    if parts[0] != "pipeline":
        return parts[0]
    if parts[1:3] == ("runs", "verify"):
        return "runs/verify"
    return parts[1]


def imported(text: str) -> set[tuple[str, ...]]:
    """The modules of ours that a file imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {parts for name in names if (parts := tuple(name.split(".")))[0] in FOLDERS}


def imports() -> dict[str, set[str]]:
    """For each package those that it imports."""
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            here = package(path.relative_to(ROOT).with_suffix("").parts)
            there = {package(parts) for parts in imported(path.read_text(encoding="utf-8"))}
            found.setdefault(here, set()).update(there - {here})
    return found


def arrows() -> dict[str, set[str]]:
    """The rows of the page's arrows: from a package, or `all of them`, to what it may import."""
    (block,) = re.findall(r"^```\n(jobs.*?->.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    rows = [line.split("->") for line in block.replace(".py", "").splitlines()]
    return {one: set(right.strip().split(", ")) for left, right in rows for one in left.strip().split(", ")}


def test_packages_import_each_other_along_the_arrows_of_the_page() -> None:
    rows, found = arrows(), imports()
    by_all = rows.pop("all of them")
    tops = {name for name, right in rows.items() if right == {"all below"}}
    assert tops == {"jobs", "lmac (top level)"}
    ground = {"storage": rows.pop("storage"), **{name: set() for name in by_all - {"storage"}}}
    for here, there in found.items():
        if here in tops:
            assert not there & tops, here
        else:
            along = ground[here] if here in ground else rows.get(here, set()) | by_all
            assert there <= along, f"{here} imports {sorted(there - along)}"
    unused = {here: right - found[here] for here, right in rows.items() if here not in tops}
    assert not any(unused.values()), f"arrows along which nothing is imported: {unused}"
    TopologicalSorter(found).prepare()  # raises CycleError


def test_ray_is_imported_in_flow_alone() -> None:
    importers = {
        package(path.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^ *(import|from) ray\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importers == {"flow"}


def test_the_architecture_page_names_files_and_functions_that_are_there() -> None:
    named = re.findall(r"`([a-z0-9_/]+\.py)`((?:,? `\w+`)*)", PAGE)
    assert len(named) > 20
    for file, functions in named:
        path = next((ROOT / root / file for root in ("", "pipeline") if (ROOT / root / file).is_file()), None)
        assert path is not None, file
        for function in re.findall(r"\w+", functions):
            assert re.search(rf"^ *(def|class) {function}\b", path.read_text(encoding="utf-8"), re.MULTILINE), (
                file,
                function,
            )

"""`import lmac`: what it offers, what it costs, and what its documentation says."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

import lmac
import lmac.errors
import lmac.settings
import pipeline.lmac
from tests.conftest import TinyRun

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): text
    for folder in ("lmac", "pipeline", "jobs", "schemas")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in (text := path.read_text(encoding="utf-8"))
}
# Their examples open a run in the current folder.
OF_A_RUN = [module for module, text in WITH_EXAMPLES.items() if '("explained"' in text]


def test_all_that_it_names_is_there() -> None:
    assert set(lmac._HOMES) == set(lmac.__all__) == set(dir(lmac))
    for name in lmac.__all__:
        assert getattr(lmac, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'lmac' has no attribute 'Explained'"):
        lmac.Explained  # noqa: B018


def test_errors_and_settings_are_there_without_an_import_of_their_own() -> None:
    code = "import lmac; print(lmac.errors.InputError.__name__, lmac.settings.LoopConfig().batch_size)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["InputError", "16"]


def test_all_errors_for_people_and_all_named_settings_can_be_imported() -> None:
    sources = [path for folder in ("pipeline", "schemas") for path in (ROOT / folder).rglob("*.py")]
    kind = re.compile(r"^class (\w+)\((?:LmacError|InputError)\b", re.MULTILINE)
    defined = {name for path in sources for name in kind.findall(path.read_text(encoding="utf-8"))}
    assert defined | {"LmacError"} == set(lmac.errors.__all__)
    assert all(issubclass(getattr(lmac.errors, name), lmac.LmacError) for name in lmac.errors.__all__)
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\b[A-Z]\w+(?:Config|Recipe|Training|Objective)\b", api)) - {"SceneConfig"}:
        assert getattr(lmac.settings, name).__doc__, name
    for name in set(re.findall(r"\b[A-Z]\w+Error\b", api)) - {"ImportError", "OSError", "KeyError", "ValueError"}:
        assert name in lmac.errors.__all__, name


def test_it_costs_nothing_until_something_is_used() -> None:
    code = "import lmac, sys; assert lmac.__doc__; print(*{'torch', 'ray', 'numpy', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""


def test_the_package_the_distribution_and_the_room_of_the_method_are_apart() -> None:
    assert metadata.version("lmac")
    assert Path(lmac.__file__).parent == ROOT / "lmac"
    assert Path(pipeline.lmac.__file__).parent == ROOT / "pipeline" / "lmac"


@pytest.mark.slow
def test_a_place_may_be_a_path_wherever_it_is_given(tiny_run: TinyRun, tmp_path: Path) -> None:
    source, explainer = Path(tiny_run.source), Path(tiny_run.explainer)
    output = shutil.copytree(tiny_run.output, tmp_path / "run")
    sizes = {"part_windows": 4, "files_per_shard": 3}
    sides = ("masked_in", "masked_out")
    assert lmac.explain_dataset(source, output, explainer=explainer, listenables=sides, **sizes).resumed == 4
    assert not lmac.verify(output, source, deep=1, explainer=explainer).findings
    assert lmac.Explainer.load(explainer).config.name == "tiny"
    assert len(lmac.extract(lmac.open_run(output), tmp_path / "files", input_url=source, limit=2).files) == 2


def test_types_come_with_it() -> None:
    # A type that is re-exported counts only where the package that it comes from has its types too.
    assert all((ROOT / package / "py.typed").is_file() for package in ("lmac", "pipeline", "schemas"))


@pytest.mark.parametrize("module", [module for module in WITH_EXAMPLES if module not in OF_A_RUN])
def test_the_examples_of_the_docstrings_are_true(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    assert_true(module)


@pytest.mark.slow
@pytest.mark.parametrize("module", OF_A_RUN)
def test_the_examples_of_a_run_are_true(
    module: str, tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "explained").symlink_to(tiny_run.output)
    monkeypatch.chdir(tmp_path)
    assert_true(module)


def assert_true(module: str) -> None:
    failed, tried = doctest.testmod(import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried
    assert not failed


def test_the_api_page_is_that_of_the_docstrings(tmp_path: Path) -> None:
    pytest.importorskip("griffe2md")
    page = tmp_path / "api.md"
    command = [str(Path(sys.executable).parent / "griffe2md"), "lmac", "--format-md", "--output", str(page)]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), "run `make docs`"


def test_the_examples_on_the_api_page_are_blocks_of_code() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert "> > >" not in page
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    assert ">>>" not in prose
    assert re.findall(r"\]\(#.*?\)|<code>|<details", prose) == []

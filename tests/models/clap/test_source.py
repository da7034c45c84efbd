"""A CLAP is found by path, URL or name, fetched once, and what is no CLAP is refused with what to do."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import huggingface_hub.constants as hub_constants
import pytest
import torch

from pipeline.models.clap import ClapError
from pipeline.models.clap.download import cached_path
from pipeline.models.clap.source import LAION_FILES, ClapSource, resolve_clap
from pipeline.storage.errors import StorageError
from tests.models.clap.hub import Site, closed_port, serve

NAME = "someone/some-clap"
MODEL = {
    "config.json": json.dumps({"model_type": "clap"}).encode(),
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same again",
    "preprocessor_config.json": b'{"sampling_rate": 48000}',
    "tokenizer.json": b'{"version": "1.0"}',
    "tokenizer_config.json": b'{"model_max_length": 77}',
    "README.md": b"# read me",
}


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache but the test's own, no hub but a port at which nothing listens."""
    monkeypatch.setenv("LMAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    point_hub_at(closed_port(), monkeypatch)


def point_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT would, had it been set before the hub's client was imported."""
    monkeypatch.setattr(hub_constants, "ENDPOINT", url)
    monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.mark.parametrize("where", ["~nobody-of-this-name/clap.pt", "a" * 5000])
def test_a_path_that_cannot_be_one_is_refused(where: str) -> None:
    with pytest.raises(ClapError, match=rf"no CLAP at '{where[:20]}.*Give the path of a checkpoint"):
        resolve_clap(where)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as served:
        yield served


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    point_hub_at(site.url, monkeypatch)
    return site


def checkpoint_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1000)}, buffer)
    return buffer.getvalue()


def write_model(folder: Path, without: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, content in MODEL.items():
        if name != without:
            (folder / name).write_bytes(content)
    return folder


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_checkpoint_file_is_laions(tmp_path: Path) -> None:
    path = tmp_path / "any name.pt"
    path.write_bytes(checkpoint_bytes())
    assert resolve_clap(str(path)) == ClapSource("laion", path)
    assert resolve_clap(path.as_uri().replace("%20", " ")) == ClapSource("laion", path)


def test_a_directory_is_hugging_faces(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    assert resolve_clap(str(folder)) == ClapSource("huggingface", folder)


@pytest.mark.parametrize("where", ["", "nothing-here", "a/b/c", "models/checkpoint.pt", "/nowhere/at/all", "x/../y"])
def test_what_does_not_exist_is_named(where: str) -> None:
    with pytest.raises(ClapError, match=r"no CLAP at '.*': it does not exist.*630k-audioset-best.pt") as error:
        resolve_clap(where)
    assert repr(where) in str(error.value)


def test_a_known_name_in_a_folder_that_lacks_it_is_explained() -> None:
    with pytest.raises(ClapError, match=r"630k-best.pt alone would be downloaded"):
        resolve_clap("/nowhere/630k-best.pt")


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "empty"), (b"  <!DOCTYPE html>", "a web page"), (b"RIFF....WAVE", "something else")]
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "clap.pt"
    path.write_bytes(content)
    with pytest.raises(ClapError, match=rf"clap.pt is no checkpoint of laion-clap.*it is {kind}"):
        resolve_clap(str(path))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_one_file_of_a_directory_stands_for_nothing(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / "model")
    with pytest.raises(ClapError, match=rf"one file of a Hugging Face model: give its directory, {folder}"):
        resolve_clap(str(folder / name))


def test_a_directory_without_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapError, match=r"config.json is not there"):
        resolve_clap(str(write_model(tmp_path / "model", without="config.json")))


def test_a_folder_of_checkpoints_does_not_say_which(tmp_path: Path) -> None:
    for name in ("one.pt", "two.pt"):
        (tmp_path / name).write_bytes(checkpoint_bytes())
    with pytest.raises(ClapError, match=r"holds one.pt, two.pt: give the path of the file itself"):
        resolve_clap(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "message"),
    [("{", "is not JSON"), ("[]", "model_type is None"), ('{"model_type": "clip"}', "'clip', not 'clap'")],
)
def test_another_models_configuration_is_refused(tmp_path: Path, config: str, message: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "config.json").write_text(config)
    with pytest.raises(ClapError, match=message):
        resolve_clap(str(folder))


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", without="model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ClapError, match=r"neither model.safetensors nor pytorch_model.bin is there"):
        resolve_clap(str(folder))


def test_a_folder_named_like_a_model_of_the_hub_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir(parents=True)
    with pytest.raises(ClapError, match=f"If the hub's model was meant, give hf://{NAME}"):
        resolve_clap(NAME)


def test_a_url_is_fetched_once(site: Site) -> None:
    site.files["/models/clap.pt"] = checkpoint_bytes()
    first = resolve_clap(f"{site.url}/models/clap.pt")
    assert first.kind == "laion"
    assert first.path.read_bytes() == checkpoint_bytes()
    assert resolve_clap(f"{site.url}/models/clap.pt") == first
    assert site.fetched == ["/models/clap.pt"]


def test_urls_that_differ_in_their_query_are_different_files(site: Site) -> None:
    site.files["/get"] = checkpoint_bytes()
    assert resolve_clap(f"{site.url}/get?id=1").path != resolve_clap(f"{site.url}/get?id=2").path


def test_any_filesystems_url_is_fetched() -> None:
    fsspec.filesystem("memory").pipe_file("/clap/checkpoint.pt", checkpoint_bytes())
    assert resolve_clap("memory://clap/checkpoint.pt").path.read_bytes() == checkpoint_bytes()


def test_a_web_page_in_the_place_of_a_checkpoint_is_not_kept(site: Site, tmp_path: Path) -> None:
    site.files["/clap.pt"] = b"<html>please log in</html>"
    with pytest.raises(ClapError, match=rf"{site.url}/clap.pt: what was fetched is no checkpoint.*a web page"):
        resolve_clap(f"{site.url}/clap.pt")
    assert not files_in(tmp_path / "cache")


def test_a_download_that_breaks_off_leaves_nothing_and_is_begun_anew(site: Site, tmp_path: Path) -> None:
    site.files["/clap.pt"] = checkpoint_bytes()
    site.cut = {"/clap.pt"}
    with pytest.raises(StorageError, match=r"fetching .*/clap.pt: it cannot be reached, or broke off"):
        resolve_clap(f"{site.url}/clap.pt")
    assert not files_in(tmp_path / "cache")
    site.cut.clear()
    assert resolve_clap(f"{site.url}/clap.pt").path.read_bytes() == checkpoint_bytes()


def test_a_url_where_nothing_is_is_named(site: Site) -> None:
    with pytest.raises(StorageError, match=r"/clap.pt: it does not exist there"):
        resolve_clap(f"{site.url}/clap.pt")


def test_no_password_and_no_token_of_a_url_is_told() -> None:
    url = closed_port().replace("://", "://someone:secret@") + "/clap.pt?token=hidden"
    with pytest.raises(StorageError) as error:
        resolve_clap(url)
    assert "secret" not in str(error.value)
    assert "hidden" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_put_where_the_message_says_is_taken() -> None:
    url = f"{closed_port()}/clap.pt"
    with pytest.raises(StorageError) as error:
        resolve_clap(url)
    place = Path(str(error.value).rpartition("put it at ")[2])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(checkpoint_bytes())
    assert resolve_clap(url) == ClapSource("laion", place)


@pytest.mark.parametrize("name", LAION_FILES)
def test_laions_names_are_fetched_from_their_place_on_the_hub(hub: Site, name: str) -> None:
    hub.files[f"/lukewys/laion_clap/resolve/main/{name}"] = checkpoint_bytes()
    assert resolve_clap(name) == ClapSource("laion", cached_path(name))
    resolve_clap(name)
    assert len(hub.fetched) == 1


def test_of_a_model_on_the_hub_only_what_is_needed_is_fetched(hub: Site) -> None:
    hub.models[NAME] = MODEL
    source = resolve_clap(NAME)
    assert source.kind == "huggingface"
    wanted = {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in source.path.iterdir()} == wanted
    assert {path.rpartition("/")[2] for path in hub.fetched} == wanted


def test_weights_of_the_older_format_are_fetched_where_there_are_no_others(hub: Site) -> None:
    hub.models[NAME] = {name: content for name, content in MODEL.items() if name != "model.safetensors"}
    assert (resolve_clap(f"hf://{NAME}").path / "pytorch_model.bin").read_bytes() == b"the same again"


def test_a_model_in_the_hubs_cache_needs_no_network(hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.models[NAME] = MODEL
    first = resolve_clap(NAME)
    point_hub_at(closed_port(), monkeypatch)
    assert resolve_clap(NAME) == first


def test_a_model_that_the_hub_does_not_have_is_named(hub: Site) -> None:
    with pytest.raises(ClapError, match=f"{NAME}: no such path here, and the hub has no model of that name"):
        resolve_clap(NAME)


def test_a_model_of_the_hub_without_tokenizer_is_refused_before_it_is_fetched(hub: Site) -> None:
    hub.models[NAME] = {name: content for name, content in MODEL.items() if not name.startswith("tokenizer")}
    with pytest.raises(ClapError, match=rf"{NAME} on the hub cannot be used: it lacks some of .*tokenizer.json"):
        resolve_clap(NAME)
    assert not hub.fetched


def test_a_name_on_the_hub_has_an_owner() -> None:
    with pytest.raises(ClapError, match=r"hf://clap names no model on the hub: give hf://owner/name"):
        resolve_clap("hf://clap")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (
            "630k-audioset-best.pt",
            ["/lukewys/laion_clap/resolve/main/630k-audioset-best.pt", "cache/clap/630k-audioset"],
        ),
        (NAME, ["config.json, model.safetensors or pytorch_model.bin", f"/{NAME}", "give the path of the folder"]),
    ],
)
def test_without_a_network_it_is_said_soon_what_to_fetch_and_where_to_put_it(where: str, told: list[str]) -> None:
    start = time.monotonic()
    with pytest.raises(StorageError) as error:
        resolve_clap(where)
    assert time.monotonic() - start < 10
    assert all(part in str(error.value) for part in told), str(error.value)


@pytest.mark.parametrize("where", ["630k-audioset-best.pt", NAME])
def test_a_hub_set_to_be_offline_is_not_asked(where: str, hub: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.models[NAME] = MODEL
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StorageError, match=r"HF_HUB_OFFLINE"):
        resolve_clap(where)
    assert not hub.fetched


@pytest.mark.slow
def test_the_hubs_own_environment_counts(hub: Site, tmp_path: Path) -> None:
    hub.models[NAME] = MODEL
    code = f"from pipeline.models.clap.source import resolve_clap as r; import sys; print(r({NAME!r}).path)\n"
    code += "assert not {'transformers', 'laion_clap'} & set(sys.modules)"
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "home"))

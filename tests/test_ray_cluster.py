"""`ray_cluster.yaml` is a cluster that Ray's launcher accepts, checked without a cloud."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from ray.autoscaler._private.util import fillout_defaults, validate_config

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ray_cluster.yaml").read_text()


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(TEXT)
    return loaded


@pytest.fixture
def filled(config: dict[str, Any]) -> dict[str, Any]:
    """The config as the launcher sees it, with Ray's defaults where it says nothing."""
    result: dict[str, Any] = fillout_defaults(deepcopy(config))
    return result


def test_it_fits_the_schema_of_the_installed_ray(config: dict[str, Any]) -> None:
    schema = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
    jsonschema.validate(config, json.loads(schema.read_text()))


def test_the_launcher_accepts_it_with_its_defaults_filled_in(filled: dict[str, Any]) -> None:
    validate_config(filled)


def test_a_misspelt_key_would_be_noticed(config: dict[str, Any]) -> None:
    config["available_node_types"]["gpu_worker"]["max_worker"] = 8
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(fillout_defaults(config))


def test_workers_scale_from_nothing_and_fit_the_clusters_bound(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    workers = {name: node for name, node in types.items() if name != config["head_node_type"]}
    assert {node["min_workers"] for node in workers.values()} == {0}
    assert types["gpu_worker"]["max_workers"] == 8
    assert types["gpu_worker"]["resources"]["GPU"] == 1
    assert "GPU" not in types["decode_worker"]["resources"]
    assert config["max_workers"] == sum(node["max_workers"] for node in workers.values())


def test_nothing_runs_on_the_head(config: dict[str, Any]) -> None:
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_no_command_is_inherited_and_no_nightly_installed(config: dict[str, Any], filled: dict[str, Any]) -> None:
    lists = [key for key in filled if key.endswith("_commands")]
    assert len(lists) == 6
    assert {key: filled[key] for key in lists} == {key: config[key] for key in lists}
    commands = " ".join(command for key in lists for command in filled[key])
    assert "ray-wheels" not in commands
    assert "dev0" not in commands


def test_the_ray_it_installs_is_one_the_project_allows() -> None:
    pinned = re.search(r"'ray\[default\]==([\d.]+)'", TEXT)
    allowed = re.search(r'"(ray\[default\][^"]*)"', (ROOT / "pyproject.toml").read_text())
    assert pinned
    assert allowed
    assert Version(pinned[1]) in Requirement(allowed[1]).specifier


def test_every_node_has_one_image_and_an_instance_profile(config: dict[str, Any]) -> None:
    nodes = [node["node_config"] for node in config["available_node_types"].values()]
    assert len({node["ImageId"] for node in nodes}) == 1
    assert all(node["IamInstanceProfile"].get("Name") for node in nodes)


def test_it_holds_no_credential_and_no_account() -> None:
    assert not re.search(r"AKIA|aws_secret|aws_access_key|arn:aws|\b\d{12}\b", TEXT)

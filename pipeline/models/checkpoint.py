"""An explainer as a directory on any fsspec URL: `config.json`, `*.safetensors`, `README.md`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.models.build import build_classifier, build_decoder
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url, open_filesystem, put_file
from pipeline.storage.retry import retrying
from schemas.errors import LmacError, in_a_line
from schemas.explainer_config import ExplainerConfig

CONFIG, CLASSIFIER, DECODER, README = (
    "config.json",
    "classifier.safetensors",
    "decoder.safetensors",
    "README.md",
)


class ExplainerError(LmacError):
    """A directory does not hold an explainer that can be loaded."""


@dataclass(frozen=True)
class LoadedExplainer:
    """An explainer's modules, frozen and in evaluation mode; `digest` is the SHA-256 of configuration and weights."""

    config: ExplainerConfig
    classifier: Classifier
    decoder: Decoder | None
    digest: str


def shipped() -> list[str]:
    """Return the names of the explainers that come with the package."""
    root = resources.files("pipeline.explainers")
    return sorted(entry.name for entry in root.iterdir() if (entry / CONFIG).is_file())


def resolve(name_or_url: str) -> str:
    """Return the URL of an explainer: that of a shipped one by its name, any other unchanged."""
    if name_or_url in shipped():
        return str(resources.files("pipeline.explainers") / name_or_url)
    return name_or_url


def save_explainer(
    url: str, config: ExplainerConfig, classifier: Classifier, decoder: Decoder | None, readme: str
) -> None:
    """Write an explainer directory, the configuration last, so that a directory with one is complete.

    Raises StorageError if the storage refuses or is out of reach.
    """
    fs, root = open_filesystem(url)
    files = _weight_files(classifier, decoder)
    files |= {README: readme.encode(), CONFIG: (config.model_dump_json(indent=2) + "\n").encode()}

    def write() -> None:
        fs.makedirs(root, exist_ok=True)
        if fs.exists(f"{root}/{CONFIG}"):
            fs.rm_file(f"{root}/{CONFIG}")
        for name, data in files.items():
            put_file(fs, f"{root}/{name}", data)

    with storage_errors(what := f"writing {display_url(url)}"):
        retrying(write, what=what)


def explainer_digest(config: ExplainerConfig, classifier: Classifier, decoder: Decoder | None) -> str:
    """Return the digest that an explainer will have once it is saved and loaded again."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    for data in _weight_files(classifier, decoder).values():
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def load_explainer(name_or_url: str) -> LoadedExplainer:
    """Load an explainer by its name or URL.

    Raises ExplainerError if there is none, its configuration is invalid, or a weight is missing, unexpected or of the
    wrong shape.
    """
    config, digest = load_config(name_or_url)
    classifier = build_classifier(config)
    digest.update(_load_weights(classifier, name_or_url, CLASSIFIER))
    decoder = None
    if config.decoder is not None:
        try:
            decoder = build_decoder(config, classifier)
        except ValueError as error:
            raise ExplainerError(f"{name_or_url}/{CONFIG}: {error}") from None
        digest.update(_load_weights(decoder, name_or_url, DECODER))
    for module in (classifier, decoder):
        if module is not None:
            module.eval().requires_grad_(False)
    return LoadedExplainer(config, classifier, decoder, digest.hexdigest())


def weights_digest(module: nn.Module, *words: str) -> str:
    """Return the SHA-256 of a module's weights by name, and of `words`, which state what else it depends on."""
    digest = hashlib.sha256(json.dumps(words).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def has_explainer(name_or_url: str) -> bool:
    """Return whether a directory holds an explainer's configuration."""
    return _read(name_or_url, CONFIG) is not None


def load_card(name_or_url: str) -> str:
    """Return an explainer's README, empty if it has none."""
    return (_read(name_or_url, README) or b"").decode()


def load_config(name_or_url: str) -> tuple[ExplainerConfig, hashlib._Hash]:
    """Load the configuration of an explainer; return it with a SHA-256 hash object already updated with it.

    Raises ExplainerError as `load_explainer` does.
    """
    text = _read(name_or_url, CONFIG)
    if text is None:
        raise ExplainerError(
            f"no explainer at {name_or_url!r} ({CONFIG} is missing): pass a directory that "
            f"`lmac train` wrote, or one of the shipped ones: {', '.join(shipped())}"
        )
    try:
        config = ExplainerConfig.model_validate_json(text)
    except ValidationError as error:
        raise ExplainerError(f"{name_or_url}/{CONFIG} is not understood: {in_a_line(error)}") from None
    return config, hashlib.sha256(config.model_dump_json().encode())


def _read(name_or_url: str, file: str) -> bytes | None:
    fs, root = open_filesystem(resolve(name_or_url))
    with storage_errors(what := f"reading {display_url(name_or_url)}/{file}"):
        try:
            return bytes(retrying(lambda: fs.cat_file(f"{root}/{file}"), what=what))
        except FileNotFoundError:
            return None


def _weight_files(classifier: Classifier, decoder: Decoder | None) -> dict[str, bytes]:
    files = {CLASSIFIER: safetensors.torch.save(_weights(classifier))}
    return files if decoder is None else {**files, DECODER: safetensors.torch.save(_weights(decoder))}


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _load_weights(module: nn.Module, name_or_url: str, file: str) -> bytes:
    what = f"{display_url(name_or_url)}/{file}"
    data = _read(name_or_url, file)
    if data is None:
        raise ExplainerError(f"{what} is missing, but {CONFIG} exists: the directory is incomplete")
    try:
        weights = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ExplainerError(f"{what} is not a safetensors file: {error}") from None
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | weights.keys()):
        if name not in weights:
            raise ExplainerError(f"{what} lacks the weight {name!r} that {CONFIG} requires")
        if name not in wanted:
            raise ExplainerError(f"{what} has a weight {name!r} that {CONFIG} does not describe")
        if weights[name].shape != wanted[name].shape:
            raise ExplainerError(
                f"{what}: weight {name!r} is {tuple(weights[name].shape)}, "
                f"{CONFIG} requires {tuple(wanted[name].shape)}"
            )
    module.load_state_dict(weights)
    return hashlib.sha256(data).digest()

"""Turn a user's prompts into a class bank: the classes of a zero-shot classifier, embedded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.clap import ClapError
from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url, is_url, open_filesystem
from pipeline.storage.retry import retrying
from schemas.class_bank import PLACEHOLDER, ClassBankConfig, check_prompts, check_templates

SEPARATOR, COMMENT = ";", "#"
_FILE_SUFFIX = ".txt"
# Above this cosine the logits of two classes are practically equal for any audio.
_SAME_COSINE = 0.99999


class Embedder(Protocol):
    """What a class bank needs from a text encoder."""

    digest: str

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [n, D], each of unit length."""


@dataclass(frozen=True)
class ClassBank:
    """Classes from prompts; `embeddings` [C, D], float32, each of unit length, in the order of `config.prompts`."""

    config: ClassBankConfig
    embeddings: Tensor


def parse_prompts(given: str) -> tuple[str, ...]:
    """Parse prompts from a text like `"a dog barking; rain on a roof"`, or from a .txt file or URL with one per line.

    Spaces are trimmed and runs collapsed to one. In a file, blank lines and those that begin with `#` are skipped.
    Raises ClapError if there is no prompt, one has no letters, two are equal, or the file is missing or not text.
    """
    in_file = SEPARATOR not in given and (is_url(given.strip()) or given.strip().lower().endswith(_FILE_SUFFIX))
    where = display_url(given.strip()) if in_file else "the prompts"
    prompts = _lines(given.strip(), where) if in_file else _trimmed(given.split(SEPARATOR))
    try:
        check_prompts(prompts)
    except ValueError as error:
        raise ClapError(f"{where}: {error}") from None
    return prompts


def make_class_bank(encoder: Embedder, prompts: Sequence[str], templates: Sequence[str] = (PLACEHOLDER,)) -> ClassBank:
    """Embed each prompt in every template; the class embedding is the normalised mean of these.

    This is the prompt ensembling of CLIP (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).
    Raises ClapError for invalid prompts or templates, for those that the encoder refuses, and for two prompts with
    practically the same embedding.
    """
    try:
        check_prompts(prompts)
        check_templates(templates)
    except ValueError as error:
        raise ClapError(str(error)) from None
    texts = [template.replace(PLACEHOLDER, prompt) for prompt in prompts for template in templates]
    each = encoder.embed(texts).view(len(prompts), len(templates), -1)
    embeddings = F.normalize(each.mean(dim=1), dim=-1)
    _check_apart(embeddings, prompts)
    config = ClassBankConfig(prompts=tuple(prompts), templates=tuple(templates), text_encoder=encoder.digest)
    return ClassBank(config, embeddings)


def _trimmed(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the prompts with single spaces, without the empty ones."""
    return tuple(prompt for prompt in (" ".join(prompt.split()) for prompt in prompts) if prompt)


def _lines(url: str, where: str) -> tuple[str, ...]:
    fs, path = open_filesystem(url)
    with storage_errors(what := f"reading prompts from {where}"):
        try:
            content: bytes = retrying(lambda: fs.cat_file(path), what=what)
        except FileNotFoundError:
            raise ClapError(
                f"{where}: there is no such file of prompts; prompts on the command line are separated by {SEPARATOR!r}"
            ) from None
        except IsADirectoryError:
            raise ClapError(f"{where} is a directory: give a file with one prompt a line") from None
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ClapError(f"{where} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    for number, line in enumerate(lines, 1):
        if SEPARATOR in line and not line.lstrip().startswith(COMMENT):
            raise ClapError(
                f"{where}, line {number}: {line.strip()!r} holds {SEPARATOR!r}; a file holds one prompt a line"
            )
    return _trimmed([line for line in lines if not line.lstrip().startswith(COMMENT)])


def _check_apart(embeddings: Tensor, prompts: Sequence[str]) -> None:
    exact = embeddings.double()
    cosines = torch.triu(exact @ exact.T, diagonal=1)
    closest = int(cosines.argmax())
    first, second = divmod(closest, len(prompts))
    cosine = float(cosines[first, second])
    if cosine > _SAME_COSINE:
        raise ClapError(
            f"the text encoder does not tell {prompts[first]!r} from {prompts[second]!r} (cosine "
            f"{cosine:.6f}): leave one out or reword it"
        )

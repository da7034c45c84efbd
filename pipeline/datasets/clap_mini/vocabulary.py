"""The tokenizer: a byte-level BPE learnt from captions, which can encode every text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from pipeline.datasets.clap_mini.captions import Captioner
from pipeline.datasets.clap_mini.contents import Contents, Event
from pipeline.datasets.scenes import BACKGROUNDS, CLASSES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# The special tokens of RoBERTa, in its order, which counts positions from the padding token's number.
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_SAMPLES = 20_000


def train_tokenizer(captions: Iterable[str], vocabulary: int, max_tokens: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909) of at most `vocabulary` tokens.

    Texts are converted to lower case. The alphabet is the 256 bytes, so that no text has an unknown token.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
    # A word has the same tokens at the beginning of a text as within it.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    begin, pad, end, unknown, mask = SPECIAL
    ids = {token: tokenizer.token_to_id(token) for token in (begin, end)}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=list(ids.items())
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        bos_token=begin,
        eos_token=end,
        cls_token=begin,
        sep_token=end,
        pad_token=pad,
        unk_token=unknown,
        mask_token=mask,
    )


def training_captions(seed: int, count: int = _SAMPLES) -> list[str]:
    """Draw captions of every sort used in training, without their mixtures."""
    rng, captioner = np.random.default_rng([seed, 0xCA97]), Captioner(distances=0.5)
    captions = []
    for _ in range(count):
        kinds = rng.choice(len(CLASSES), int(rng.integers(0, 3)), replace=False)
        events = tuple(Event(CLASSES[kind], float(rng.uniform(-5, 20))) for kind in kinds)
        background = str(rng.choice(BACKGROUNDS)) if rng.random() < 0.8 else None
        captions.append(captioner.caption(Contents(events, background), rng).text)
    return captions

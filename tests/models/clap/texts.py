"""Small text encoders with random weights, in both formats, and small tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.models.clap.configuration_clap import ClapAudioConfig, ClapConfig, ClapTextConfig
from transformers.models.clap.modeling_clap import ClapModel
from transformers.models.roberta.configuration_roberta import RobertaConfig
from transformers.models.roberta.modeling_roberta import RobertaModel

from pipeline.models.clap.text_tower import RobertaTower

SENTENCES = ["a dog barking", "rain on a roof", "the sound of a siren, far away", "an engine idles", "café, cafe"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
VOCABULARY = 280
TOWER = RobertaTower(
    vocabulary=VOCABULARY, hidden=32, layers=2, heads=2, intermediate=48, positions=80, projection=16, max_tokens=77
)


def bpe() -> Tokenizer:
    """Byte pairs as RoBERTa's, learnt from a few sentences."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator(SENTENCES, trainer)
    return made


def words(pad_to: int = VOCABULARY) -> Tokenizer:
    """Whole words, without accents, up to a number of tokens."""
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    filling = [f"word{number}" for number in range(pad_to)]
    made.train_from_iterator(
        [*SENTENCES * 2, *filling], trainers.WordLevelTrainer(vocab_size=pad_to, special_tokens=SPECIAL)
    )
    return made


def save_tokenizer(folder: Path, made: Tokenizer, pad: str = "<pad>") -> None:
    """Write a tokenizer as transformers does, with RoBERTa's special tokens."""
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>"}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, **special, pad_token=pad, mask_token="<mask>")
    wrapped.model_max_length = 40
    wrapped.save_pretrained(folder)


def save_huggingface(folder: Path, seed: int = 0) -> Path:
    """Write the directory of a small ClapModel, its tokenizer too."""
    torch.manual_seed(seed)
    text = ClapTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=50,
        initializer_factor=5.0,
    )
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8, depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], hidden_size=64
    )
    config = ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)
    ClapModel(config).save_pretrained(folder)
    save_tokenizer(folder, bpe())
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


class LaionText(nn.Module):
    """The text side of laion_clap.clap_module.model.CLAP, of another size."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        config = RobertaConfig(
            vocab_size=TOWER.vocabulary,
            hidden_size=TOWER.hidden,
            num_hidden_layers=TOWER.layers,
            num_attention_heads=TOWER.heads,
            intermediate_size=TOWER.intermediate,
            max_position_embeddings=TOWER.positions,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            initializer_range=0.2,
        )
        self.text_branch = RobertaModel(config)
        size = TOWER.projection
        self.text_projection = nn.Sequential(nn.Linear(TOWER.hidden, size), nn.ReLU(), nn.Linear(size, size))
        self.text_transform = nn.Linear(size, size)
        self.audio_projection = nn.Linear(4, size)
        self.logit_scale_a = nn.Parameter(torch.tensor(2.0))
        self.eval()

    @torch.no_grad()
    def get_text_embedding(self, tokens: Any) -> Tensor:
        """As the original's method of that name."""
        x = self.text_branch(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])["pooler_output"]
        return nn.functional.normalize(self.text_projection(x), dim=-1)


def laion_checkpoint(model: LaionText) -> dict[str, Any]:
    """What laion's training saves: more than weights, under the names of a model in parallel."""
    state = {f"module.{name}": weight for name, weight in model.state_dict().items()}
    state["module.text_branch.embeddings.position_ids"] = torch.arange(TOWER.positions)[None]
    return {"epoch": 15, "name": "training", "state_dict": state, "accuracy": np.float64(0.9)}


def save_laion(folder: Path, model: LaionText) -> Path:
    """Write a checkpoint, with RoBERTa's two files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(laion_checkpoint(model), folder / "checkpoint.pt")
    bpe().model.save(str(folder))
    return folder / "checkpoint.pt"

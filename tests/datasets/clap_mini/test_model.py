from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.datasets.clap_mini.contents import Contents, Event
from pipeline.datasets.clap_mini.measure import class_embeddings, evaluate_zero_shot, load_saved, present_auroc
from pipeline.datasets.clap_mini.mixture_bank import make_mixture_bank
from pipeline.datasets.clap_mini.model import build_clap, save_clap
from pipeline.datasets.clap_mini.task import ClapMiniTask
from pipeline.datasets.clap_mini.train import train_clap_mini
from pipeline.datasets.clap_mini.unseen import embed_log_mel, embed_texts, unseen_scenes
from pipeline.datasets.clap_mini.vocabulary import train_tokenizer, training_captions
from pipeline.datasets.scenes import CLASSES
from pipeline.lmac.prefetch import prefetched
from pipeline.models.clap.audio import load_clap_audio
from pipeline.training.loop import Progress
from pipeline.training.workspace import Reporter
from schemas.clap_mini_config import ClapMiniRecipe
from tests.datasets.clap_mini.make import TINY

TEXTS = ["a dog barking", "Rain on a roof", "an accordion, of which nothing was read"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(training_captions(0, 3000), TINY.text.vocabulary, TINY.text.max_tokens)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    return build_clap(TINY, tokenizer).eval()


@pytest.fixture(scope="module")
def saved(model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clap") / "mini"
    save_clap(folder, model, tokenizer, TINY)
    return folder


def test_the_defaults_are_small_enough_to_ship() -> None:
    tokenizer = train_tokenizer(["a dog"], 1000, 64)
    model = build_clap(ClapMiniRecipe(), tokenizer)
    words = ClapMiniRecipe().text.vocabulary * ClapMiniRecipe().text.hidden
    assert sum(weight.numel() for weight in model.parameters()) + words < 5_000_000


def test_no_text_has_an_unknown_token_and_two_texts_have_two(tokenizer: Any) -> None:
    ids = tokenizer(TEXTS)["input_ids"]
    assert len({tuple(row) for row in ids}) == len(TEXTS)
    assert all(tokenizer.unk_token_id not in row for row in ids)
    assert all((row[0], row[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id) for row in ids)
    assert tokenizer("A Dog barking")["input_ids"] == tokenizer("a dog barking")["input_ids"]


def test_the_saved_directory_is_a_clap_model_with_the_same_outputs(saved: Path, model: Any, tokenizer: Any) -> None:
    from transformers import AutoTokenizer, ClapModel

    theirs = ClapModel.from_pretrained(str(saved), local_files_only=True).eval()
    read = AutoTokenizer.from_pretrained(str(saved), local_files_only=True)
    assert read(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    with torch.no_grad():
        assert torch.allclose(embed_texts(theirs, read, TEXTS), embed_texts(model, tokenizer, TEXTS), atol=1e-5)
        log_mel = unseen_scenes(TINY.front_end, 1, 3).log_mel
        assert torch.allclose(embed_log_mel(theirs, log_mel), embed_log_mel(model, log_mel), atol=1e-5)


def test_our_own_loaders_give_the_same_outputs(saved: Path, model: Any, tokenizer: Any) -> None:
    clap = load_saved(saved)
    assert clap.audio.front_end.config == TINY.front_end
    assert load_clap_audio(saved).config.model_dump(exclude={"prompts"}) == TINY.audio.model_dump(exclude={"prompts"})
    with torch.no_grad():
        assert torch.allclose(clap.text.embed(TEXTS), embed_texts(model, tokenizer, TEXTS), atol=1e-5)
        log_mel = unseen_scenes(TINY.front_end, 1, 3).log_mel
        ours = clap.audio.from_log_mel(log_mel).embedding
    assert torch.allclose(ours, embed_log_mel(model, log_mel), atol=1e-4)


def test_transformers_feature_extractor_hears_the_same(saved: Path) -> None:
    from transformers import ClapFeatureExtractor

    from pipeline.datasets.scenes import SceneConfig, render_scene

    extract = ClapFeatureExtractor.from_pretrained(str(saved), local_files_only=True)
    waveform = render_scene(1, 0, SceneConfig(16_000, 1.0)).mixture
    theirs = extract(waveform, sampling_rate=16_000, return_tensors="pt")["input_features"][0, 0]
    ours = unseen_scenes(TINY.front_end, 1, 1).log_mel[0]
    # Theirs computes in float64, which shows in bands that are nearly silent.
    assert (theirs - ours).abs().max() < 0.05


@pytest.mark.slow
def test_eight_pairs_are_learnt_by_heart(tokenizer: Any, tmp_path: Path) -> None:
    mixture = TINY.training.mixture.model_copy(update={"snr_db": (15.0, 20.0)})
    changes = {
        **dict.fromkeys(("noise", "drop_bands", "drop_spans", "gain_db", "stray_words", "silence"), 0),
        **dict.fromkeys(("no_event", "no_background", "two_events", "distances"), 0),
        "mixtures": 8,
        "mixture": mixture,
    }
    recipe = TINY.model_copy(update={"training": TINY.training.model_copy(update=changes)})
    torch.manual_seed(0)
    task = ClapMiniTask(build_clap(recipe, tokenizer), tokenizer, make_mixture_bank(tmp_path, recipe), None, recipe)
    task.module.train()
    optimizer = torch.optim.AdamW(task.module.parameters(), 1e-3)
    (eight,) = prefetched(task.read, [torch.arange(8)], torch.device("cpu"))
    losses, hits = [], []
    for _ in range(80):
        # The same draws over and over: the same captions of the same eight.
        loss, scores = task.loss(eight, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(scores["loss"]))
        hits.append(float(scores["hits"]))
    assert losses[-1] < 0.3 * losses[0]
    assert hits[-1] == 1.0


def test_the_loss_is_drawn_from_the_generator_alone(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    task = ClapMiniTask(model, tokenizer, make_mixture_bank(tmp_path, TINY), None, TINY)
    (eight,) = prefetched(task.read, [torch.arange(8)], torch.device("cpu"))
    first, again, other = (
        float(task.loss(eight, torch.Generator().manual_seed(seed))[0].detach()) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.slow
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818 - it is no error
        pass

    class Killer(Reporter):
        def epoch(self, progress: Progress) -> None:
            if progress.epoch == 1:
                raise Killed

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    scores = train_clap_mini(whole, TINY)
    with pytest.raises(Killed):
        train_clap_mini(cut, TINY, Killer())
    assert train_clap_mini(cut, TINY) == scores
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not (whole / "training").exists()


def test_a_saved_clap_is_evaluated(saved: Path) -> None:
    scores = evaluate_zero_shot(load_saved(saved), scenes=10, mixtures=6)
    assert (scores.scenes, scores.mixtures) == (10, 6)
    assert 0 <= scores.single_worst <= scores.single_mean <= 1
    assert 0 <= scores.recall_1 <= scores.recall_5 <= 1


def test_class_embeddings_lie_by_class(saved: Path) -> None:
    text = load_saved(saved).text
    found = class_embeddings(text, [("a dog", "dogs"), ("rain", "raindrops")], ("{}", "i hear {}"))
    assert found.shape == (2, 4, 32)
    assert torch.allclose(found[1, 1], text.embed(["i hear rain"])[0], atol=1e-6)
    with pytest.raises(ValueError, match="as many names"):
        class_embeddings(text, [("a dog",), ("rain", "raindrops")], ("{}",))


def test_present_events_above_all_others_are_an_auroc_of_one() -> None:
    contents = [Contents((Event(CLASSES[2], 3.0), Event(CLASSES[5], 3.0)), "traffic")]
    similarity = torch.zeros(1, len(CLASSES))
    assert present_auroc(similarity, contents) == 0.5
    similarity[0, [2, 5]] = 1.0
    assert present_auroc(similarity, contents) == 1.0
    assert present_auroc(-similarity, contents) == 0.0

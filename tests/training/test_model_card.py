from __future__ import annotations

from pipeline.training.model_card import model_card


def test_the_card_holds_what_how_and_each_set_s_scores() -> None:
    card = model_card("birds", "classifier", "trained on 40 recordings", "lmac train x", {"test": {"accuracy": 0.9}})
    assert card.startswith("# birds\n")
    for piece in ("Trained on 40 recordings.", "lmac train x", "| test |", "| accuracy | 0.900 | share of recordings"):
        assert piece in card


def test_scores_that_a_reader_cannot_place_are_left_out() -> None:
    assert "score" not in model_card("n", "classifier", "x", "y", {"test": {"score": 0.5, "train_loss": 1.0}})


def test_the_card_of_a_decoder_keeps_its_classifier_s() -> None:
    base = model_card("birds", "classifier", "trained on 40 recordings", "c", {})
    card = model_card("birds", "decoder", "trained on 30 recordings", "d", {"test": {"ff": 0.4}}, base)
    assert card.startswith(base.rstrip())
    assert card.count("# birds\n") == 1
    assert "Trained on 30 recordings" in card

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.attribution.baselines import BASELINES
from pipeline.attribution.method import Method
from pipeline.evaluation.methods import chosen_baselines, classifier_digest, compared_methods, relevance_of
from pipeline.evaluation.names import EvaluationError
from pipeline.lmac.explainer import Explainer
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import save_explainer
from tests.evaluation.make import window_batch
from tests.models.clap.make import explainer_config, small_clap
from tests.models.make import CONFIG, small_models


def explainer(seed: int = 0) -> Explainer:
    return Explainer(CONFIG, *small_models(seed), digest=f"digest-{seed}")


def saved(folder: Path, seed: int) -> str:
    save_explainer(str(folder), CONFIG, *small_models(seed), "")
    return str(folder)


def clap() -> Explainer:
    config = explainer_config(1.0)
    classifier = small_clap(front_end=config.front_end)
    return Explainer(config, classifier, build_decoder(config, classifier))


def test_the_explainer_comes_first_and_baselines_in_their_order() -> None:
    found = compared_methods(explainer(), ["saliency", "random"], {}, None, 0)
    assert [one.name for one in found] == ["lmac", "saliency", "random"]


def test_all_are_all_and_the_explainer_alone_is_alone() -> None:
    assert chosen_baselines(["all"], explainer()) == (list(BASELINES), {})
    assert chosen_baselines(["lmac"], explainer()) == ([], {})


def test_baselines_come_in_the_order_of_tables() -> None:
    assert chosen_baselines(["random", "deeplift", "saliency"], explainer())[0] == ["saliency", "deeplift", "random"]


@pytest.mark.parametrize(
    "written", ["integrated gradients", "integrated_gradients", "Integrated-Gradients", "INTEGRATED GRADIENTS"]
)
def test_a_method_may_be_written_as_it_is_printed(written: str) -> None:
    assert chosen_baselines([written, "Grad-CAM"], explainer()) == (["integrated_gradients", "gradcam"], {})


def test_a_method_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(EvaluationError, match=r"--methods: 'lime' is not known: choose from lmac, saliency, .*, all"):
        chosen_baselines(["lime"], explainer())


def test_of_all_those_that_do_not_suit_the_classifier_are_left_out_with_the_reason() -> None:
    suited, left_out = chosen_baselines(["all"], clap())
    assert list(left_out) == ["deeplift", "guided_backprop", "guided_gradcam"]
    assert all("GELUActivation" in reason for reason in left_out.values())
    assert suited == [name for name in BASELINES if name not in left_out]
    assert chosen_baselines(["gradcam", "saliency"], clap()) == (["saliency", "gradcam"], {})


@pytest.mark.parametrize("methods", [["saliency", "guided_backprop"], ["all", "guided_backprop"]])
def test_one_that_is_named_and_does_not_suit_the_classifier_is_refused_with_those_that_do(methods: list[str]) -> None:
    message = (
        r"--methods guided_backprop does not suit small clap, whose classifier is of the kind 'clap': made for ReLUs, "
        r".*LayerNorm.*; choose from lmac, saliency, .*, gradient_shap, gradcam, occlusion, .*constant, or all$"
    )
    with pytest.raises(EvaluationError, match=message):
        chosen_baselines(methods, clap())


def test_another_decoder_of_the_same_classifier_is_compared(tmp_path: Path) -> None:
    other = CONFIG.model_copy(update={"mask_domain": "log1p"})
    save_explainer(str(tmp_path / "other"), other, *small_models(0), "")
    found = compared_methods(explainer(), [], {"reference": str(tmp_path / "other")}, None, 0)
    assert [(one.name, one.domain) for one in found] == [("lmac", "magnitude"), ("reference", "log1p")]


def test_a_decoder_of_another_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="explains another classifier than small"):
        compared_methods(explainer(0), [], {"other": saved(tmp_path / "other", seed=1)}, None, 0)


def test_two_other_decoders_whose_names_print_alike_are_refused(tmp_path: Path) -> None:
    same = saved(tmp_path / "same", seed=0)
    with pytest.raises(EvaluationError, match=r"--against My-decoder=\.\.\. has a name that means another method"):
        compared_methods(explainer(), [], {"my decoder": same, "My-decoder": same}, None, 0)


@pytest.mark.parametrize("name", ["saliency", "Input x gradient", "lmac", "L-MAC", "ideal"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=f"--against {name}=... has a name that means another method"):
        compared_methods(explainer(), ["saliency"], {name: saved(tmp_path / "same", seed=0)}, None, 0)


def test_a_baseline_depends_on_the_classifier_and_the_explainer_on_its_decoder() -> None:
    first = compared_methods(explainer(0), ["saliency"], {}, None, 0)
    trained = Explainer(CONFIG, small_models(0)[0], small_models(1)[1], digest="another decoder")
    again = compared_methods(trained, ["saliency"], {}, None, 0)
    other = compared_methods(explainer(1), ["saliency"], {}, None, 0)
    assert first[1].digest == again[1].digest != other[1].digest
    assert first[0].digest != again[0].digest


def test_a_classifier_is_its_weights_and_its_labels_wherever_they_lie() -> None:
    classifier = small_models(0)[0]
    digest = classifier_digest(classifier, ("a", "b"))
    assert digest == classifier_digest(small_models(0)[0].to(memory_format=torch.channels_last), ("a", "b"))  # type: ignore[call-overload]
    assert digest != classifier_digest(classifier, ("b", "a"))
    assert digest != classifier_digest(small_models(1)[0], ("a", "b"))


def test_a_method_gets_no_larger_batches_than_it_bears() -> None:
    sizes: list[int] = []

    def attribute(magnitude: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        sizes.append(len(target))
        return magnitude * 2

    one = window_batch(5)
    relevance = relevance_of(Method("double", attribute, ("relu_max",), largest_batch=2))(one)
    assert sizes == [2, 2, 1]
    assert torch.equal(relevance, one.magnitude * 2)


def test_refined_masks_stand_beside_the_decoders_own_and_differ_from_them() -> None:
    one = window_batch(2, small_models(0)[0])
    own, refined = compared_methods(explainer(), [], {}, 2, 0)
    assert refined.name == "lmac_refine_2"
    assert refined.digest != own.digest
    masks = [torch.sigmoid(each.relevance(one)) for each in (own, refined)]
    assert masks[0].shape == masks[1].shape
    assert not torch.equal(*masks)


def test_every_method_can_be_made_for_another_classifier() -> None:
    first, second = small_models(0)[0], small_models(1)[0]
    one = window_batch(2, first)
    for found in compared_methods(explainer(0), ["input_x_gradient"], {}, None, 0):
        assert found.build is not None
        rebuilt = [relevance_of(found.build(classifier))(one) for classifier in (first, second)]
        assert torch.allclose(rebuilt[0], found.relevance(one), atol=1e-5)
        assert not torch.allclose(rebuilt[1], rebuilt[0], atol=1e-3)

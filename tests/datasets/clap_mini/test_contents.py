from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.datasets.clap_mini.contents import Contents, Event, Named, Statement, holding, holds
from pipeline.datasets.clap_mini.contrast import soft_contrastive

DOG, SIREN = Event("dog_bark", 15.0), Event("siren", 0.0)


@pytest.mark.parametrize(
    ("says", "contents", "true"),
    [
        (Statement((Named("dog_bark"),)), Contents((DOG, SIREN), "traffic"), True),
        (Statement((Named("dog_bark"), Named("siren"))), Contents((DOG, SIREN), "traffic"), True),
        (Statement((Named("dog_bark"), Named("siren"))), Contents((DOG,), "traffic"), False),
        (Statement((Named("dog_bark", "near"),)), Contents((DOG, SIREN)), True),
        (Statement((Named("dog_bark", "far"),)), Contents((DOG, SIREN)), False),
        (Statement((Named("dog_bark"),), "traffic"), Contents((DOG,), "babble"), False),
        (Statement((), "traffic"), Contents((DOG,), "traffic"), True),
        (Statement((), "traffic"), Contents((DOG,)), False),
        (Statement((), "traffic"), Contents(), False),
        (Statement(), Contents(), True),
        (Statement(), Contents((), "traffic"), False),
        (Statement(), Contents((DOG,)), False),
        (Statement((Named("dog_bark"),)), Contents(), False),
    ],
)
def test_what_is_said_holds_where_all_of_it_is_there(says: Statement, contents: Contents, true: bool) -> None:
    assert holds(says, contents) is true


@pytest.mark.parametrize(
    ("snr_db", "distance"), [(12.0, "near"), (11.9, None), (2.1, None), (2.0, "far"), (-5.0, "far"), (None, None)]
)
def test_near_is_loud_over_the_background_and_far_is_not(snr_db: float | None, distance: str | None) -> None:
    assert Event("siren", snr_db).distance == distance


def test_a_part_of_what_is_there_is_no_negative() -> None:
    contents = [Contents((DOG, SIREN), "traffic"), Contents((DOG,), "babble"), Contents((), "traffic")]
    says = [Statement((Named("siren"),)), Statement((Named("dog_bark"),)), Statement((), "traffic")]
    assert holding(says, contents).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_with_one_positive_each_the_loss_is_clips() -> None:
    logits = 3 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    own = torch.arange(5)
    expected = 0.5 * (cross_entropy(logits, own) + cross_entropy(logits.T, own))
    assert torch.allclose(soft_contrastive(logits, logits.T, torch.eye(5)), expected)


def test_the_loss_does_not_push_apart_what_holds() -> None:
    held = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logits = torch.zeros(3, 3, requires_grad=True)
    soft_contrastive(logits, logits.T, held).backward()
    assert logits.grad is not None
    assert ((logits.grad < 0) == held.T.bool()).all()


def test_a_caption_that_holds_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="each caption must hold"):
        soft_contrastive(torch.zeros(2, 2), torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))

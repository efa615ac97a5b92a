"""The head cannot tell left from right; the losses say what they claim."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")

from models.preference.preference_head import PreferenceHead  # noqa: E402
from models.preference.preference_losses import (  # noqa: E402
    distillation_loss,
    identity_loss,
    outcome_loss,
)

SWAPPED = [1, 0, 2]


@pytest.fixture
def head() -> PreferenceHead:
    torch.manual_seed(0)
    made = PreferenceHead(8, hidden=4)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def test_exchanging_sides_exchanges_logits_to_the_last_bit(head: PreferenceHead) -> None:
    a, b = torch.randn(2, 50, 8)
    logits = head(a, b)
    assert torch.equal(head(b, a), logits[:, SWAPPED])
    assert logits.std(0).min() > 0.1


def test_identical_responses_have_no_margin(head: PreferenceHead) -> None:
    a = torch.randn(5, 8)
    logits = head(a, a)
    assert torch.equal(logits[:, 0], logits[:, 1])
    assert not logits[:, 0].any()


def test_a_new_head_predicts_the_uniform_distribution() -> None:
    logits = PreferenceHead(8)(torch.randn(5, 8), torch.randn(5, 8))
    assert not logits.any()


def test_the_head_stays_in_float32_under_autocast(head: PreferenceHead) -> None:
    a = torch.randn(200, 8)
    b = a + 1e-3 * torch.randn(200, 8)
    exact = head(a, b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


def test_a_swapped_battle_trains_exactly_the_same(head: PreferenceHead) -> None:
    # Why there is no setting for swapping sides at random.
    a, b = torch.randn(2, 20, 8)
    labels = torch.randint(0, 3, (20,))
    known = torch.ones(20, dtype=torch.bool)

    def gradients(left: torch.Tensor, right: torch.Tensor, to: torch.Tensor) -> list[torch.Tensor]:
        head.zero_grad()
        outcome_loss(head(left, right), to, known).sum().backward()
        return [parameter.grad.clone() for parameter in head.parameters()]

    swapped = torch.where(labels < 2, 1 - labels, labels)
    for one, other in zip(gradients(a, b, labels), gradients(b, a, swapped), strict=True):
        torch.testing.assert_close(one, other)


def test_two_class_loss_leaves_the_tie_alone() -> None:
    logits = torch.tensor([[0.3, -0.3, 2.0], [0.3, -0.3, 2.0]], requires_grad=True)
    losses = outcome_loss(logits, torch.tensor([0, 0]), torch.tensor([True, False]))
    three = -math.log(math.exp(0.3) / (math.exp(0.3) + math.exp(-0.3) + math.exp(2.0)))
    two = -math.log(math.exp(0.3) / (math.exp(0.3) + math.exp(-0.3)))
    torch.testing.assert_close(losses, torch.tensor([three, two]))
    losses.sum().backward()
    assert logits.grad[1, 2] == 0
    assert logits.grad[0, 2] > 0


def test_label_smoothing() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    log_probabilities = logits.log_softmax(1)[0]
    expected = -(0.8 * log_probabilities[0] + 0.2 * log_probabilities.mean())
    found = outcome_loss(logits, torch.tensor([0]), torch.tensor([True]), label_smoothing=0.2)
    torch.testing.assert_close(found[0], expected)


def test_distillation_is_least_at_the_teacher() -> None:
    soft = torch.tensor([[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]])
    teacher = soft.clamp(min=1e-7).log()
    known = torch.tensor([True, True])
    at_teacher = distillation_loss(teacher, soft, known)
    torch.testing.assert_close(at_teacher, torch.zeros(2), atol=1e-6, rtol=0)
    assert (distillation_loss(teacher + torch.tensor([0.5, 0, 0]), soft, known)[0]) > 1e-3


def test_votes_of_a_source_without_ties_leave_the_ties_logit_alone() -> None:
    votes = torch.tensor([[0.75, 0.25, 0.0], [0.75, 0.25, 0.0], [0.5, 0.3, 0.2]])
    logits = torch.zeros(3, 3, requires_grad=True)
    distillation_loss(logits, votes, torch.tensor([False, True, False])).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert logits.grad[0, 0] < 0
    # Where ties are known there were none, and a teacher that states them knows of them.
    assert logits.grad[1, 2] > 0
    assert logits.grad[2, 2] > 0


def test_identity_loss_skips_unknown_models() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    losses = identity_loss(logits, torch.tensor([2, -1, 0]))
    assert losses[1] == 0
    assert (losses[[0, 2]] > 0).all()
    losses.sum().backward()
    assert not logits.grad[1].any()

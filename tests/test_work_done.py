"""How much is calculated for an edit that is aimed, and is what is left out really not needed?

Work is counted, not timed: passes through the model, places at which a landscape settles (nearly all the products), and
tokens that are sampled. The limits lie a third above what is needed now, so that doing something twice is noticed.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from energylang import Session
from energylang.concepts import aiming, controls, methods
from energylang.concepts.recognising import LIKELIER, Recogniser
from energylang.models import likelihoods, sampling
from energylang.models.attention import head
from energylang.models.hopfield import network
from energylang.models.hopfield.settling import settle
from energylang.models.protocol import Change
from energylang.models.text import TextModel

POLITE = ("Thank you so much for asking, I am glad to help.", "It is a pleasure to help you, please go on.")
LAST = 3
PASSES, SETTLED, SAMPLED = 550, 580_000, 10_500
"""Limits for the small edit below; 411, 433,730 and 7,839 when they were set."""


class Counts:
    """What was done while it was looked: ``passes``, ``settled`` places, ``sampled`` tokens."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.passes = self.settled = self.sampled = 0
        run, rest, drawn = TextModel.run, network.settle, sampling._draw

        def counted_run(*args: object, **kwargs: object) -> object:
            self.passes += 1
            return run(*args, **kwargs)  # type: ignore[arg-type]

        def counted_settle(weight: Tensor, log_beta: Tensor, drive: Tensor, *rest_of: object) -> Tensor:
            self.settled += drive.numel() // drive.shape[-1]
            return rest(weight, log_beta, drive, *rest_of)  # type: ignore[arg-type]

        def counted_draw(model: TextModel, logits: Tensor, *rest_of: object) -> list[int]:
            self.sampled += len(logits)
            return drawn(model, logits, *rest_of)  # type: ignore[arg-type]

        patch.setattr(TextModel, "run", counted_run)
        patch.setattr(network, "settle", counted_settle)
        patch.setattr(sampling, "_draw", counted_draw)


@pytest.fixture(scope="module")
def session() -> Session:
    found = Session("tiny")
    for text in POLITE:
        found.capture(LAST, "polite", text)
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything that an aimed edit does, less often."""
    for module in (aiming, controls, methods):
        monkeypatch.setattr(module, "OWN_REPLIES", 64)
    monkeypatch.setattr(aiming, "VALUE_STEPS", 6)
    monkeypatch.setattr(aiming, "_REPLIES", 32)
    monkeypatch.setattr(aiming, "KEPT_ROWS", 32 + aiming.ELSEWHERE)
    monkeypatch.setattr(methods, "MOMENT_TOKENS", 1024)
    monkeypatch.setattr(controls, "RANDOM", 2)
    monkeypatch.setattr(controls, "SHUFFLED", 1)
    return monkeypatch


def test_an_aimed_edit_does_no_work_twice(session: Session, small: pytest.MonkeyPatch) -> None:
    session.survey(LAST)
    with small.context() as patch:
        counts = Counts(patch)
        edit = session.inject_concept(LAST, "polite", method="aimed")
    session.undo()
    assert edit.effect is not None
    assert [control.count for control in edit.effect.controls] == [2, 1]
    assert 0 < counts.passes < PASSES
    assert 0 < counts.settled < SETTLED
    assert 0 < counts.sampled < SAMPLED


def test_each_reply_is_judged_once_and_as_all_texts_together_say(session: Session) -> None:
    text = session.text
    concept = session.state.concepts["polite"]
    questions = list(text.choosing_prompts[:12]) * 2
    said = sampling.replies(
        text, [(q,) for q in questions], tokens=12, generator=torch.Generator().manual_seed(3)
    )
    replies = [reply.token_ids for reply in said]
    replies[0] = ()
    judge = Recogniser(session, concept)
    judge.heard = [*POLITE, "Go away.", "I would be glad to."]
    found = judge(questions, replies)
    with torch.no_grad():
        alone = likelihoods.reply_log_prob(text, [(q,) for q in questions], replies)
        after = [
            likelihoods.reply_log_prob(
                text, [(text.choosing_prompts[k], heard, q) for q in questions], replies
            )
            for k, heard in enumerate(judge.heard)
        ]
    ratio = torch.stack(after).logsumexp(dim=0) - math.log(len(after)) - alone
    near = (ratio - math.log(LIKELIER)).abs() < 1e-3
    wanted = [
        bool(reply) and yes for reply, yes in zip(replies, (ratio > math.log(LIKELIER)).tolist(), strict=True)
    ]
    assert any(wanted) and not all(wanted)
    assert all(a == b for a, b, close in zip(found, wanted, near.tolist(), strict=True) if not close)
    with pytest.MonkeyPatch.context() as patch:
        counts = Counts(patch)
        assert judge(questions[::-1], replies[::-1]) == found[::-1]
    assert counts.passes == 0


def test_an_edit_that_is_not_added_is_one_that_is(session: Session) -> None:
    """… and its gradient is that of the sum."""
    model = session.model
    generator = torch.Generator().manual_seed(0)
    weight, log_beta = model.live[f"blocks.{LAST}.hopfield.W"], model.live[f"blocks.{LAST}.hopfield.log_beta"]
    dim = len(weight)
    drive, along = torch.randn(2, 20, dim, generator=generator)
    right = torch.randn(dim, 1, generator=generator) / dim
    grads = []
    for added in (True, False):
        left = torch.linspace(-1, 1, dim)[:, None].requires_grad_()
        with torch.enable_grad():
            if added:
                state = settle(weight + left @ right.T, log_beta, drive, session.text.config)
            else:
                state = settle(weight, log_beta, drive, session.text.config, edit=(left, right))
            (grad,) = torch.autograd.grad((state * along).sum(), left)
        grads += [grad, state.detach()]
    assert float(grads[0].abs().max()) > 1e-3
    assert torch.allclose(grads[0], grads[2], atol=1e-4)
    assert torch.allclose(grads[1], grads[3], atol=1e-5)
    with torch.no_grad():
        tokens = session.text.choosing_windows(2)[:, :-1]
        start = session.text.starting(LAST, session.text.entering(tokens, LAST))
        whole = session.text.run(tokens, Change(weights={LAST: weight + left @ right.T})).logits
        apart = session.text.run(
            None, Change(weights={LAST: weight}, edits={LAST: (left, right)}), start=start
        ).logits
    assert torch.allclose(whole, apart, atol=1e-3)


@torch.no_grad()
def test_what_nobody_asked_for_is_not_computed_and_the_rest_is_the_same(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = session.text
    tokens = text.choosing_windows(2)[:, :-1]
    whole = text.run(tokens)
    wanted = torch.zeros_like(tokens, dtype=torch.bool)
    nothing = wanted.clone()
    wanted[0, 5] = wanted[1, 30:40] = True
    counts = Counts(monkeypatch)
    some = text.run(tokens, wanted=wanted, read=())
    assert torch.allclose(some.logits, whole.logits[wanted], atol=1e-4)
    assert not some.states
    assert counts.settled == 3 * tokens.numel() + 11
    counts.settled = 0
    early = text.run(tokens, wanted=nothing, read=(1,))
    assert torch.equal(early.states[1], whole.states[1])
    assert early.logits.shape == (0, text.tokenizer.size)
    assert counts.settled == 2 * tokens.numel()
    counts.settled = 0
    assert text.run(tokens, wanted=nothing, read=()).logits.shape == (0, text.tokenizer.size)
    assert counts.settled == 0


@torch.no_grad()
def test_prompts_that_are_the_same_are_read_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    text = session.text
    prompts = list(text.choosing_prompts[:3])

    def said(prompts: list[str]) -> list[tuple[int, ...]]:
        made = sampling.generate_batch(
            text, prompts, tokens=6, topk=1, generator=torch.Generator().manual_seed(0)
        )
        return [reply.token_ids for reply in made]

    once = said(prompts)
    counts = Counts(monkeypatch)
    assert said([*prompts, *prompts[::-1]]) == once + once[::-1]
    longest = max(len(text.prompt_ids(prompt)) for prompt in prompts)
    assert counts.settled <= 3 * (3 * longest) + 3 + 5 * 6 * 4


@torch.no_grad()
def test_logits_in_parts_are_the_logits(session: Session) -> None:
    live = session.model.live
    stream = torch.randn(3, 100, live["embed.weight"].shape[1], generator=torch.Generator().manual_seed(1))
    normed = functional.layer_norm(stream, stream.shape[-1:], live["norm.weight"], live["norm.bias"])
    assert torch.allclose(head(live, stream), functional.linear(normed, live["embed.weight"]), atol=1e-5)

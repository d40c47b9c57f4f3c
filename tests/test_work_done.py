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
from energylang.landscape.lowrank import LowRank, stacked
from energylang.models import likelihoods, sampling
from energylang.models.attention import head
from energylang.models.hopfield import network
from energylang.models.hopfield.settling import settle
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.work import concept as concept_work

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


def test_a_guard_that_blocks_is_asked_before_the_effect_is_measured(
    session: Session, small: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("what is blocked has no effect")

    session.guard("strength-cap", 0.0)
    with small.context() as patch:
        patch.setattr(concept_work, "measure", measured)
        edit = session.inject_concept(LAST, "polite", method="redirect", dose=0.2, damage=1.0)
    session.undo(2)
    assert edit.blocked
    assert edit.effect is None
    assert edit.reason.startswith("guard strength-cap")


def test_what_is_said_under_edits_together_is_what_is_said_under_each(session: Session) -> None:
    """… draw by draw, as long as rounding changes no word."""
    text, weight = session.text, session.weight(session.live(LAST))
    generator = torch.Generator().manual_seed(5)
    edits = [LowRank.zero(weight)] + [
        LowRank(*torch.randn(2, len(weight), rank, generator=generator) / len(weight) ** 0.5)
        for rank in (1, 2)
    ]
    prompts = text.measuring_prompts[:6]
    ready = sampling.prepare(text, prompts, LAST, 12)
    assert ready is not None
    left, right = stacked(edits, weight)

    def draws() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    together = sampling.generate_edited(
        text, prompts, weight, left, right, ready, tokens=12, generators=[draws() for _ in edits]
    )
    for edit, said in zip(edits, together, strict=True):
        change = Change(weights={LAST: edit.added_to(weight)})
        alone = sampling.generate_batch(
            text, prompts, tokens=12, generator=draws(), change=change, prepared=ready
        )
        assert [reply.token_ids for reply in said] == [reply.token_ids for reply in alone]
    assert together[0] != together[1]


def test_what_a_stream_misses_is_what_its_logits_miss(session: Session) -> None:
    """… with the gradient of the edit that is looked for, for words and for probabilities."""
    text = session.text
    weight = session.weight(session.live(LAST))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        tokens = text.choosing_windows(3)[:, :20]
        start = text.starting(LAST, text.entering(tokens, LAST))
    right = torch.randn(len(weight), 1, generator=generator) / len(weight)
    words = torch.randint(text.tokenizer.size, (tokens.numel(),), generator=generator)
    likely = torch.randn(7, text.tokenizer.size, generator=generator).softmax(dim=1)
    rows = torch.randint(7, (tokens.numel(),), generator=generator)
    for goal, which in ((words, None), (likely, rows)):
        found = []
        for fused in (True, False):
            left = torch.linspace(-2, 2, len(weight))[:, None].requires_grad_()
            change = Change(weights={LAST: weight}, edits={LAST: (left, right)})
            if fused:
                each = text.missed(start, change, goal, which)
            else:
                logits = text.run(None, change, start=start, read=()).logits.flatten(0, 1)
                wanted = goal if which is None else goal[which]
                each = functional.cross_entropy(logits, wanted, reduction="none").view(tokens.shape)
            (grad,) = torch.autograd.grad((each * torch.linspace(0, 1, 20)).sum(), left)
            found.append((each.detach(), grad))
        (each, grad), (wanted, slope) = found
        assert torch.allclose(each, wanted, atol=1e-4)
        assert float(slope.abs().max()) > 1e-3
        assert torch.allclose(grad, slope, atol=1e-4 * float(slope.abs().max()))


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

"""What every conversation begins with is read once, and openings once: the same numbers come of it."""

from __future__ import annotations

import pytest
import torch

from energylang.models import TextModel, load, sampling
from energylang.models.behind import Behind
from energylang.models.protocol import NOTHING, Change
from energylang.models.replies_from import RepliesFrom

from .architectures import folder
from .test_talk import LONG, TEMPLATE

LAYER = 1
QUESTIONS = ("the rain?", "Zebras", "an other one, and a long one", "7")
REPLIES = ("hear the other", "a", "in the house there is one")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    """A chat whose template puts a dozen tokens and more in front of every conversation."""
    where = folder(
        tmp_path_factory.mktemp("long") / "m",
        pad=True,
        template="{{ bos_token }}You are the helper of others.\n" + TEMPLATE,
        **LONG,
    )
    found = load(str(where)).text
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pairs(text: TextModel) -> list[tuple[list[int], list[int]]]:
    return [(text.prompt_ids(asked), text.encode(said)) for said in REPLIES for asked in QUESTIONS]


@pytest.fixture(params=["nothing", "weight", "drive", "answers", "reply", "word"])
def change(request: pytest.FixtureRequest, text: TextModel) -> Change:
    from energylang.models.positions import where

    draw = torch.Generator().manual_seed(3)
    size = text.run(torch.tensor([[1]]), read=(LAYER,)).states[LAYER].shape[-1]
    push = 3 * torch.randn(size, generator=draw)
    weight = next(value for name, value in text.live.items() if f".{LAYER}." in name and "down_proj" in name)
    query = 0.3 * torch.randn(weight.shape[1], generator=draw)
    return {
        "nothing": NOTHING,
        "weight": Change(weights={LAYER: weight + 0.1 * torch.randn(weight.shape, generator=draw)}),
        "drive": Change(drive={LAYER: push}),
        "answers": Change(answers={LAYER: (query, push)}),
        "reply": Change(drive={LAYER: push}, where=where("reply", text.encode)),
        "word": Change(drive={LAYER: push}, where=where("other", text.encode)),
    }[request.param]


def test_only_what_the_template_says_is_shared(text: TextModel) -> None:
    rows = [text.prompt_ids(question) for question in ("the rain", "the rail", "the road")]
    count = text.shared(rows)
    assert count >= 8
    assert "helper of others" in text.decode(rows[0][:count])
    assert "the ra" not in text.decode(rows[0][:count])
    assert text.shared(rows[:1]) == 0  # nobody to share it with
    assert text.shared([rows[0], rows[1][1:]]) == 0


def test_replies_behind_what_was_read_once_are_as_likely(
    text: TextModel, pairs: list[tuple[list[int], list[int]]], change: Change
) -> None:
    behind = Behind(text, LAYER, pairs)
    assert behind.beginning is not None
    whole = torch.cat([
        text.run(
            torch.tensor([[*opening, *reply[:-1]]]),
            change,
            begins=torch.tensor([len(opening)]),
            lengths=torch.tensor([len(opening) + len(reply) - 1]),
        ).logits[0, len(opening) - 1 :].log_softmax(dim=1).gather(1, torch.tensor(reply)[:, None])[:, 0]
        for opening, reply in pairs
    ])  # fmt: skip
    torch.testing.assert_close(torch.cat(behind.log_probs(change)), whole, rtol=0, atol=2e-4)


def test_replies_are_the_same_where_nothing_is_shared(
    text: TextModel, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change.drive and change.where is not None:
        pytest.skip("sampling from prepared prompts is for changes at every position")
    ids = [text.prompt_ids(question) for question in QUESTIONS]

    def said() -> list[list[tuple[int, ...]]]:
        draws = [torch.Generator().manual_seed(k) for k in range(2)]
        each = sampling.generate_each(text, QUESTIONS, change, 2, LAYER, tokens=6, generators=draws)
        alone = sampling.generate_batch(text, QUESTIONS, tokens=6, generator=draws[0], change=change)
        return [[reply.token_ids for reply in replies] for replies in [*each, alone]]

    assert text.shared(ids)
    once = said()
    monkeypatch.setattr(TextModel, "shared", lambda self, rows: 0)
    assert said() == once


def test_a_value_that_is_learnt_has_the_right_slope(
    text: TextModel, pairs: list[tuple[list[int], list[int]]]
) -> None:
    behind = Behind(text, LAYER, pairs)
    opened = behind.opened(NOTHING)
    draw = torch.Generator().manual_seed(5)
    weight = next(value for name, value in text.live.items() if f".{LAYER}." in name and "down_proj" in name)
    query = 0.2 * torch.randn(weight.shape[1], generator=draw)
    value, along = torch.randn(2, weight.shape[0], generator=draw)
    along /= along.norm()

    def likely(v: torch.Tensor) -> torch.Tensor:
        return torch.cat(behind.replies(Change(answers={LAYER: (query, v)}), opened)).mean()

    with torch.enable_grad():
        value.requires_grad_(True)
        (slope,) = torch.autograd.grad(likely(value), value)
    step = 1e-2
    moved = (likely(value + step * along) - likely(value - step * along)) / (2 * step)
    assert float(slope @ along) == pytest.approx(float(moved), rel=0.05, abs=2e-4)
    assert float(slope.norm()) > 1e-3


@pytest.mark.parametrize("opening", [[], [5]], ids=["nothing", "one token"])
def test_replies_behind_little_or_nothing(text: TextModel, opening: list[int]) -> None:
    replies = [text.encode(said) for said in ("hear the other", "in the house")]
    pairs = [(opening, reply) for reply in replies]
    found = Behind(text, LAYER, pairs).log_probs()
    for (_, reply), here, there in zip(
        pairs, found, RepliesFrom.of(text, LAYER, pairs).log_probs(NOTHING), strict=True
    ):
        assert len(here) == len(reply) - (not opening)
        torch.testing.assert_close(here, there, rtol=0, atol=2e-4)

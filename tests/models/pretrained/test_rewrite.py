"""A phrase is given another answer: random models of two architectures, one of which keeps its weights transposed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from energylang.checker import check
from energylang.concepts.memory import moment_of
from energylang.concepts.rewriting import asked, behind_beginnings, moment_beside
from energylang.errors import ElError
from energylang.landscape.memory import query_of
from energylang.models.neurons import mean_activation, mean_along
from energylang.models.protocol import NOTHING
from energylang.models.replies_from import RepliesFrom
from energylang.render.gallery import render
from energylang.results import Edit
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.syntax.parser import Source

from .conftest import Pair

PHRASE = "The bus is in the town of"


@pytest.fixture(params=["llama", "gpt2"])
def session(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair], tmp_path: Path) -> Session:
    made = Session(base=tmp_path)
    made.load(str(pair_of(request.param).folder))
    return made


def logits(session: Session) -> torch.Tensor:
    return session.text.forward(torch.arange(3, 27).reshape(2, 12)).logits


FORCED = 'damage=100% force=true reason="a random model says bytes, and its answers are many of them"'


def rewritten(session: Session, more: str = FORCED) -> Edit:
    found = session.run(f'rewrite L1 "{PHRASE}" to="Rome" subject="bus" {more}')
    assert isinstance(found, Edit)
    return found


def test_what_is_reported_is_what_the_edited_model_says(session: Session) -> None:
    """The law of all edits: staged, applied, the model itself says so; undone, every bit is as it was."""
    before, original = logits(session), session.run("info").hash
    edit = rewritten(session, f'same=["In the town of bus is"] near=["The sea is in", "The sky is"] {FORCED}')
    found = edit.rewritten
    assert edit.applied and edit.rank == 1 and edit.method == "memory" and edit.dose == 1
    assert found is not None and len(found.same) == 1 and len(found.near) == 2
    assert found.asked.after > 3 * found.asked.before and found.asked.after > found.random_max
    assert torch.equal(logits(session), before), "it is staged, not live"
    session.run("apply L1")
    text = session.text
    for one in (found.asked, *found.same, *found.near):
        pair = asked(text, one.prompt, "Rome", None)
        ids = text.opened(list(pair.phrase))
        whole = torch.tensor([ids + list(pair.answer)])
        logs = text.forward(whole[:, :-1]).logits[0, len(ids) - 1 :].float().log_softmax(dim=1)
        chance = float(logs.gather(1, torch.tensor(pair.answer)[:, None]).sum().exp())
        assert chance == pytest.approx(one.after, rel=1e-3)
        assert text.token(int(logs[0].argmax())) == one.first_after
    session.run("undo 2")
    assert torch.equal(logits(session), before) and session.run("info").hash == original


def test_the_edit_answers_its_key_alone(session: Session) -> None:
    """ΔW·k is the value, and ΔW·a for a that C is made of is small beside it."""
    rewritten(session)
    version = session.staged(1)
    assert version.factors is not None
    delta = version.factors.dense().double()
    delta = delta.T if session.model.header.transposed else delta
    text = session.text
    pair = asked(text, PHRASE, "Rome", "bus")
    assert pair.place is not None
    rows = behind_beginnings(text, pair.phrase)
    key = mean_along(text, 1, rows, len(pair.phrase))[pair.place].double()
    alone = mean_along(text, 1, [text.opened(list(pair.alone))], 1).double()
    keys = torch.cat([key[None], alone])
    query = query_of(keys, moment_beside(session, 1, pair.others))
    answer = delta @ keys.mean(dim=0)
    # rank one with this query: what it answers to any other vector is in proportion to the query's
    other = torch.randn(len(key), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(delta @ other, answer * (query @ other), atol=1e-4 * float(answer.norm()))


def test_the_key_is_that_of_the_subject_s_last_token(llama: Pair) -> None:
    rows = [[5, 6, 3, 4, 7], [3, 4, 7]]
    along = mean_along(llama.text, 1, rows, 3)
    for k in range(3):
        assert torch.allclose(
            along[k], mean_activation(llama.text, 1, rows, [(2 + k, 3 + k), (k, k + 1)]), atol=1e-5
        )


def test_without_a_subject_the_rarest_key_is_taken(session: Session) -> None:
    found = session.run(f'rewrite L1 "{PHRASE}" to="Rome" {FORCED}').rewritten
    text = session.text
    ids = asked(text, PHRASE, "Rome", None).phrase
    along = mean_along(text, 1, behind_beginnings(text, ids), len(ids))
    moment = moment_of(session, 1)
    rare = [float(q @ moment @ q) for q in (query_of(key, moment) for key in along[1:])]
    assert found.place == text.token(ids[1 + rare.index(min(rare))])


def test_what_cannot_be_done_is_refused(session: Session) -> None:
    before = logits(session)
    small = rewritten(session, "dose=0.001 damage=100%")
    assert not small.applied and "is not said" in small.reason
    dear = rewritten(session, "damage=0%")
    assert not dear.applied and dear.rewritten is not None
    assert torch.equal(logits(session), before) and not session.run("status").layers[1].edits
    for line, code in (
        ('rewrite L1 "The bus is" to="Rome" subject="tram"', "EL510"),
        ('rewrite L1 "  " to="Rome"', "EL201"),
        ('rewrite L1 "The bus is" to=" "', "EL201"),
    ):
        with pytest.raises((ElError, ScriptError)) as raised:
            session.run(line)
        assert code in str(getattr(raised.value, "code", "")) or code in str(raised.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(["The bus is", "A town", "Low grey", "In the", ""]),
    subject=st.sampled_from(["bus", "sea side", "town"]),
    tail=st.sampled_from(["is in the", "and", "stands at:", 'says "']),
    to=st.sampled_from(["Rome", " Rome", "grey bus"]),
)
def test_a_subject_ends_where_it_stands(llama: Pair, head: str, subject: str, tail: str, to: str) -> None:
    """The tokens up to the key's are those of the phrase up to the subject's end, for any phrase."""
    phrase = f"{head} {subject} {tail}".strip()
    found = asked(llama.text, phrase, to, subject)
    assert found.place is not None and found.answer
    shown = llama.text.decode(list(found.phrase[: found.place + 1]))
    assert llama.text.decode(list(found.phrase)).startswith(shown)
    end = phrase.rindex(subject) + len(subject)
    assert abs(len(shown.rstrip()) - end) <= 1, (shown, phrase)


def test_replies_from_a_layer_are_those_of_whole_passes(llama: Pair) -> None:
    pairs = [([3, 4, 5], [6, 7]), ([8], [9, 3, 4])]
    found = RepliesFrom.of(llama.text, 1, pairs).log_probs(NOTHING)
    for (opening, reply), each in zip(pairs, found, strict=True):
        logs = llama.text.forward(torch.tensor([[*opening, *reply]])).logits[0].log_softmax(dim=1)
        whole = logs[len(opening) - 1 : -1].gather(1, torch.tensor(reply)[:, None])[:, 0]
        assert torch.allclose(each, whole, atol=1e-5)


def test_the_checker_knows_what_has_no_memory() -> None:
    found = check(Source('load "tiny"\nrewrite L2 "a b" to="c"\n', "x.el"))
    assert [problem.code for problem in found.diagnostics if problem.code == "EL254"] == ["EL254"]
    made = Session()
    made.load("tiny")
    with pytest.raises(ElError) as raised:
        made.rewrite(2, "a b", to="c")
    assert raised.value.code == "EL254"


def test_it_is_shown_and_recorded(session: Session, tmp_path: Path) -> None:
    edit = rewritten(session, f'near=["The sea is in"] {FORCED}')
    console = Console(width=120, record=True)
    console.print(render(edit))
    shown = console.export_text()
    assert (
        "P(Rome)" in shown
        and "random values at the same key" in shown
        and "neighbours begin as before" in shown
    )
    session.run("apply L1")
    session.run(f'record "{tmp_path / "made.json"}"')
    replayed = session.run(f'replay "{tmp_path / "made.json"}"')
    assert replayed.identical or replayed.ok

"""A landscape for a layer that has none: what is said stays, edits reach it through the splice, undo is exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.checker import check
from energylang.errors import ElError
from energylang.models.protocol import NOTHING, Change, Settled, Start
from energylang.render.gallery import render
from energylang.results import Edit, Fitting, Survey
from energylang.run.interpreter import ScriptError
from energylang.session import Session

from . import architectures
from .conftest import Pair

FIT = "fit L1 basins=6 components=8 tokens=1500"
FORCED = 'force=true reason="a random model says nothing"'


@pytest.fixture
def session(llama: Pair, tmp_path: Path) -> Session:
    return fitted(llama, tmp_path)


def fitted(pair: Pair, base: Path, line: str = FIT) -> Session:
    made = Session(base=base)
    made.load(str(pair.folder))
    made.run(line)
    return made


def logits(session: Session) -> Tensor:
    tokens = torch.randint(3, 260, (2, 20), generator=torch.Generator().manual_seed(1))
    return session.text.forward(tokens).logits


def codes(text: str) -> list[str]:
    return [item.code for item in check(text).diagnostics]


# ------------------------------------------------------------------------------------- the splice


def test_a_fit_leaves_every_architecture_as_it_is(pair: Pair, tmp_path: Path):
    session = Session(base=tmp_path)
    session.load(str(pair.folder))
    before, hash = logits(session), session.live_hash()
    found = session.run("fit L1 basins=5 components=6 tokens=600")
    assert isinstance(found, Fitting) and found.all_attract and found.basins == 5
    assert torch.equal(logits(session), before) and session.live_hash() == hash == session.staged_hash()
    assert session.status().is_original
    at = session.text.run(pair.tokens(), read=(Settled(1), 1)).states
    assert at[Settled(1)].shape[:2] == (2, 12) and torch.equal(at[1], pair.text.run(pair.tokens()).states[1])


def test_a_landscape_is_fitted_to_what_the_mlp_reads_and_answers(pair: Pair):
    tokens, found = pair.tokens(), []
    block = architectures.part(pair.library, pair.kind.blocks)[1]
    path, _, _ = pair.kind.down.rpartition(".")
    mlp = architectures.part(block, path) if path else block.fc1
    hook = mlp.register_forward_pre_hook(lambda _module, args: found.append(args[0].reshape(2, 12, -1)))
    down = architectures.part(block, pair.kind.down)
    after = down.register_forward_hook(lambda _module, _args, out: found.append(out.reshape(2, 12, -1)))
    try:
        pair.library(tokens)
    finally:
        hook.remove()
        after.remove()
    kept: list[Tensor] = []

    def keep(given: Tensor, said: Tensor) -> Tensor:
        kept.extend((given, said))
        return said

    pair.text.run(tokens, Change(mlp={1: keep}))
    assert all(torch.equal(a, b) for a, b in zip(found, kept, strict=True))


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "opt"])
def test_an_edit_is_spliced_in_as_a_difference(name: str, pair_of: Callable[[str], Pair], tmp_path: Path):
    pair = pair_of(name)
    session = fitted(pair, tmp_path)
    session.run(f"remove L1.B2 {FORCED}")
    fit = session.fitted(1)
    assert fit is not None
    edited, tokens, seen = session.weight(session.staged(1)), pair.tokens(), []

    block = architectures.part(pair.library, pair.kind.blocks)[1]
    path, _, _ = pair.kind.down.rpartition(".")
    mlp = architectures.part(block, path) if path else block.fc1
    down = architectures.part(block, pair.kind.down)

    def added(_module: Any, _args: Any, out: Tensor) -> Tensor:
        z = seen.pop().reshape(-1, seen_width[0])
        change = fit.settle(z, edited) - fit.settle(z)
        return out + (change @ fit.readout).reshape(out.shape)

    seen_width: list[int] = []

    def reads(_module: Any, args: tuple[Tensor, ...]) -> None:
        seen.append(args[0])
        seen_width[:] = [args[0].shape[-1]]

    first, second = mlp.register_forward_pre_hook(reads), down.register_forward_hook(added)
    try:
        expected = pair.library(tokens).logits
    finally:
        first.remove()
        second.remove()
    told = session.text.run(tokens, Change(landscapes={1: edited})).logits
    assert torch.allclose(told, expected, atol=1e-4) and not torch.equal(
        told, session.text.run(tokens).logits
    )
    session.run("apply L1")
    assert torch.equal(session.text.run(tokens).logits, told)


def test_a_pass_that_starts_at_a_layer_has_the_same_bits_with_an_edited_landscape(session: Session):
    session.run(f"remove L1.B2 {FORCED}\napply L1")
    tokens = torch.randint(3, 260, (3, 16), generator=torch.Generator().manual_seed(2))
    whole = session.text.run(tokens)
    for layer in range(4):
        part = session.text.run(tokens, start=Start(layer, session.text.entering(tokens, layer)))
        assert torch.equal(part.logits, whole.logits), layer


def test_what_is_said_with_a_cache_is_what_whole_passes_say(session: Session):
    session.run(f"remove L1.B0 {FORCED}\napply L1")
    session.run("intervene L1.B1 kind=boost amount=3")
    said = session.run('generate "The ship" tokens=6 topk=1')
    from energylang.looking.held import standing

    ids = session.text.prompt_ids("The ship")
    for _ in range(6):
        found = session.text.run(torch.tensor([ids]), standing(session)).logits[0, -1]
        ids.append(int(found.argmax()))
    assert [step.token for step in said.steps] == [session.text.token(id) for id in ids[-6:]]


def test_an_intervention_reaches_the_tokens_of_its_basin_alone(session: Session):
    tokens = torch.randint(3, 260, (2, 20), generator=torch.Generator().manual_seed(1))
    states = session.text.run(tokens, read=(Settled(1),)).states[Settled(1)]
    fit = session.fitted(1)
    assert fit is not None
    basins = fit.basin(states.flatten(0, 1)).reshape(2, 20)
    basin = int(basins.flatten().mode().values)
    inside = basins == basin
    assert inside.any() and not inside.all()
    before = session.text.run(tokens, read=(1,)).states[1]
    session.run(f"intervene L1.B{basin}")
    from energylang.looking.held import standing

    after = session.text.run(tokens, standing(session), read=(1,)).states[1]
    moved = (before != after).any(dim=-1)
    assert torch.equal(moved, inside)


def test_an_unedited_landscape_is_no_part_of_a_pass(session: Session):
    from energylang.models.splice import spliced

    change, kept = spliced(NOTHING, session.text.landscapes, None)
    assert change is NOTHING and not kept


# --------------------------------------------------------------------------------------- the state

STEPS = (
    "inject L1 {n}",
    f"inject L1 {{n}} {FORCED}",
    f"remove L1.B{{b}} {FORCED}",
    f"move L1.B{{b}} {FORCED}",
    "strengthen L1.B{b} 1.2",
    "weaken L1.B{b} 0.9",
    "redirect L1.B{b} to=L1.B{c} damage=1",
    f"redirect L1.B{{b}} to=L1.B{{c}} dose=0.5 {FORCED}",
    f"causal intervene L1.B{{b}} op=weaken placebos=2 {FORCED}",
    f'watermark inject "k" marks=1 layer=L1 {FORCED}',
    f"consolidate L1 {FORCED}",
    "protect L1.B{b}",
    "intervene L1.B{b} kind=boost",
    "apply L1",
    "restore L1",
    "undo L1",
    "undo",
    "redo",
    "survey L1",
    "fit L1 basins=5 components=6 tokens=600 seed={n}",
    "fit L2 basins=4 components=5 tokens=400",
    "guard cosine-drift 0.5",
    "guard max-basins 50",
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 99), st.integers(0, 5), st.integers(0, 5)),
        min_size=1,
        max_size=7,
    )
)
def test_undo_of_anything_on_a_fitted_layer_is_exact(llama: Pair, tmp_path: Path, steps: list[Any]):
    session = Session(base=tmp_path)
    session.load(str(llama.folder))
    before, hash = logits(session), session.live_hash()
    session.run(FIT)
    for line, n, b, c in steps:
        try:
            session.run(line.format(n=n, b=b, c=c))
        except ScriptError as error:  # what cannot be done is said, with a code
            assert all(item.code for item in error.diagnostics) if hasattr(error, "diagnostics") else True
        except ElError as error:
            assert error.code
    done = logits(session), session.live_hash(), session.staged_hash()
    count = session.timeline.undoable
    if count:
        session.run(f"undo {count}")
    assert torch.equal(logits(session), before)
    assert session.live_hash() == hash == session.staged_hash()
    assert not session.text.landscapes and not session.has_landscape(1)
    if count:
        session.run(f"redo {count}")
        assert (
            torch.equal(logits(session), done[0]) and (session.live_hash(), session.staged_hash()) == done[1:]
        )


def test_after_undo_the_layer_has_no_landscape_again(session: Session):
    session.run("survey L1\nundo")
    with pytest.raises(ScriptError, match="EL251"):
        session.run("survey L1")
    with pytest.raises(ElError) as caught:
        session.survey(1)
    assert caught.value.code == "EL251" and "fit L1" in caught.value.hint


def test_the_memory_and_the_landscape_of_a_layer_are_edited_and_undone_apart(
    session: Session, tmp_path: Path
):
    words = ("low", "grey", "lost", "tired", "cold", "alone", "empty", "hurt", "sorry", "sick")
    rows = "".join(f'"I feel so {word} today.","The bus is {len(word)} late."\n' for word in words)
    (tmp_path / "sad.csv").write_text("text,contrast\n" + rows)
    session.run('capture-file L1 sad "sad.csv" column="text" contrast="contrast"')
    plain = session.staged_hash()
    session.run(f"remove L1.B2 {FORCED}")
    landscape = session.staged_hash()
    session.run(f"inject-concept L1 sad method=memory dose=0.2 {FORCED}")
    both = session.staged_hash()
    assert len({plain, landscape, both}) == 3
    session.run("undo L1")
    assert session.staged_hash() == landscape
    session.run("undo L1")
    assert session.staged_hash() == plain
    assert session.diff(1).changed is False


def test_edits_are_heard_when_they_are_applied(session: Session):
    before = logits(session)
    session.run(f"remove L1.B2 {FORCED}")
    assert torch.equal(logits(session), before)
    measured = session.run("benchmark")
    assert measured.staged is not None and measured.staged.loss != measured.live.loss
    session.run("apply L1")
    assert not torch.equal(logits(session), before)
    assert session.run("benchmark").live.loss == measured.staged.loss
    session.run("restore L1")
    assert torch.equal(logits(session), before) and session.status().is_original


def test_a_landscape_may_last_for_a_block(session: Session):
    before = logits(session)
    session.run("with fit L2 basins=4 components=4 tokens=400:\n    survey L2\n    inject L2 42")
    assert not session.has_landscape(2) and session.has_landscape(1)
    session.run(
        'attempt:\n    fit L3 basins=4 components=4 tokens=400\n    require 1 > 2, "no"\nelse:\n    survey L1'
    )
    assert not session.has_landscape(3) and torch.equal(logits(session), before)


def test_the_effect_of_an_edit_is_measured_beside_random_ones(session: Session):
    session.run('capture L1 sad ["so low today", "all is lost", "nothing is left", "so sad and cold"]')
    with pytest.raises(ScriptError, match="EL513"):
        session.run("effect L1 sad")
    session.run("redirect L1.B4 to=L1.B1 damage=1\napply L1")
    found = session.run("effect L1 sad")
    assert found.loss_change != 0 and found.log_prob_after != found.log_prob_before


def test_the_explorer_follows_a_fit(session: Session):
    from energylang.work.overview import Overview

    seen = Overview(session, 1)
    assert seen.map().points and seen.facts(3).meaning is not None
    session.run("fit L2 basins=4 components=5 tokens=400")
    assert seen.facts(3).meaning is not None


def test_another_fit_replaces_the_landscape(session: Session):
    session.run(f"remove L1.B2 {FORCED}\napply L1")
    before = session.fitted(1)
    again = session.run("fit L1 basins=4 components=5 tokens=800")
    assert again.replaced and session.fitted(1) is not before and session.status().is_original
    session.run("undo")
    assert session.fitted(1) is before and not session.status().is_original


def test_a_session_with_a_landscape_comes_back(session: Session, tmp_path: Path):
    session.run("survey L1")
    session.run(f"redirect L1.B4 to=L1.B1 damage=1\nremove L1.B2 {FORCED}\napply L1")
    with pytest.raises(ScriptError, match="EL504"):
        session.run('save "plain"')
    session.run('save "kept" session=true')
    again = Session(base=tmp_path)
    again.run('load "kept" session=true')
    assert torch.equal(logits(again), logits(session)) and again.staged_hash() == session.staged_hash()
    for line in ("diff L1", "survey L1", "history", "verify L1.B1"):
        assert again.run(line).to_dict(volatile=False) == session.run(line).to_dict(volatile=False), line
    again.run("undo 4")
    with pytest.raises(ScriptError, match="EL251"):
        again.run("survey L1")
    assert again.status().is_original


def test_a_record_is_replayed(session: Session, tmp_path: Path):
    session.run(f'survey L1\nremove L1.B2 {FORCED}\napply L1\nrecord "done.json"')
    again = Session(base=tmp_path)
    found = again.run('replay "done.json"')
    assert found.identical


def test_a_fit_has_the_same_bits_with_more_threads(
    llama: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Components of two threads differ in the last bits from those of one: they are calculated with one. A record is
    replayed with the threads that it was made with."""
    from energylang.work import fit

    used, plain = [], fit.planted

    def planted(*args: Any, **kwargs: Any) -> Any:
        used.append(torch.get_num_threads())
        return plain(*args, **kwargs)

    monkeypatch.setattr(fit, "planted", planted)
    line, made = "fit L1 basins=4 components=4 tokens=200", []
    for threads in (1, 2):
        session = Session(base=tmp_path, threads=threads)
        session.load(str(llama.folder))
        session.run(line)
        made.append(session.fitted(1))
    assert used == [1, 1]
    assert torch.equal(made[0].groups, made[1].groups) and torch.equal(made[0].contents, made[1].contents)
    session.run('record "done.json"')
    assert json.loads((tmp_path / "done.json").read_text())["threads"] == 2
    assert Session(base=tmp_path).run('replay "done.json"').identical


# ------------------------------------------------------------------------------------ what is said


def test_a_fit_says_what_it_is_worth(llama: Pair, tmp_path: Path):
    session = Session(base=tmp_path)
    session.load(str(llama.folder))
    heard: list[str] = []
    session.watcher = lambda _done, _all, what: heard.append(what)
    found = session.run("fit L2 basins=5 components=auto tokens=900 seeds=3")
    assert isinstance(found, Fitting)
    assert {"tokens", "seeds"} <= set(heard)
    assert found.attracting == 5 and 0 <= found.coverage.value <= 1 and found.coverage.error is not None
    assert found.over_seeds is not None and found.over_seeds.seeds == 3
    assert found.tokens > 2 * found.unseen > 0 and found.of == "the held-out text"
    assert render(found) is not None
    same = Session(base=tmp_path)
    same.load(str(llama.folder))
    assert same.run("fit L2 basins=5 components=auto tokens=900 seeds=3").to_dict(
        volatile=False
    ) == found.to_dict(volatile=False)


def test_a_file_is_read_instead(llama: Pair, tmp_path: Path):
    (tmp_path / "words.txt").write_text("One two three, four and five. " * 200)
    session = fitted(llama, tmp_path, 'fit L1 basins=4 components=4 text="words.txt" tokens=2000')
    assert session.fitted(1) is not None
    (tmp_path / "short.txt").write_text("One.")
    with pytest.raises(ScriptError, match="EL503"):
        session.run('fit L1 basins=4 text="short.txt"')


def test_a_survey_is_one_of_tokens(session: Session):
    found = session.run("survey L1")
    assert isinstance(found, Survey)
    assert found.inits == 0 and found.installed_starts == 6 and found.token_states > 2000
    assert sum(basin.tokens for basin in found.basins) == found.token_states - found.tokens_unsettled - (
        found.tokens_to_zero
    )
    assert {basin.id for basin in found.basins} >= set(range(6))
    assert all(basin.context for basin in found.basins if basin.tokens)


@pytest.mark.parametrize(
    "line",
    [
        "verify L1.B3", "energy L1.B3", "probe L1.B3", "usage L1", "contexts L1.B3", 'trace L1 "The ship"',
        'trace-generation L1 "The ship" tokens=4', "landscape L1", "neighbours L1.B2", "classify L1",
        "ablate L1.B1 placebos=2", "causal scan L1 placebos=3", "causal counterfactual L1.B1 placebos=3",
        "dream L1", 'watermark verify "k" marks=2 layer=L1', "diff L1", "status", "survey-all", 'usage L1 text="a b"',
    ],
)  # fmt: skip
def test_looks_work_on_a_fitted_layer_and_change_nothing(session: Session, line: str):
    before = logits(session)
    assert render(session.run(line)) is not None
    assert torch.equal(logits(session), before)


def test_a_cause_is_looked_for_across_two_fitted_layers(session: Session):
    session.run("fit L2 basins=5 components=6 tokens=800")
    found = session.run("causal across L1.B1 to=L2 placebos=4")
    assert found.held > 0 and 0 <= found.moved <= 1 and found.placebos == 4
    with pytest.raises(ScriptError, match="EL251"):
        session.run("causal across L1.B1 to=L3")


def test_no_basin_of_a_fitted_layer_depends_on_another(session: Session):
    """The MLP reads before it answers, and the patterns are drawn apart: a scan must not invent causes."""
    found = session.run("causal scan L1 threshold=0.01 placebos=3")
    assert found.fitted
    assert found.tested > 0
    assert found.num_edges == 0


def test_a_basin_that_is_held_at_zero_takes_what_it_says_out_of_the_mlp(session: Session):
    """The law behind ``causal across``: an ablation, done by hand in whole passes, moves as many tokens."""
    from energylang.looking.basins import settled_basins
    from energylang.work.causal import _as_loud

    session.run("fit L3 basins=5 components=6 tokens=800")
    visits = session.run("survey L1").basins
    basin = next(each.id for each in visits if each.id < 6)
    found = session.run(f"causal across L1.B{basin} to=L3 placebos=2")
    fit = session.fitted(1)
    assert fit is not None
    unit = torch.nn.functional.normalize(fit.centres, dim=1)
    windows = session.text.choosing_windows(session.text.sizes.judged // 2)[:, :-1]
    held = 0

    def without(given: Tensor, said: Tensor) -> Tensor:
        nonlocal held
        states = fit.settle(given.flatten(0, 1))
        cosine = torch.nn.functional.normalize(states, dim=1) @ unit.T
        inside = (cosine.argmax(dim=1) == basin) & (cosine[:, basin] > 0.95)
        held += int(inside.sum())
        along = inside * (states @ unit[basin])
        return said - (along[:, None] * (unit[basin] @ fit.readout)).reshape(said.shape)

    ends = [
        [
            session.text.forward(part, change=change, read=(Settled(3),)).states[Settled(3)].flatten(0, 1)
            for part in session.text.chunks(windows)
        ]
        for change in (NOTHING, Change(mlp={1: without}))
    ]
    before, after = (settled_basins(session, 3, torch.cat(each)) for each in ends)
    moved = sum(a != b for a, b in zip(before, after, strict=True)) / len(before)
    assert found.held == held > 0 and found.tokens == len(before)
    assert found.moved == pytest.approx(moved, abs=2 / len(before)) and moved > 0

    draws = torch.randn(3, fit.dim, generator=torch.Generator().manual_seed(0))
    loud = torch.linalg.vector_norm(_as_loud(fit, unit[basin], draws) @ fit.readout, dim=1)
    assert torch.allclose(loud, torch.linalg.vector_norm(unit[basin] @ fit.readout).expand(3), rtol=1e-4)


def test_redirected_tokens_arrive(session: Session):
    found = session.run("redirect L1.B4 to=L1.B1 damage=1")
    assert isinstance(found, Edit) and found.applied and found.arrived is not None and found.arrived >= 0.75
    assert found.dose == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("fit L1 basins=9", "EL206"),
        ("fit L9", "EL302"),
        ("fit L1 basins=4 components=400", "EL502"),
        ("probe L1.B77", "EL510"),
    ],
)
def test_what_cannot_be_is_refused_with_a_code(session: Session, line: str, code: str):
    with pytest.raises(ScriptError, match=code):
        session.run(line)


def test_a_concept_is_no_state_of_the_landscape(session: Session):
    session.run('capture L1 sad "I feel so low today."')
    for line in ("inject L1 sad", "verify L1 sad", "move L1.B1 to=@sad"):
        with pytest.raises(ScriptError, match="EL252"):
            session.run(line)
    with pytest.raises(ElError) as caught:
        session.inject(1, "sad")
    assert caught.value.code == "EL252"
    assert session.run("neighbours L1 sad").neurons


# ------------------------------------------------------------------------------------- the checker


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("survey L1", ["EL251"]),
        ("fit L1\nsurvey L1\nprobe L1.B3", []),
        ("fit L1\nsurvey L2", ["EL251"]),
        ("fit L1\nundo\nsurvey L1", ["EL251"]),
        ("fit L1\nundo\nredo\nsurvey L1", []),
        ("fit L1 basins=8\nprobe L1.B7", []),
        ("fit L1 basins=8\nprobe L1.B8", ["EL304"]),
        ("let n = 8\nfit L1 basins=n\nprobe L1.B8", ["EL304"]),
        ("fit L1 basins=auto\nprobe L1.B99", []),
        ("fit L1 basins=8\nsurvey L1\nprobe L1.B8", []),
        ("fit L1 basins=8\ninject L1 42\nprobe L1.B8", ["EL402"]),
        ("if 1 < 2:\n    fit L1\nsurvey L1", ["EL251"]),
        ("if 1 < 2:\n    fit L1\nelse:\n    fit L1 basins=8\nsurvey L1\nprobe L1.B3", []),
        ("for l in L1..L2:\n    fit l\n    survey l", []),
        ("for l in L1..L2:\n    fit l\nsurvey L2", []),
        ("for k in 1..3:\n    survey L1\n    fit L1", ["EL251"]),
        ("def f(l: Layer):\n    fit l\nf L1\nsurvey L1", []),
        ("def f(l: Layer):\n    survey l\nfit L1\nf L1", []),
        ("def f(l: Layer):\n    survey l\nf L1", ["EL251"]),
        ("with fit L1:\n    survey L1\nsurvey L1", ["EL251"]),
        ("attempt:\n    fit L1\nsurvey L1", ["EL251"]),
        ("checkpoint a\nfit L1\nrollback a\nsurvey L1", ["EL251"]),
        ("fit L1\nablate L1.B3", []),
        ("ablate L1.B3", ["EL251"]),
        ("fit L1\nprotect L2.B3", ["EL251"]),
        ("fit L1\nfit L2\ncausal across L1.B1 to=L2", []),
        ("fit L1\ncausal across L1.B1 to=L2", ["EL251"]),
        ("fit L1\nsurvey-all", []),
        ("survey-all", ["EL251"]),
        ('capture L1 sad "so sad"\nfit L1\ninject L1 sad', ["EL252"]),
        ('capture L1 sad "so sad"\nfit L1\ninject-concept L1 sad', []),
        ("fit L9", ["EL302"]),
        ("fit L1\nremove L1.B3\nfit L1\nprobe L1.B3", []),
    ],
)
def test_the_checker_follows_landscapes_as_they_come_and_go(llama: Pair, body: str, expected: list[str]):
    found = [code for code in codes(f'load "{llama.folder}"\n{body}\n') if code not in ("EL404", "EL407")]
    assert found == expected


def test_a_landscape_needs_none():
    assert codes('load "tiny"\nfit L3\n') == ["EL253"]
    with pytest.raises(ElError) as caught:
        Session("tiny").fit(3)
    assert caught.value.code == "EL253"


def test_a_script_goes_on_from_a_session_with_a_landscape(session: Session):
    assert session.run("probe L1.B3").visits > 0
    with pytest.raises(ScriptError, match="EL251"):
        session.run("probe L2.B3")


def test_the_state_keeps_a_landscape_apart_from_the_weight(session: Session):
    at = session.state.layers[1]
    assert at.fit is not None and at.landscape is at.fit and at.all_live == at
    assert replace(at, fit=None).landscape.staged is session.memory(1)

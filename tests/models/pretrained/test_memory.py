"""Memory edits of pretrained models: random ones of two architectures, one of which keeps its weights transposed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM

from energylang.checker import check
from energylang.concepts.captured import pushes
from energylang.concepts.faces import MEASURED, SAID, Faces, own_halves, window_halves
from energylang.concepts.halves import halves
from energylang.concepts.memory import changed, key_of, memory_edit, moment_of
from energylang.concepts.replies import own_replies
from energylang.concepts.stream_ruler import alike
from energylang.errors import ElError
from energylang.looking.gauge import Gauge
from energylang.models.neurons import mean_activation, second_moments
from energylang.models.pretrained import loading
from energylang.models.protocol import Change, of_rows
from energylang.render.gallery import render
from energylang.results import Edit
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.syntax.parser import Source
from energylang.trial import guards
from tests.real import LITTLE, fewer_random_edits

from . import architectures
from .conftest import Pair

WORDS = ("low", "grey", "lost", "tired", "cold", "alone", "empty", "hurt", "sorry", "sick")
FORCED = 'force=true reason="a random model says nothing"'


def ready(pair: Pair, where: Path) -> Session:
    made = Session(base=where)
    made.load(str(pair.folder))
    rows = "".join(f'"I feel so {word} today.","The bus is {len(word)} late."\n' for word in WORDS)
    (where / "sad.csv").write_text("text,contrast\n" + rows)
    made.run('capture-file L1 sad "sad.csv" column="text" contrast="contrast"')
    return made


@pytest.fixture(params=["llama", "gpt2"])
def whole(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair], tmp_path: Path) -> Session:
    """With as much text that is read, and as many random edits, as there are."""
    return ready(pair_of(request.param), tmp_path)


@pytest.fixture(params=["llama", "gpt2"])
def session(
    request: pytest.FixtureRequest,
    pair_of: Callable[[str], Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    """With as little text that is read, and as few random edits, as give a number."""
    fewer_random_edits(monkeypatch)
    monkeypatch.setattr(loading, "SIZES", LITTLE)
    return ready(pair_of(request.param), tmp_path)


def logits(session: Session) -> torch.Tensor:
    tokens = torch.arange(3, 27).reshape(2, 12)
    return session.text.forward(tokens).logits


def edited(session: Session, line: str) -> Edit:
    found = session.run(line)
    assert isinstance(found, Edit)
    return found


def test_activations_are_what_the_down_projection_is_given(llama: Pair) -> None:
    rows = [[3, 4, 5, 6, 7], [9, 8, 7]]
    block = llama.library.model.layers[1]
    given = []
    hook = architectures.part(block, llama.kind.down).register_forward_pre_hook(
        lambda _module, args: given.append(args[0][0])
    )
    for row in rows:
        llama.library(torch.tensor([row]))
    hook.remove()
    mean = mean_activation(llama.text, 1, rows, [(1, 4), (0, 3)])
    assert torch.allclose(mean, torch.cat([given[0][1:4], given[1]]).mean(dim=0), atol=1e-5)
    inside = torch.cat([given[0][1:], given[1][1:]]).double()
    moment = second_moments(llama.text, (0, 1), rows)[1]
    assert torch.equal(moment, second_moments(llama.text, (1,), rows)[1])
    assert torch.allclose(moment, inside.T @ inside / len(inside), atol=1e-4)


def test_an_edit_is_of_rank_one_answers_its_key_and_is_taken_back_bit_for_bit(session: Session) -> None:
    before, original = logits(session), session.run("info").hash
    made = edited(session, f"inject-concept L1 sad dose=1.0 method=memory {FORCED}")
    assert made.applied and made.method == "memory" and made.judged_by == "damage" and made.rank == 1
    assert torch.equal(logits(session), before), "it is staged, not live"
    version = session.staged(1)
    assert version.factors is not None
    delta = version.factors.dense().double()
    delta = delta.T if session.model.header.transposed else delta
    assert delta.shape == (session.model.dims[1], session.model.header.neurons[1])
    key = key_of(session.text, halves(session.state.concepts["sad"])[0]).double()
    query = torch.linalg.svd(delta)[2][0]
    scale = float(query @ key)
    other = torch.linalg.solve(moment_of(session, 1) + 1e-2 * torch.eye(len(key)).double(), key)
    assert abs(scale) > 0 and abs(float(torch.cosine_similarity(query, other, dim=0))) > 0.5
    assert made.relative_norm == pytest.approx(float(delta.norm() / session.model.weight(1).norm()), rel=1e-4)
    session.run("apply L1")
    assert not torch.equal(logits(session), before)
    session.run("undo")
    assert torch.equal(logits(session), before)
    session.run("redo\nrestore L1")
    session.run("apply L1")
    assert torch.equal(logits(session), before) and session.run("info").hash == original


def test_the_value_may_be_the_difference_of_means(session: Session) -> None:
    written = halves(session.state.concepts["sad"])[0]
    direction = pushes(session, written, (1,))[1].double()
    for line, way in (("inject-concept L1 sad", 1.0), ("remove-concept L1 sad", -1.0)):
        made = edited(session, f"{line} dose=0.5 method=memory value=mean {FORCED}")
        assert made.rank == 1 and any("difference of means" in note for note in made.notes)
        factors = session.staged(1).factors
        assert factors is not None
        delta = factors.dense().double()
        delta = delta.T if session.model.header.transposed else delta
        key = key_of(session.text, written).double()
        assert torch.allclose(delta @ key, way * 0.5 * direction, rtol=1e-3, atol=1e-4)
        session.run("undo")
    best = edited(session, f"inject-concept L1 sad dose=0.5 method=memory value=best {FORCED}")
    session.run("undo")
    usual = edited(session, f"inject-concept L1 sad dose=0.5 method=memory {FORCED}")
    assert best.norm == usual.norm != made.norm and not usual.notes


def test_several_layers_are_edited_at_once_and_taken_back_at_once_or_each(session: Session) -> None:
    before, original = logits(session), session.run("info").hash
    start = session.state
    made = edited(session, f"inject-concept L0..L1 sad dose=1.0 method=memory {FORCED}")
    assert made.applied and made.layers == (0, 1) and made.rank == 2 and made.layer == 0
    parts = [session.staged(layer).factors for layer in (0, 1)]
    norms = [part.norm for part in parts if part is not None]
    weights = [float(torch.linalg.vector_norm(session.model.weight(layer))) for layer in (0, 1)]
    assert len(norms) == 2 and made.norm == pytest.approx(math.hypot(*norms), rel=1e-5)
    assert made.relative_norm == pytest.approx(math.hypot(*norms) / math.hypot(*weights), rel=1e-4)
    assert made.effect is not None and made.effect.placebos == 2
    told = session.run("effect L0..L1 sad placebos=2 controls=random")
    assert told.log_prob_after == pytest.approx(made.effect.log_prob_after, abs=1e-4)
    assert told.log_prob_placebo == pytest.approx(made.effect.log_prob_placebo, abs=1e-3)
    half = session.run("effect L0 sad placebos=2 controls=all")
    assert half.log_prob_after != told.log_prob_after
    with pytest.raises((ElError, ScriptError), match="nothing is staged"):
        session.run("undo\neffect L0..L1 sad")
    session.run("redo\napply L0..L1")
    assert not torch.equal(logits(session), before)
    session.run("undo 2")
    assert session.state.layers == start.layers and torch.equal(logits(session), before)
    session.run("redo 2\nundo L1")  # the staged weight of one of them
    assert session.staged(1).depth == 0 and session.staged(0).depth == 1
    session.run("restore L0\nrestore L1")
    assert session.run("info").hash == original and torch.equal(logits(session), before)
    session.run('record "r.json"')
    assert session.run('replay "r.json"').identical
    session.run(
        f"with inject-concept [L0, L1] sad dose=1.0 method=memory {FORCED}:\n    print (status).staged_hash"
    )
    assert session.staged_hash() == original


def test_a_list_of_one_layer_is_that_layer(session: Session) -> None:
    one = edited(session, f"inject-concept L1 sad dose=0.5 method=memory {FORCED}")
    session.run("undo")
    same = edited(session, f"inject-concept [L1] sad dose=0.5 method=memory {FORCED}")
    assert same.norm == one.norm and same.layers == one.layers == () and same.layer == 1
    session.run("undo")
    other = edited(session, f"inject-concept L0 sad dose=0.5 method=memory {FORCED}")
    assert other.layer == 0 and session.staged(0).depth == 1 and session.staged(1).depth == 0, (
        "captured at L1"
    )


def test_a_guard_hears_of_all_layers_together(session: Session) -> None:
    written = memory_edit(session, session.state.concepts["sad"], None, 0.02, layers=(0, 1), dose=40.0)
    weights = {layer: session.weight(session.memory(layer)) for layer in (0, 1)}
    windows = session.text.choosing_windows(min(guards._WINDOWS, session.text.sizes.judged))
    gauge = Gauge(session, 0, windows)
    rise = gauge.rise(changed(weights, written.factors), gauge.losses(Change()))
    assert guards._rise(session, written.drafts) == pytest.approx(rise, abs=1e-5)
    assert rise != pytest.approx(guards._rise(session, written.drafts[:1]), abs=1e-5), (
        "one of them is not all"
    )
    session.run("guard strength-cap 0.000001")
    blocked = edited(session, f"inject-concept L0..L1 sad dose=40.0 method=memory {FORCED}")
    assert blocked.blocked and blocked.layers == (0, 1) and blocked.effect is None
    assert session.staged(0).depth == session.staged(1).depth == 0


def test_the_edit_is_heard_as_if_it_were_added_to_the_stream(session: Session) -> None:
    edited(session, f"inject-concept L1 sad dose=0.5 method=memory {FORCED}")
    tokens = torch.arange(3, 27).reshape(2, 12)
    weight = session.weight(session.staged(1))
    factors = session.staged(1).factors
    assert factors is not None
    delta = factors.dense().T if session.model.header.transposed else factors.dense()
    kept: list[torch.Tensor] = []

    def keep(activations: torch.Tensor) -> torch.Tensor:
        kept.append(activations)
        return activations

    added = Change(neurons={1: keep}, state={1: lambda stream: stream + kept[-1] @ delta.T})
    as_weight = session.text.forward(tokens, change=Change(weights={1: weight})).logits
    assert torch.allclose(session.text.forward(tokens, change=added).logits, as_weight, atol=2e-3)


def test_an_edit_as_a_part_of_the_pass_is_the_edit_of_the_weight_row_by_row(session: Session) -> None:
    tokens = torch.arange(3, 39).reshape(3, 12)
    text, weight = session.text, session.weight(session.memory(1))
    draws = torch.Generator().manual_seed(5)
    query = torch.randn(session.model.header.neurons[1], generator=draws) / 8
    values = torch.randn(3, 1, session.model.dims[1], generator=draws)
    at_once = Change(answers={1: (query, values)})
    found = text.forward(tokens, change=at_once).logits
    for row, value in enumerate(values):
        delta = value.T @ query[None]
        edited = weight + (delta.T if session.model.header.transposed else delta)
        alone = text.forward(tokens[row : row + 1], change=Change(weights={1: edited})).logits
        assert torch.allclose(found[row], alone[0], atol=2e-3)
        assert not torch.allclose(found[row], text.forward(tokens[row : row + 1]).logits[0], atol=2e-3)
    fewer = of_rows(at_once, torch.tensor([2, 0]))
    assert torch.allclose(text.forward(tokens[[2, 0]], change=fewer).logits, found[[2, 0]], atol=2e-3)


def test_only_changes_with_the_same_weights_and_landscapes_share_a_pass() -> None:
    one, two = torch.eye(2), torch.eye(2)
    for part in ("weights", "landscapes"):
        same, other, none = Change(**{part: {1: one}}), Change(**{part: {1: two}}), Change()
        driven = Change(drive={1: torch.ones(2)}, **{part: {1: one}})
        assert alike([same]) and alike([same, driven]) and alike([none, none])
        assert not alike([same, other]) and not alike([same, none]) and not alike([none, same])


def test_what_is_saved_the_library_loads_with_the_same_bits(session: Session, tmp_path: Path) -> None:
    edited(session, f"inject-concept L1 sad dose=1.0 method=memory {FORCED}")
    session.run('apply L1\nsave "out"')
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(again(torch.arange(3, 27).reshape(2, 12)).logits, logits(session))


def test_its_effect_stands_beside_random_values(whole: Session) -> None:
    session = whole
    made = edited(session, f"inject-concept L1 sad {FORCED}")
    effect = made.effect
    assert effect is not None and effect.placebos == 5 and effect.controls[0].kind == "random"
    assert effect.own_change is not None and effect.own_change_placebo is not None
    assert effect.kept_change is not None and effect.kept_change_placebo is not None
    assert effect.plain_change is not None and effect.log_prob_after > effect.log_prob_before
    assert [condition.at_least for condition in made.conditions] == [True, True]
    assert session.run("concepts").concepts[0].installed
    again = session.run("effect L1 sad")
    assert again.log_prob_before == effect.log_prob_before
    assert again.log_prob_after == pytest.approx(effect.log_prob_after, abs=1e-5)
    console = Console(width=110)
    with console.capture() as shown:
        console.print(render(made))
    assert "its own replies" in shown.get() and "judged by its damage on text" in shown.get()
    session.run("undo")
    with pytest.raises((ElError, ScriptError), match="nothing is staged"):
        session.run("effect L1 sad")


def test_a_concept_is_made_less_likely(whole: Session) -> None:
    made = edited(whole, f"remove-concept L1 sad {FORCED}")
    assert made.effect is not None and made.effect.log_prob_after < made.effect.log_prob_before
    assert made.operation == "remove-concept" and made.method == "memory"


def test_too_large_a_dose_is_refused_and_leaves_nothing(session: Session) -> None:
    before = session.state
    made = edited(session, "inject-concept L1 sad dose=5000.0 method=memory")
    assert not made.applied and "more than the budget" in made.reason
    assert session.state.layers == before.layers
    with pytest.raises((ElError, ScriptError), match="both say how much"):
        session.run("inject-concept L1 sad dose=1.0 method=memory strength=2.0")


def test_a_strength_is_the_size_of_the_change(session: Session) -> None:
    made = edited(session, f"inject-concept L1 sad strength=0.03 {FORCED}")
    assert made.relative_norm == pytest.approx(0.03, rel=1e-3) and made.dose is not None
    session.run("undo\nguard strength-cap 0.01\nguard cosine-drift 0.01\nguard max-basins 3")
    blocked = edited(session, f"inject-concept L1 sad strength=0.03 {FORCED}")
    assert blocked.blocked and "strength-cap" in blocked.reason


def test_landscape_methods_are_refused_before_and_while_it_runs(session: Session) -> None:
    load = f'load "{session.model.spec}"\ncapture L1 sad "I cry"\n'

    def codes(line: str) -> list[str]:
        return [item.code for item in check(Source(load + line + "\n")).diagnostics]

    assert codes("inject-concept L1 sad method=redirect") == ["EL251"]
    assert codes("remove-concept L1 sad method=basin") == ["EL251"]
    assert codes("inject-concept L0..L1 sad\nundo L0") == codes("inject-concept auto sad\nundo L1") == []
    assert codes("inject-concept L1 sad") == codes("remove-concept L1 sad method=memory") == []
    with pytest.raises(ElError) as caught:
        session.inject_concept("L1", "sad", method="aimed")
    assert caught.value.code == "EL251" and "method=aimed" in caught.value.message


def test_a_landscape_has_no_memory_of_another_shape() -> None:
    session = Session()
    session.load("tiny")
    session.run('capture L3 polite "Thank you so much"')
    with pytest.raises((ElError, ScriptError), match="is a landscape"):
        session.run("inject-concept L3 polite method=memory")
    begin = 'load tiny\ncapture L3 polite "Thank you so much"\n'
    for line in ("inject-concept [] polite", "apply []"):  # not all layers
        assert [found.code for found in check(Source(begin + line + "\n")).diagnostics] == ["EL206"]
    with pytest.raises(ElError, match="must be a layer"):
        session.apply([])
    for line in (
        "inject-concept L1..L3 polite",
        "inject-concept layers polite",
        "remove-concept [L1, L3] polite",
        "effect L1..L3 polite",
        "inject-concept L3 polite value=mean",
    ):
        [found] = check(Source(begin + line + "\n")).diagnostics
        assert found.code == "EL254" and found.span.text in line.split(maxsplit=1)[1]
    for given in ({"layer": ["L1", "L3"]}, {"layer": "layers"}, {"layer": 3, "value": "best"}):
        with pytest.raises(ElError) as caught:
            session.inject_concept(concept="polite", **given)
        assert caught.value.code == "EL254" and "of tiny have none" in caught.value.message
    assert session.staged(3).depth == 0


def test_a_direction_without_texts_has_no_key(session: Session) -> None:
    session.run('export-concept sad "sad.gguf"\nimport-concept "sad.gguf" name=back layer=L1')
    with pytest.raises((ElError, ScriptError), match="no texts"):
        session.run("inject-concept L1 back")


def test_texts_are_halved_where_there_are_enough(session: Session) -> None:
    sad = session.state.concepts["sad"]
    one, two = halves(sad)
    assert one.texts == sad.texts[::2] and two.texts == sad.texts[1::2]
    assert one.contrasts == sad.contrasts[::2] and torch.equal(one.states, sad.states[::2])
    session.run('capture L1 few "I cry"')
    few = session.state.concepts["few"]
    assert halves(few) == (few, few)


def test_an_edit_is_told_by_diff_and_replayed(session: Session) -> None:
    made = edited(session, f"inject-concept L1 sad dose=1.0 method=memory {FORCED}")
    found = session.run("diff L1")
    assert found.edits == 1 and found.rank == 1 and found.norm == pytest.approx(made.norm, rel=1e-3)
    session.run('apply L1\nrecord "done.json"')
    assert session.run('replay "done.json"').identical


def test_replies_that_are_to_stay_and_those_where_a_concept_is_said_answer_different_prompts(
    session: Session,
) -> None:
    text = session.text
    kept = set(text.kept_prompts)
    assert kept.isdisjoint(text.spoken_prompts) and kept.isdisjoint(text.measuring_prompts)
    assert set(text.spoken_prompts).isdisjoint(text.measuring_prompts)
    parts = [*own_halves(session, "kept"), own_replies(session, MEASURED, SAID, "kept, measuring")]
    asked = [{question for question, _ in part} for part in parts]
    assert all(asked) and set.union(*asked) <= kept
    for k, one in enumerate(asked):
        assert all(one.isdisjoint(other) for other in asked[:k])


def test_own_replies_are_of_several_kinds_and_none_is_measured_by(session: Session) -> None:

    text = session.text
    written, judged = own_halves(session)
    measured = {question for question, _ in own_replies(session, 16, text.sizes.reply, "measuring")}
    for part in (written, judged):
        asked = {question for question, _ in part}
        assert asked & set(text.other_prompts) and asked & set(text.choosing_prompts)
        assert not asked & (measured | set(text.measuring_prompts))
    assert not {question for question, _ in written} & {question for question, _ in judged}
    windows = window_halves(text)["held-out text"]
    later = text.measuring_windows()
    rows = [{tuple(row.tolist()) for row in part} for part in (*windows, later)]
    assert not (rows[0] & rows[1]) and not (rows[0] & rows[2]) and not (rows[1] & rows[2])


def test_a_text_of_ones_own_is_another_face(session: Session, tmp_path: Path) -> None:

    weight = session.model.weight(1)
    assert list(Faces(session, {1: weight}).before) == ["held-out text"]
    (tmp_path / "held.txt").write_text("The house by the river is old. " * 400)
    session.run('heldout "held.txt"')
    faces = Faces(session, {1: weight})
    assert list(faces.before) == ["held-out text", "the given held-out text"]
    rises = dict(faces.rises(Change(weights={1: weight})))
    assert len(rises) == 3 and all(abs(rise) < 1e-6 for rise in rises.values())

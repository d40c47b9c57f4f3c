"""What tokens settle in: one assignment behind survey, usage, contexts, probe, trace and generate, so numbers agree."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from energylang import Session, results
from energylang.compat import BasinSurgeon
from energylang.landscape.assign import assign, nearest, place
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import HELD, Registry
from energylang.landscape.survey import survey
from energylang.looking.reading import read
from energylang.models.hopfield.sandbox import planted_model, random_model
from energylang.models.model import Model
from energylang.run.interpreter import ScriptError
from energylang.workspace import whole

TEXT = "Thank you so much for your help"


@pytest.fixture(scope="module")
def surveyed() -> tuple[Session, list[results.Survey]]:
    session = Session("tiny")
    return session, [session.survey(layer) for layer in range(4)]


def visits(usage: results.Usage) -> dict[int, int]:
    return {row.basin: row.visits for row in usage.basins}


def told(survey: results.Survey) -> list[tuple[object, ...]]:
    """What a survey says of its basins, in its order."""
    return [
        (row.id, row.population, row.tokens, [item.token for item in row.top_tokens], str(row.context))
        for row in survey.basins
    ]


# ------------------------------------------------------------------------------------------ a survey


@pytest.mark.parametrize("layer", range(4))
def test_a_survey_adds_up_and_gives_nearly_every_token_a_basin(surveyed, layer: int):
    found = surveyed[1][layer]
    rows = found.basins
    assert sum(row.population for row in rows) + found.origin_population + found.unsettled == found.num_starts
    assert found.num_starts == found.inits + found.installed_starts
    without = found.tokens_to_zero + found.tokens_unsettled
    assert sum(row.tokens for row in rows) + without == found.token_states >= 2000
    assert without <= 0.05 * found.token_states
    assert found.token_basins == sum(row.tokens > 0 for row in rows)
    assert found.num_basins == len(rows) == sum(row.tokens > 0 or row.population > 0 for row in rows)
    assert sum(row.token_share for row in rows) == pytest.approx(1 - without / found.token_states)
    singles = sum(row.tokens == 1 for row in rows)
    assert found.token_coverage == pytest.approx(1 - singles / found.token_states)


@pytest.mark.parametrize("layer", range(4))
def test_basins_come_by_tokens_then_by_starts_and_a_first_survey_numbers_them_so(surveyed, layer: int):
    rows = surveyed[1][layer].basins
    keys = [(-row.tokens, -row.population) for row in rows]
    assert keys == sorted(keys)
    assert [row.id for row in rows] == list(range(len(rows)))


@pytest.mark.parametrize("layer", range(4))
def test_survey_usage_contexts_and_probe_count_the_same_tokens(surveyed, layer: int):
    session, found = surveyed[0], surveyed[1][layer]
    usage = session.usage(layer)
    assert visits(usage) == {row.id: row.tokens for row in found.basins if row.tokens}
    assert usage.tokens == found.token_states
    assert (usage.to_zero, usage.unsettled) == (found.tokens_to_zero, found.tokens_unsettled)
    assert usage.elsewhere == usage.to_zero + usage.unsettled
    for row in (found.basins[0], found.basins[5], found.basins[found.token_basins - 1]):
        contexts, probe = session.contexts(layer, row, top=1000), session.probe(layer, row, top=3)
        assert contexts.visits == probe.visits == row.tokens
        assert probe.share == row.token_share
        assert str(contexts.contexts[0]) == str(row.context) == str(probe.contexts[0])
        assert len({str(context) for context in contexts.contexts}) == len(contexts.contexts) <= row.tokens
        held = [(item.token, item.score) for item in probe.holds]
        assert held == [(item.token, item.score) for item in row.top_tokens]


def test_a_second_survey_says_the_same(surveyed):
    session, before = surveyed[0], surveyed[1][3]
    again = session.survey(3)
    assert told(again) == told(before)


def test_two_sessions_say_the_same():
    first, second = Session("tiny"), Session("tiny")
    for session in (first, second):
        session.trace(3, TEXT)
    assert visits(first.usage(3)) == visits(second.usage(3))
    assert told(first.survey(3)) == told(second.survey(3))


def test_another_seed_changes_the_starts_and_not_the_tokens(surveyed):
    session = Session("tiny")
    first, second = session.survey(1), session.survey(1, seed=1)
    assert first.token_states == second.token_states
    assert visits(session.usage(1)) == {row.id: row.tokens for row in second.basins if row.tokens}
    shared = {row.id: row.tokens for row in first.basins[:20]}
    now = {row.id: row.tokens for row in second.basins}
    assert sum(abs(now.get(id, 0) - tokens) for id, tokens in shared.items()) <= 0.02 * first.token_states


def test_without_text_there_are_no_tokens_and_starts_decide():
    session = Session("planted:64x6")
    found = session.survey(0)
    assert (found.token_states, found.token_basins, found.token_coverage) == (0, 0, None)
    assert all(row.tokens == 0 and row.token_share is None and row.context is None for row in found.basins)
    populations = [row.population for row in found.basins]
    assert populations == sorted(populations, reverse=True)
    assert session.staged(0).registry.main() == session.staged(0).registry.alive()


# ----------------------------------------------------------------------------- texts, traces, replies


@pytest.mark.parametrize("layer", range(4))
def test_a_trace_and_the_usage_of_its_text_name_the_same_basins(surveyed, layer: int):
    session = surveyed[0]
    trace, usage = session.trace(layer, TEXT), session.usage(layer, text=TEXT)
    assert visits(usage) == Counter(token.basin for token in trace.tokens if token.basin is not None)
    missing = sum(token.basin is None for token in trace.tokens)
    assert missing == trace.to_zero + trace.unsettled == usage.elsewhere
    assert all((token.cosine is None) == (token.basin is None) for token in trace.tokens)
    assert all(-1.001 <= token.cosine <= 1.001 for token in trace.tokens if token.cosine is not None)
    known = {basin.id for basin in session.staged(layer).registry.alive()}
    assert {token.basin for token in trace.tokens if token.basin is not None} <= known


def test_a_trace_of_held_out_text_meets_the_basins_that_the_survey_counts(surveyed):
    session = surveyed[0]
    text = session.text
    for row in range(len(text.reading_windows())):
        ids = text.reading_windows()[row].tolist()
        if text.encode(text.decode(ids)) == ids:
            break
    else:
        pytest.fail("no window of the held-out text reads back as it was")
    counted = read(session, 3, text.reading_windows()).basins[row]
    traced = [token.basin for token in session.trace(3, text.decode(ids)).tokens]
    same = sum(
        (name if name is not None else -1) == basin for name, basin in zip(traced, counted, strict=True)
    )
    assert same >= 0.95 * len(ids)  # one pass or many: states differ in the last bits


@pytest.mark.parametrize("first", [True, False])
def test_a_reply_names_the_basin_of_every_state_that_settles(surveyed, first: bool):
    session = Session("tiny") if first else surveyed[0]
    made = session.generate("Can you help me with the laptop?", tokens=40, seed=3)
    names = [basin for step in made.steps for basin in step.basins]
    assert len(names) == 4 * made.tokens
    assert names.count(None) == made.to_zero + made.unsettled <= 0.05 * len(names)
    cosines = [cosine for step in made.steps for cosine in step.cosines]
    assert [cosine is None for cosine in cosines] == [name is None for name in names]
    path = session.trace_generation(3, "Can you help me with the laptop?", tokens=40, seed=3)
    assert [token.basin for token in path.tokens] == [step.basins[3] for step in made.steps]


def test_a_usage_is_set_beside_the_held_out_text_and_passages_of_it(surveyed):
    session = surveyed[0]
    session.run('capture L3 polite "Thank you so much, that is very kind of you"')
    usual = {row.basin: row.share for row in session.usage(1).basins}
    usage = session.usage(1, concept="polite")  # any layer: only the texts are read
    assert usage.of == "concept polite"
    assert sum(usage.basins[k].visits for k in range(usage.visited)) + usage.elsewhere == usage.tokens
    assert usage.tokens == len(session.text.encode("Thank you so much, that is very kind of you"))
    assert all(row.reference == usual.get(row.basin, 0.0) for row in usage.basins)
    assert 0 <= usage.distance <= 1 and 0 < usage.p <= 1 and usage.distance_chance_std > 0
    whole_text = session.usage(1)
    assert (whole_text.distance, whole_text.p, whole_text.reference_tokens) == (None, None, None)


def test_the_held_out_text_itself_is_as_far_off_as_its_passages(surveyed):
    session = surveyed[0]
    text = session.text
    far = []
    for window in text.reading_windows()[4:8]:
        usage = session.usage(0, text=text.decode(window.tolist()[:60]))
        far.append(usage.p)
    assert max(far) > 0.05


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('usage L3 text=""', "EL201"),
        ('capture L3 polite "Thank you"\nusage L3 concept=polite text="Hi"', "EL202"),
        ("usage L3 concept=polite", "EL305"),
        ("usage L3 concept=7", "EL201"),
        ("usage L9", "EL302"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_code(line: str, code: str):
    with pytest.raises(ScriptError) as error:
        Session("tiny").run(line)
    assert f"[{code}]" in str(error.value)


def test_intervening_reaches_the_tokens_that_usage_counts(surveyed):
    session, found = surveyed[0], surveyed[1][2]
    row = found.basins[1]
    done = session.run(f"intervene L2.B{row.id} zero")
    assert (done.reach, done.tokens) == (row.tokens, found.token_states)
    session.undo()


def test_the_published_survey_places_its_starts_among_the_basins_that_it_lists():
    surgeon = BasinSurgeon(Session("tiny"))
    found = surgeon.survey(3, inits=60)
    counts = Counter(found["basin_ids"])
    assert sum(counts.values()) == 60
    assert [counts[place] for place in range(len(found["basins"]))] == found["populations"]


# ------------------------------------------------------------------------- edits, undo, and sessions


def test_names_leave_no_trace_in_weights_and_edits_keep_them():
    session = Session("tiny")
    origin = session.staged_hash()
    session.generate("Hello", tokens=10)
    session.usage(2)
    assert session.staged_hash() == session.live_hash() == origin
    before = visits(session.usage(2))
    edit = session.remove(2, "L2.B0", force=True, reason="a test")
    assert edit.applied and session.staged_hash() != origin
    assert visits(session.usage(2)) == before  # the live model has not heard of it
    staged = session.survey(2)
    session.apply(2)
    assert visits(session.usage(2)) == {row.id: row.tokens for row in staged.basins if row.tokens}
    assert {row.id for row in staged.basins} - set(before)
    session.undo(2)
    assert session.staged_hash() == session.live_hash() == origin
    assert visits(session.usage(2)) == before


def test_the_gate_keeps_the_main_basins_and_not_every_basin_with_a_token(surveyed):
    session, found = surveyed[0], surveyed[1][3]
    main = {basin.id for basin in session.staged(3).registry.main()}
    wanted = {row.id for row in found.basins if row.population or row.tokens >= HELD * found.token_states}
    assert main == wanted and len(main) < found.num_basins
    edit = session.inject(3, 42, strength=1e-4)
    assert 0 < edit.protected <= len(main)
    if edit.applied:
        session.undo()


def test_a_session_is_written_with_its_tokens_and_an_older_one_can_be_read(tmp_path):
    session = Session("tiny")
    found = session.survey(2)
    session.run(f'save "{tmp_path / "one.safetensors"}" session=true')
    again = Session()
    again.run(f'load "{tmp_path / "one.safetensors"}" session=true')
    assert [basin.tokens for basin in again.staged(2).registry.alive()] == [
        row.tokens for row in found.basins
    ]
    tensors, about = whole.written(session)
    for kind, *rest in about["items"]:
        if kind in ("Basin", "Registry"):
            rest[0].pop("tokens", None)
            rest[0].pop("token_states", None)
    whole.restored(again, session.model, tensors, about)
    assert {basin.tokens for basin in again.staged(2).registry.alive()} == {0}
    assert len(again.staged(2).registry.alive()) == found.num_basins


# ------------------------------------------------------------------------------------ the assignment


def of(model: Model) -> Landscape:
    return Landscape(model.weight(0), model.beta(0), model.degree)


@pytest.fixture(scope="module", params=["planted", "wide", "random"])
def landscape(request: pytest.FixtureRequest) -> Landscape:
    made = {
        "planted": lambda: planted_model(64, 6),
        "wide": lambda: planted_model(128, 4),
        "random": lambda: random_model(32),
    }
    return of(made[request.param]())


def draws(landscape: Landscape, count: int = 120) -> torch.Tensor:
    return starts(count, landscape.dim, stable_generator("tokens test"), landscape.weight)


def test_starts_of_a_survey_go_where_the_survey_says(landscape: Landscape):
    states = draws(landscape)
    found = survey(landscape, states)
    index, rest, settled = assign(landscape, found.centres, states, stable_generator("kicks"))
    assert int((index != found.assignment).sum()) <= 2  # a cluster's leader may speak for another's neighbour
    assert int((~settled).sum()) <= found.num_unsettled + 1
    inside = index >= 0
    assert bool(settled[inside].all())
    assert torch.equal(nearest(rest[inside], found.centres), index[inside])


def test_a_state_s_basin_does_not_depend_on_its_company(landscape: Landscape):
    states = draws(landscape)
    centres = survey(landscape, states).centres
    index, _, settled = assign(landscape, centres, states, stable_generator("kicks"))
    order = torch.randperm(len(states), generator=stable_generator("order"))
    other, _, calm = assign(landscape, centres, states[order[:50]], stable_generator("kicks"))
    assert int((other != index[order[:50]]).sum()) <= 1  # kicks of saddles are drawn for the batch
    assert int((calm != settled[order[:50]]).sum()) <= 1


def test_placing_twice_finds_nothing_new(landscape: Landscape):
    states = draws(landscape)
    none = states[:0]
    first = place(landscape, none, states, stable_generator("kicks"))
    resting = first.settled & ~first.at_origin
    assert bool(((first.index >= 0) == resting).all())
    assert set(first.index[resting].tolist()) == set(range(len(first.fresh)))
    second = place(landscape, first.fresh, states, stable_generator("kicks"))
    assert len(second.fresh) == 0 and torch.equal(second.index, first.index)


def test_mirrors_go_to_mirrors(landscape: Landscape):
    states = draws(landscape, 40)
    none = states[:0]
    here = place(landscape, none, states, stable_generator("kicks"))
    there = place(landscape, none, -states, stable_generator("kicks"))
    close = torch.linalg.vector_norm(here.rest + there.rest, dim=1) < 1e-2 * landscape.dim**0.5
    assert int((~close).sum()) <= 2


def test_a_registry_takes_in_what_only_tokens_reach_and_brings_back_what_was_lost():
    landscape = of(planted_model(64, 6))
    centres = survey(landscape, draws(landscape)).centres[:4]
    registry, ids = Registry().with_centres(landscape, centres)
    assert ids == (0, 1, 2, 3) and registry.next_id == 4
    registry = registry.with_tokens({0: 1, 2: 9}, 1000)
    assert [basin.tokens for basin in registry.alive()] == [1, 0, 9, 0]
    assert [basin.id for basin in registry.main()] == [2]  # 9 of 1,000 are more than HELD, 1 is less
    dealt, renamed = registry.by_tokens(1)
    assert renamed == {2: 1, 1: 2, 3: 3}
    assert [basin.tokens for basin in dealt.basins] == [1, 9, 0, 0]
    gone, lineage = registry.after_edit(landscape.with_weight(0.0 * landscape.weight + 1e-6), 1)
    assert set(lineage.lost) == {0, 1, 2, 3} and gone.token_states == 1000
    back, again = gone.with_centres(landscape, centres[2:3])
    assert again == (2,) and back.get(2).status == "alive" and back.next_id == 4

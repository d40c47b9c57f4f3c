"""Laws of the edits: exact fields, protection, symmetry, and basins that really come and go."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import (
    Landscape,
    LowRank,
    interaction,
    perturbed,
    settle,
    stable_generator,
    starts,
)
from energylang.landscape.edits import Proposal, inject, move, redirect, remove, scale_field
from energylang.landscape.lowrank import symmetric_pair
from energylang.landscape.margins import MarginSearch
from energylang.landscape.solve import field_edit, field_grid
from energylang.landscape.survey import return_rate, survey

from .conftest import Planted, random_layer, tilted


def basins(layer: Landscape, patterns: torch.Tensor) -> torch.Tensor:
    return settle(layer, 0.9 * patterns).states


def direction(d: int, key: object = 0) -> torch.Tensor:
    return torch.randn(d, generator=stable_generator("direction", key)).double()


def make_all(layer: Landscape, safe: torch.Tensor) -> dict[str, Proposal]:
    d = layer.dim
    return {
        "inject": inject(layer, direction(d), safe, generator=stable_generator(0)),
        "inject-strength": inject(layer, direction(d), safe, strength=0.2, generator=stable_generator(0)),
        "remove": remove(layer, safe[0], safe[1:], generator=stable_generator(0)),
        "remove-strength": remove(layer, safe[0], safe[1:], strength=0.1, generator=stable_generator(0)),
        "strengthen": scale_field(layer, safe[0], 1.5, safe),
        "weaken": scale_field(layer, safe[0], 0.7, safe),
        "move": move(layer, safe[0], direction(d), safe),
    }


@pytest.mark.parametrize("symmetric", [True, False])
def test_protected_fields_do_not_change(planted: Planted, symmetric: bool) -> None:
    layer, patterns = planted(64, 5)
    layer = layer if symmetric else tilted(layer)
    safe = basins(layer, patterns)
    for kind, proposal in make_all(layer, safe).items():
        others = safe if kind.startswith("inject") else safe[1:]
        before, after = layer.field(others), layer.edited(proposal.factors).field(others)
        assert float((after - before).abs().max()) < 1e-10, kind
    value = 0.9 * torch.sign(direction(64))
    sent = redirect(layer, direction(64, "key"), value, second_moment=None, protected=safe)
    assert float((layer.edited(sent.factors).field(safe) - layer.field(safe)).abs().max()) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 3, 7, 16, 33, 64, 100, 130])
def test_symmetric_layers_stay_symmetric_bit_for_bit(d: int, dtype: torch.dtype) -> None:
    layer = random_layer(d, "symmetric", dtype=dtype)
    safe = starts(d // 8, d, stable_generator("safe"), layer.weight)
    target = direction(d).to(dtype)
    for strength in (None, 0.3):
        edited = layer.edited(
            inject(layer, target, safe, strength=strength, generator=stable_generator(0)).factors
        )
        assert torch.equal(edited.weight, edited.weight.T)
    both = scale_field(layer, target, 2.0, safe).factors
    both = both.joined(remove(layer, -target.abs(), safe, generator=stable_generator(1)).factors).scaled(
        -0.37
    )
    edited = layer.edited(both)
    assert torch.equal(edited.weight, edited.weight.T)
    assert edited.symmetric


def test_tilted_layers_give_the_exact_field(planted: Planted) -> None:
    layer, patterns = planted(64, 5)
    layer = tilted(layer)
    proposal = inject(layer, direction(64), basins(layer, patterns), generator=stable_generator(0))
    pattern = 0.9 * torch.sign(direction(64))
    field = layer.edited(proposal.factors).field(pattern[None])[0]
    assert proposal.margin is not None
    assert torch.allclose(field, proposal.margin * pattern, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 30), st.integers(0, 9999), st.integers(1, 2), st.booleans())
def test_the_solve_is_exact_and_minimal(d: int, seed: int, t: int, symmetric: bool) -> None:
    layer = random_layer(d, "symmetric" if symmetric else "free", seed=seed)
    g = stable_generator("solve", seed)
    states, safe = starts(t, d, g, layer.weight), starts(max(1, d // 4), d, g, layer.weight)
    wanted = torch.randn(t, d, generator=g).double()
    edit = field_edit(layer, states, wanted, safe)
    dense, y, protected = edit.dense(), interaction(states, 3).T, interaction(safe, 3).T
    size = 1.0 + float(dense.norm())
    assert float((dense @ protected).norm()) < 1e-8 * size
    if not symmetric:
        assert torch.allclose((layer.weight + dense) @ y, wanted.T, atol=1e-8 * size)
    elif t == 1:
        basis = torch.linalg.qr(protected).Q
        change = wanted.T - layer.weight @ y
        assert torch.allclose(dense @ y, change - basis @ (basis.T @ change), atol=1e-8 * size)
    # Minimal: any other change with the same effect differs by one that is orthogonal to it.
    known = torch.linalg.qr(torch.cat((y, protected), dim=1)).Q
    other = torch.randn(d, d, generator=g).double()
    other = other - other @ known @ known.T
    if symmetric:
        free = torch.eye(d).double() - known @ known.T
        other = free @ (other + other.T) @ free
    assert abs(float((dense * other).sum())) < 1e-7 * size * (1 + float(other.norm()))
    if t == 1:
        (one,) = field_grid(layer, states[0], wanted, safe)
        assert torch.allclose(one.dense(), dense, atol=1e-9 * size)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_auto_strength_returns_from_thirty_percent(
    planted: Planted, symmetric: bool, dtype: torch.dtype
) -> None:
    layer, patterns = planted(96, 5, dtype=dtype)
    layer = layer if symmetric else tilted(layer)
    safe = basins(layer, patterns)
    target = direction(96).to(dtype)
    proposal = inject(layer, target, safe, generator=stable_generator("auto"))
    edited = layer.edited(proposal.factors)
    assert proposal.notes == ()
    assert float(cosine_rows(proposal.target, target.sign())) > 0.95
    rate = return_rate(edited, proposal.target[None], 0.3, 16, stable_generator("auto"))
    assert float(rate) == 1.0
    assert float(return_rate(edited, proposal.target[None], 0.3, 200, stable_generator("other"))) > 0.85
    assert float(cosine_rows(basins(edited, patterns), safe).min()) > 0.99


def test_auto_strength_is_the_smallest_that_suffices(planted: Planted) -> None:
    layer, patterns = planted(64, 5)
    safe = basins(layer, patterns)
    wide = inject(layer, direction(64), safe, generator=stable_generator(0), wanted_radius=0.6)
    narrow = inject(layer, direction(64), safe, generator=stable_generator(0), wanted_radius=0.1)
    assert narrow.factors.norm < wide.factors.norm
    again = inject(layer, direction(64), safe, generator=stable_generator(0), wanted_radius=0.1)
    assert torch.equal(again.factors.left, narrow.factors.left)


@pytest.mark.parametrize("symmetric", [True, False])
def test_numeric_strength_is_relative_to_the_norm(planted: Planted, symmetric: bool) -> None:
    layer, patterns = planted(64, 5)
    layer = layer if symmetric else tilted(layer)
    safe = basins(layer, patterns)
    proposal = inject(layer, direction(64), safe, strength=0.25, generator=stable_generator(0))
    assert proposal.factors.norm == pytest.approx(0.25 * layer.frobenius, rel=1e-9)
    blank = Landscape(torch.zeros(64, 64), 4.0)
    first = inject(blank, direction(64), None, strength=0.5, generator=stable_generator(0))
    assert first.factors.norm == pytest.approx(0.5 * 8.0, rel=1e-5)
    assert float(cosine_rows(first.target, direction(64).sign().float())) > 0.99
    auto = inject(blank, direction(64), None, generator=stable_generator(0))
    assert float(cosine_rows(auto.target, direction(64).sign().float())) > 0.99


@pytest.mark.parametrize("symmetric", [True, False])
def test_remove_really_removes(planted: Planted, symmetric: bool) -> None:
    layer, patterns = planted(64, 5)
    layer = layer if symmetric else tilted(layer)
    safe = basins(layer, patterns)
    proposal = remove(layer, safe[0], safe, generator=stable_generator(0))
    edited = layer.edited(proposal.factors)
    mirror_pair = torch.stack((safe[0], -safe[0]))
    assert float(return_rate(layer, mirror_pair, 0.1, 32, stable_generator(1)).min()) == 1.0
    assert float(return_rate(edited, mirror_pair, 0.1, 32, stable_generator(1)).max()) == 0.0
    assert float(cosine_rows(settle(edited, safe[1:]).states, safe[1:]).min()) > 0.99
    assert any("mirror" in note for note in proposal.notes)


def test_remove_lets_basins_built_from_it_go(planted: Planted) -> None:
    layer, patterns = planted(64, 3)
    safe = basins(layer, patterns)
    mixture = torch.sign(safe.sum(0)) * 0.9
    proposal = remove(layer, safe[0], torch.cat((safe, mixture[None])), generator=stable_generator(0))
    assert any("built from" in note for note in proposal.notes)
    assert float(return_rate(layer.edited(proposal.factors), safe[:1], 0.1, 16, stable_generator(1))) == 0.0


def test_scaling_scales_the_field(planted: Planted) -> None:
    layer, patterns = planted(64, 4)
    layer = tilted(layer)
    safe = basins(layer, patterns)
    for factor, kind in ((1.6, "strengthen"), (0.6, "weaken")):
        proposal = scale_field(layer, safe[0], factor, safe)
        edited = layer.edited(proposal.factors)
        assert torch.allclose(edited.field(safe[:1]), factor * layer.field(safe[:1]), atol=1e-10)
        assert proposal.kind == kind


@pytest.mark.parametrize("symmetric", [True, False])
def test_move_removes_and_installs(planted: Planted, symmetric: bool) -> None:
    layer, patterns = planted(64, 4)
    layer = layer if symmetric else tilted(layer)
    safe = basins(layer, patterns)
    proposal = move(layer, safe[0], direction(64), safe)
    edited = layer.edited(proposal.factors)
    assert float(cosine_rows(proposal.target, direction(64).sign())) > 0.95
    assert float(return_rate(edited, safe[:1], 0.1, 16, stable_generator(1))) == 0.0
    assert float(return_rate(edited, proposal.target[None], 0.1, 16, stable_generator(1))) == 1.0


def test_redirect_moves_the_key_states_to_the_value(planted: Planted) -> None:
    layer, patterns = planted(64, 4)
    safe = basins(layer, patterns)
    crowd = perturbed(safe[:1], 0.2, 40, stable_generator("crowd"))[0]
    key = interaction(crowd, 3).mean(0)
    real = interaction(
        torch.cat((crowd, perturbed(safe[1:], 0.2, 40, stable_generator("rest")).flatten(0, 1))), 3
    )
    moment = real.T @ real / real.shape[0]
    proposal = redirect(layer, key, safe[1], second_moment=moment, gain=1.5)
    edited = layer.edited(proposal.factors)
    assert proposal.factors.rank == 1
    assert torch.allclose(edited.weight @ key, 1.5 * safe[1], atol=1e-9)
    assert float(cosine_rows(settle(layer, crowd).states, safe[0]).min()) > 0.95
    assert float(cosine_rows(settle(edited, crowd).states, safe[1]).min()) > 0.95
    assert float(cosine_rows(settle(edited, safe[2:]).states, safe[2:]).min()) > 0.95
    assert not edited.symmetric
    assert any("symmetric" in note for note in proposal.notes)


def test_no_room_is_a_refusal(planted: Planted) -> None:
    layer, patterns = planted(16, 3)
    safe = basins(layer, patterns)
    everything = torch.eye(16).double()
    calls = [
        lambda: inject(layer, safe[0], safe, generator=stable_generator(0)),
        lambda: inject(layer, direction(16), everything, strength=0.1, generator=stable_generator(0)),
        lambda: scale_field(layer, direction(16), 2.0, everything),
        lambda: redirect(layer, direction(16), safe[0], second_moment=None, protected=everything),
    ]
    for call in calls:
        with pytest.raises(LandscapeError, match="no room") as caught:
            call()
        assert "protect fewer" in caught.value.hint


def test_mirror_pairs_in_the_protected_set_use_no_extra_room(planted: Planted) -> None:
    layer, patterns = planted(32, 3)
    safe = basins(layer, patterns)
    noisy_mirrors = -perturbed(safe, 1e-5, 4, stable_generator(0)).flatten(0, 1)
    alone = inject(layer, direction(32), safe, strength=0.2, generator=stable_generator(0))
    crowded = inject(
        layer, direction(32), torch.cat((safe, noisy_mirrors)), strength=0.2, generator=stable_generator(0)
    )
    assert torch.allclose(alone.factors.dense(), crowded.factors.dense(), atol=1e-9)


@pytest.mark.parametrize(
    "bad", [torch.zeros(8), torch.ones(7), torch.full((8,), torch.nan), torch.ones(1, 8)]
)
def test_bad_vectors_are_landscape_errors(bad: torch.Tensor) -> None:
    layer = random_layer(8, "symmetric", dtype=torch.float32)
    good = torch.ones(8)
    for call in (
        lambda: inject(layer, bad, None, generator=stable_generator(0)),
        lambda: remove(layer, bad, None, generator=stable_generator(0)),
        lambda: scale_field(layer, bad, 2.0, None),
        lambda: move(layer, bad, good, None),
        lambda: move(layer, good, bad, None),
        lambda: redirect(layer, bad, good, second_moment=None),
        lambda: redirect(layer, good, bad, second_moment=None),
    ):
        with pytest.raises(LandscapeError):
            call()


def test_bad_numbers_are_landscape_errors() -> None:
    layer = random_layer(8, "symmetric", dtype=torch.float32)
    x, g = torch.ones(8), stable_generator(0)
    for call in (
        lambda: inject(layer, x, None, strength=-1.0, generator=g),
        lambda: inject(layer, x, None, generator=g, wanted_radius=float("nan")),
        lambda: inject(layer, x, None, generator=g, trials=0),
        lambda: remove(layer, x, None, strength=0.0, generator=g),
        lambda: remove(layer, x, None, generator=g, trials=0),
        lambda: scale_field(layer, x, float("inf"), None),
        lambda: redirect(layer, x, x, second_moment=None, gain=float("nan")),
        lambda: redirect(layer, x, x, second_moment=torch.eye(7)),
        lambda: redirect(layer, x, x, second_moment=-torch.eye(8)),
        lambda: inject(layer, x, torch.ones(2, 7), generator=g),
    ):
        with pytest.raises(LandscapeError):
            call()


def test_one_dimension_and_zero_weight_are_sane() -> None:
    line = Landscape(torch.tensor([[0.0]]), 4.0)
    up = inject(line, torch.tensor([2.0]), None, generator=stable_generator(0))
    assert float(up.target[0]) > 0.5
    edited = line.edited(up.factors)
    gone = remove(edited, up.target, None, generator=stable_generator(0))
    assert not bool(settle(edited.edited(gone.factors), up.target[None]).states.any())
    blank = Landscape(torch.zeros(8, 8), 4.0)
    nothing = remove(blank, torch.ones(8), None, strength=0.2, generator=stable_generator(0))
    assert nothing.factors.norm == 0.0
    assert remove(blank, torch.ones(8), None, generator=stable_generator(0)).factors.norm == 0.0


def test_symmetric_pair_is_the_sum_of_both_products() -> None:
    a, b = torch.randn(2, 9, 3, generator=stable_generator("pair"), dtype=torch.float64)
    assert torch.allclose(symmetric_pair(a, b).dense(), a @ b.T + b @ a.T)
    assert not bool(symmetric_pair(a, torch.zeros_like(b)).dense().any())
    assert isinstance(symmetric_pair(a, b), LowRank)


def test_a_slow_passage_is_not_taken_for_a_basin() -> None:
    """What a removal notes about noisy copies is what comes to rest, not what is on its way through slowly."""
    slow = 0
    for seed in range(6):
        layer = random_layer(24, "symmetric", seed=seed, beta=4.0)
        drawn = 0.5 * torch.randn(40, 24, generator=stable_generator("slow", seed)).to(layer.weight)
        for centre in survey(layer, drawn).centres[:4]:
            proposal = remove(layer, centre, None, generator=stable_generator("r", seed), trials=4)
            after = layer.edited(proposal.factors)
            copies = centre + relative_noise(centre[None], 4, stable_generator("r", seed), 0.1)[0]
            ends = settle(after, torch.cat((centre[None], copies))).states
            looks = cosine_rows(ends, centre) > 0.95
            rests = (cosine_rows(polish(after, ends)[0], centre) > 0.95) & looks
            still = [note for note in proposal.notes if "come to rest here" in note]
            assert bool(still) == bool(rests.any())
            slow += int(looks.sum()) - int(rests.sum())


@pytest.mark.parametrize("wanted_radius", [0.05, 0.3, 1.2])
def test_the_margin_found_is_the_smallest_on_the_grid(planted: Planted, wanted_radius: float) -> None:
    """Wherever the answer lies, inside the window that is tried first or not."""
    layer, patterns = planted(64, 4, beta=7.0, dtype=torch.float32)
    direction = torch.sign(torch.randn(64, generator=stable_generator("margin", 1)))
    arguments = (layer, 0.9 * direction, 0.9 * patterns)
    quick = MarginSearch(*arguments, stable_generator("m"), wanted_radius, 16)
    best = quick.smallest()
    every = MarginSearch(*arguments, stable_generator("m"), wanted_radius, 16)
    every._settle(list(range(len(every.margins))))
    while every._some_hold():
        pass
    holds = (every.fresh & (every.rate == 1.0)).nonzero().squeeze(1)
    assert torch.equal(every.tried, every.fresh)
    assert int(holds[0]) == best
    assert float(quick.rate[best]) == 1.0
    assert torch.allclose(quick.edit(best).dense(), every.edit(best).dense(), atol=1e-6)

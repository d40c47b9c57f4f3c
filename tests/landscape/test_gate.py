"""The gate rejects what destroys and accepts what is protected."""

from __future__ import annotations

import pytest
import torch

from energylang.errors import LandscapeError
from energylang.landscape.dynamics import Landscape, LowRank, settle, stable_generator
from energylang.landscape.edits import inject, remove
from energylang.landscape.gate import flipped, judge

from .conftest import Planted, random_layer, tilted


def random_edit(layer: Landscape, size: float, key: object) -> LowRank:
    left, right = torch.randn(2, layer.dim, 1, generator=stable_generator("random", key)).to(layer.weight)
    edit = LowRank(left, right)
    return edit.scaled(size * layer.frobenius / edit.norm)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_protected_inject_passes_and_a_random_edit_does_not(planted: Planted, symmetric: bool) -> None:
    layer, patterns = planted(64, 5)
    layer = layer if symmetric else tilted(layer)
    safe = settle(layer, 0.9 * patterns).states
    direction = torch.randn(64, generator=stable_generator("new")).double()
    good = inject(layer, direction, safe, generator=stable_generator(0))
    verdict = judge(
        layer,
        good.factors,
        safe,
        on_target=torch.stack((good.target, -good.target)),
        generator=stable_generator(1),
    )
    assert verdict.applied
    assert (verdict.kept, verdict.protected, verdict.lost) == (5, 5, ())
    assert verdict.changed_fraction <= 0.02
    bad = judge(layer, random_edit(layer, 3.0, 0), safe, generator=stable_generator(1))
    assert not bad.applied
    assert bad.kept + len(bad.lost) == 5
    assert bad.lost or bad.changed_fraction > 0.02
    assert bad.reason


def test_a_removal_is_not_blamed_for_its_own_basin(planted: Planted) -> None:
    layer, patterns = planted(64, 5)
    safe = settle(layer, 0.9 * patterns).states
    proposal = remove(layer, safe[0], safe, generator=stable_generator(0))
    own = torch.stack((safe[0], -safe[0]))
    blamed = judge(layer, proposal.factors, safe, generator=stable_generator(1))
    assert not blamed.applied
    assert blamed.lost == (0,)
    fair = judge(layer, proposal.factors, safe, on_target=own, generator=stable_generator(1))
    assert fair.applied
    assert fair.protected == 4


def test_doing_nothing_changes_nothing_and_is_deterministic(planted: Planted) -> None:
    layer, patterns = planted(64, 5, dtype=torch.float32)
    safe = settle(layer, 0.9 * patterns).states
    verdict = judge(layer, LowRank.zero(layer.weight), safe, generator=stable_generator(1))
    assert verdict.applied
    assert verdict.changed_fraction == 0.0
    edit = random_edit(layer, 0.5, 3)
    one, two = (judge(layer, edit, safe, generator=stable_generator(2)) for _ in range(2))
    assert one == two


def test_lost_rows_are_rows_of_the_protected_argument(planted: Planted) -> None:
    layer, patterns = planted(64, 5)
    safe = settle(layer, 0.9 * patterns).states
    kill = remove(layer, safe[3], safe, generator=stable_generator(0))
    verdict = judge(layer, kill.factors, safe, on_target=safe[:2], generator=stable_generator(1))
    assert verdict.lost == (3,)
    assert verdict.protected == 3


def test_limits_and_empty_sets() -> None:
    layer = random_layer(8, "symmetric")
    nothing = judge(layer, LowRank.zero(layer.weight), torch.zeros(0, 8), generator=stable_generator(0))
    assert nothing.applied
    assert nothing.protected == 0
    no_cues = judge(
        layer, LowRank.zero(layer.weight), torch.ones(2, 8), cues=0, generator=stable_generator(0)
    )
    assert no_cues.applied
    for bad in ({"flip": 1.5}, {"max_changed": -1.0}, {"decided": 0.0}, {"cues": -1}):
        with pytest.raises(LandscapeError):
            judge(layer, LowRank.zero(layer.weight), torch.ones(2, 8), generator=stable_generator(0), **bad)
    with pytest.raises(LandscapeError):
        judge(layer, LowRank.zero(layer.weight), torch.ones(2, 9), generator=stable_generator(0))


def test_cues_flip_exactly_their_share() -> None:
    cues = flipped(torch.ones(3, 40), 5, 0.15, stable_generator(0))
    assert torch.equal((cues < 0).sum(-1), torch.full((3, 5), 6))

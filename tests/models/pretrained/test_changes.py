"""What a change does to a pass of a pretrained model, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models import Change, sampling
from energylang.models.positions import Tally, where
from energylang.models.pretrained.loading import decoder_of
from energylang.models.protocol import Start

from .architectures import part
from .conftest import Pair

LAYER = 1
KINDS = ("drive", "state", "neurons", "heads")


def changed(kind: str, pair: Pair, **more: Any) -> Change:
    """A change of one kind that is felt."""
    width = pair.model.dims[LAYER]
    what: Any = torch.linspace(-1, 1, width) if kind == "drive" else lambda given: given * 3 + 0.5
    return Change(**{kind: {LAYER: what}}, **more)


def same(kind: str, pair: Pair) -> Change:
    """A change of one kind that changes nothing."""
    what: Any = torch.zeros(pair.model.dims[LAYER]) if kind == "drive" else lambda given: given
    return Change(**{kind: {LAYER: what}})


@contextmanager
def hooked(module: Any, alter: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A module of the library that reads something else than it is given."""
    hook = module.register_forward_pre_hook(lambda _, given: (alter(given[0]), *given[1:]))
    try:
        yield
    finally:
        hook.remove()


# --------------------------------------------------------------------------------- weights


def test_a_weight_that_is_put_is_felt_and_the_old_one_gives_the_old_bits(pair: Pair) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens)
    for layer in range(pair.model.num_layers):
        name, old = pair.model.weight_key(layer), pair.model.weight(layer)
        pair.model.put(name, old * 1.5)
        during = pair.text.forward(tokens)
        pair.model.put(name, old)
        after = pair.text.forward(tokens)
        assert not torch.equal(during.logits, before.logits)
        for below in range(layer):
            assert torch.equal(during.states[below], before.states[below])
        assert not torch.equal(during.states[layer], before.states[layer])
        assert torch.equal(after.logits, before.logits)


def test_any_weight_that_is_put_is_felt(pair: Pair) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens).logits
    for name, old in pair.model.tensors().items():
        pair.model.put(name, old * 1.5 + 0.25 * torch.sin(torch.arange(old.numel()).reshape(old.shape)))
        during = pair.text.forward(tokens).logits
        pair.model.put(name, old)
        if not name.endswith(
            ("k_proj.bias", "k_layernorm.bias")
        ):  # adds the same to all that attention compares
            assert not torch.equal(during, before), name
    assert torch.equal(pair.text.forward(tokens).logits, before)


def test_a_change_of_weights_is_the_weight_put(pair: Pair) -> None:
    tokens = pair.tokens()
    for layer in range(pair.model.num_layers):
        name, old = pair.model.weight_key(layer), pair.model.weight(layer)
        new = old * 0.5 + 0.01
        instead = pair.text.forward(tokens, change=Change(weights={layer: new}))
        assert pair.model.weight(layer) is old
        pair.model.put(name, new)
        put = pair.text.forward(tokens)
        pair.model.put(name, old)
        assert torch.equal(instead.logits, put.logits)
        for i, state in put.states.items():
            assert torch.equal(instead.states[i], state)


def test_a_change_of_weights_is_forgotten_by_the_next_pass(pair: Pair) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens).logits
    pair.text.forward(tokens, change=Change(weights={0: pair.model.weight(0) * 2}))
    assert torch.equal(pair.text.forward(tokens).logits, before)


def test_gradients_flow_to_a_weight_and_to_a_drive(pair: Pair) -> None:
    tokens = pair.tokens()
    weight = pair.model.weight(LAYER).clone().requires_grad_(True)
    drive = torch.zeros(pair.model.dims[0], requires_grad=True)
    with torch.enable_grad():
        change = Change(weights={LAYER: weight}, drive={0: drive})
        pair.text.forward(tokens, change=change).logits.square().mean().backward()
    for leaf in (weight, drive):
        assert leaf.grad is not None
        assert float(leaf.grad.abs().max()) > 0
    assert all(not tensor.requires_grad for tensor in pair.model.live.values())


def test_gradients_flow_through_a_pass_that_starts_at_a_layer(pair: Pair) -> None:
    tokens = pair.tokens()
    start = Start(LAYER, pair.text.entering(tokens, LAYER))
    found = []
    for begin in (None, start):
        weight = pair.model.weight(LAYER).clone().requires_grad_(True)
        with torch.enable_grad():
            logits = pair.text.run(tokens, Change(weights={LAYER: weight}), start=begin).logits
            logits.square().mean().backward()
        found.append(weight.grad)
    assert torch.equal(found[0], found[1])


# ------------------------------------------------------------------------------- functions


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_felt_from_its_layer_on(pair: Pair, kind: str) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens)
    after = pair.text.forward(tokens, change=changed(kind, pair))
    assert torch.equal(after.states[0], before.states[0])
    for layer in range(LAYER, pair.model.num_layers):
        assert not torch.allclose(after.states[layer], before.states[layer])
    assert not torch.allclose(after.logits, before.logits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_that_changes_nothing_changes_no_bit(pair: Pair, kind: str) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens)
    after = pair.text.forward(tokens, change=same(kind, pair))
    assert torch.equal(after.logits, before.logits)
    for layer, state in before.states.items():
        assert torch.equal(after.states[layer], state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_pass_may_start_at_the_layer(pair: Pair, kind: str) -> None:
    tokens = pair.tokens()
    change = changed(kind, pair)
    whole = pair.text.forward(tokens, change=change)
    rest = pair.text.run(tokens, change, start=Start(LAYER, pair.text.entering(tokens, LAYER)))
    assert torch.equal(rest.logits, whole.logits)
    assert torch.equal(rest.states[LAYER], whole.states[LAYER])


def test_a_drive_is_added_to_the_state(pair: Pair) -> None:
    tokens = pair.tokens()
    drive = torch.linspace(-1, 1, pair.model.dims[LAYER])
    before = pair.text.forward(tokens).states[LAYER]
    after = pair.text.forward(tokens, change=Change(drive={LAYER: drive})).states[LAYER]
    assert torch.equal(after, before + drive)


def test_functions_see_neurons_and_heads_in_their_shapes(pair: Pair) -> None:
    tokens, seen = pair.tokens(), {}
    block = decoder_of(pair.text).blocks[LAYER]

    def look(kind: str) -> Callable[[Tensor], Tensor]:
        return lambda given: seen.setdefault(kind, given)

    kinds = ("state", "neurons", "heads")
    pair.text.forward(tokens, change=Change(**{kind: {LAYER: look(kind)} for kind in kinds}))
    assert seen["state"].shape == (*tokens.shape, pair.model.dims[LAYER])
    assert seen["neurons"].shape == (*tokens.shape, pair.model.header.neurons[LAYER])
    assert seen["heads"].shape == (*tokens.shape, pair.model.header.heads[LAYER], block.head_dim)


def test_heads_that_say_nothing_are_attention_that_writes_nothing(pair: Pair) -> None:
    tokens = pair.tokens()
    ours = pair.text.forward(tokens, change=Change(heads={LAYER: torch.zeros_like})).logits
    out = part(part(pair.library, pair.kind.blocks)[LAYER], pair.kind.out)
    with hooked(out, torch.zeros_like):
        assert torch.equal(ours, pair.library(tokens).logits)
    if out.bias is None:
        hook = out.register_forward_hook(lambda _, __, answer: torch.zeros_like(answer))
        try:
            assert torch.allclose(ours, pair.library(tokens).logits, atol=1e-5)
        finally:
            hook.remove()


def test_one_head_is_its_own_part_of_what_is_written(pair: Pair) -> None:
    tokens = pair.tokens()
    size = decoder_of(pair.text).blocks[LAYER].head_dim

    def silenced(given: Tensor) -> Tensor:
        given = given.clone()
        given[..., 1, :] = 0
        return given

    def columns(given: Tensor) -> Tensor:
        given = given.clone()
        given[..., size : 2 * size] = 0
        return given

    ours = pair.text.forward(tokens, change=Change(heads={LAYER: silenced})).logits
    with hooked(part(part(pair.library, pair.kind.blocks)[LAYER], pair.kind.out), columns):
        assert torch.equal(ours, pair.library(tokens).logits)


def test_neurons_that_are_silent_are_an_mlp_that_reads_nothing(pair: Pair) -> None:
    tokens = pair.tokens()
    ours = pair.text.forward(tokens, change=Change(neurons={LAYER: torch.zeros_like})).logits
    with hooked(part(part(pair.library, pair.kind.blocks)[LAYER], pair.kind.down), torch.zeros_like):
        assert torch.equal(ours, pair.library(tokens).logits)


def test_a_function_that_fails_leaves_the_model_as_it_was(pair: Pair) -> None:
    tokens = pair.tokens()
    before = pair.text.forward(tokens).logits

    def fail(_: Tensor) -> Tensor:
        raise LandscapeError("no")

    for kind in ("state", "neurons", "heads"):
        with pytest.raises(LandscapeError, match="no"):
            pair.text.forward(tokens, change=Change(**{kind: {LAYER: fail}}))
        assert torch.equal(pair.text.forward(tokens).logits, before)


def test_a_pass_inside_of_a_change_leaves_the_outer_one_as_it_was(pair: Pair) -> None:
    tokens, other = pair.tokens(), pair.tokens(3, 5)
    weights = {layer: pair.model.weight(layer) * 1.5 for layer in range(pair.model.num_layers)}
    expected = pair.text.forward(tokens, change=Change(weights=weights))

    def busy(state: Tensor) -> Tensor:
        pair.text.forward(other, change=changed("neurons", pair))
        pair.text.entering(other, 0)
        return state

    found = pair.text.forward(tokens, change=Change(weights=weights, state={0: busy}))
    assert torch.equal(found.logits, expected.logits)
    assert sorted(found.states) == sorted(expected.states)


def test_passes_of_many_threads_do_not_meet(llama: Pair) -> None:
    tokens = [llama.tokens(2, 8 + k) for k in range(4)]
    changes = [changed(kind, llama) for kind in KINDS]
    expected = [llama.text.forward(t, change=c) for t, c in zip(tokens, changes, strict=True)]

    def right(k: int) -> bool:
        with torch.no_grad():
            found = llama.text.forward(tokens[k % 4], change=changes[k % 4])
        same = torch.equal(found.logits, expected[k % 4].logits)
        return same and sorted(found.states) == sorted(expected[k % 4].states)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(80)))


# --------------------------------------------------------------------------------- positions

BEGINS, LENGTHS = torch.tensor([5, 8]), torch.tensor([12, 10])
PLACES = torch.arange(12).expand(2, 12)
REAL = LENGTHS[:, None] > PLACES
MASKS = {
    "all": REAL,
    "last": (BEGINS - 1)[:, None] == PLACES,
    "reply": ((BEGINS - 1)[:, None] <= PLACES) & REAL,
    "2..4": (PLACES >= 2) & (PLACES <= 4),
    "9..400": (PLACES >= 9) & REAL,
    "90..99": PLACES > 90,
}


@pytest.mark.parametrize("kind", KINDS)
def test_outside_of_its_positions_a_change_leaves_the_layer_alone(pair: Pair, kind: str) -> None:
    tokens = pair.tokens(2, 12)
    before = pair.text.run(tokens, begins=BEGINS, lengths=LENGTHS).states[LAYER]
    for named, mask in MASKS.items():
        change = changed(kind, pair, where=where(named, pair.text.encode), tally=Tally())
        found = pair.text.run(tokens, change, begins=BEGINS, lengths=LENGTHS, read=(LAYER,))
        after = found.states[LAYER]
        assert torch.equal(after[~mask & REAL], before[~mask & REAL]), named
        assert not (after[mask] == before[mask]).all(dim=-1).any(), named
        assert change.tally == Tally(int(mask.sum()), int(REAL.sum())), named


@pytest.mark.parametrize("kind", KINDS)
def test_changes_of_one_pass_act_one_after_the_other_each_at_its_own_places(llama: Pair, kind: str) -> None:
    tokens = llama.tokens(2, 12)
    tallies = [Tally(), Tally()]
    first, second = (
        changed(kind, llama, where=where(named, llama.text.encode), tally=tally)
        for named, tally in zip(("2..4", "4..6"), tallies, strict=True)
    )
    before = llama.text.run(tokens).states[LAYER]
    both = llama.text.run(tokens, replace(first, also=(second,))).states[LAYER]
    assert torch.equal((both != before).any(dim=-1), (PLACES >= 2) & (PLACES <= 6))
    for change, alone in ((first, slice(2, 4)), (second, slice(5, 7))):
        assert torch.equal(both[:, alone], llama.text.run(tokens, change).states[LAYER][:, alone])
    assert [tally.touched for tally in tallies] == [12, 12]
    if kind == "drive":
        drive = first.drive[LAYER]
        assert torch.equal(both[:, 4], before[:, 4] + drive + drive)


def test_a_word_is_a_position(pair: Pair) -> None:
    row = torch.tensor([pair.text.encode("by the river, the house")])
    the = pair.text.encode(" the")
    change = changed("drive", pair, where=where("the", pair.text.encode), tally=Tally())
    before = pair.text.run(row).states[LAYER]
    moved = (pair.text.run(row, change).states[LAYER] != before).any(dim=-1)[0]
    assert len(the) == 1
    assert torch.equal(moved, row[0] == the[0])
    assert change.tally == Tally(2, row.shape[1])


def test_positions_are_counted_on_behind_what_is_kept(pair: Pair) -> None:
    ids = len(pair.text.prompt_ids("The river"))
    for named, touched in (("reply", 6), ("last", 1), (f"{ids}..{ids + 1}", 2), ("all", ids + 5)):
        tally = Tally()
        change = changed("drive", pair, where=where(named, pair.text.encode), tally=tally)
        change.drive[LAYER].mul_(0.01)
        sample = sampling.generate(
            pair.text,
            "The river",
            tokens=6,
            topk=1,
            generator=torch.Generator().manual_seed(0),
            change=change,
        )
        if len(sample.token_ids) == 6:
            assert tally == Tally(touched, ids + 5)


def test_a_changed_reply_is_the_changed_text_read_at_once(pair: Pair) -> None:
    change = changed("state", pair, where=where("reply", pair.text.encode))
    sample = sampling.generate(
        pair.text,
        "The river",
        tokens=5,
        topk=1,
        generator=torch.Generator().manual_seed(0),
        change=change,
        read=(LAYER,),
    )
    ids = pair.text.prompt_ids("The river")
    row = torch.tensor([[*ids, *sample.token_ids]])
    states = pair.text.run(row, change, begins=torch.tensor([len(ids)])).states[LAYER]
    assert torch.allclose(sample.states[LAYER], states[0, len(ids) - 1 : -1], atol=1e-3)

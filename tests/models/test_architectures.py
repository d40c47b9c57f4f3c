"""Configurations: older files lack newer entries, and mean what they meant."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylang.errors import CheckpointError
from energylang.models.attention import Cache, attention, begin_repeating, smear
from energylang.models.config import read_config
from energylang.models.hopfield.config import HLMConfig, Scaffold
from energylang.models.hopfield.network import entering, initial, run, shapes
from energylang.models.protocol import Start

OLD = HLMConfig(vocabulary=11, context=8, layers=2, width=8, dim=6, heads=2)


def entries(config: HLMConfig, **changes: object) -> dict[str, object]:
    return {**dataclasses.asdict(config), **changes}


def test_a_file_without_the_newer_entries_is_read_as_it_was_written() -> None:
    older = entries(OLD)
    del older["attends"], older["scale"], older["hidden"], older["smeared"]
    assert read_config("old.safetensors", {"kind": "hlm", "config": older}) == OLD


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": "red"}, "colour"),
        ({"scale": 0.0}, "scale"),
        ({"scale": "big"}, "scale"),
        ({"attends": 1}, "attends"),
        ({"hidden": -1}, "hidden"),
        ({"hidden": True}, "hidden"),
        ({"smeared": 3}, "smeared"),
        ({"smeared": -1}, "smeared"),
    ],
)
def test_impossible_and_unknown_entries_are_named(change: dict[str, object], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        read_config("new.safetensors", {"kind": "hlm", "config": entries(OLD, **change)})


def test_what_is_missing_is_named() -> None:
    less = entries(OLD)
    del less["width"]
    with pytest.raises(CheckpointError, match="width"):
        read_config("new.safetensors", {"kind": "hlm", "config": less})


@pytest.mark.parametrize("hidden", [0, 10])
@pytest.mark.parametrize("attends", [False, True])
def test_nothing_leads_around_the_bottleneck(attends: bool, hidden: int) -> None:
    """Two inputs that agree in the last layer's state agree in their predictions, whatever the stream was."""
    config = dataclasses.replace(OLD, attends=attends, scale=2.0, hidden=hidden)
    assert ("blocks.1.attention.qkv.weight" in shapes(config)) == attends
    tensors = initial(config, torch.Generator().manual_seed(0))
    tokens = torch.arange(8)[None] % config.vocabulary
    whole = run(tensors, config, tokens)
    stream = entering(tensors, config, tokens, 1)
    rest = run(tensors, config, None, start=Start(1, stream))
    assert torch.equal(rest.logits, whole.logits)
    apart = run(tensors, config, None, start=Start(1, stream.flatten(0, 1)[:, None]))
    assert torch.allclose(apart.logits[:, 0], whole.logits[0], atol=1e-6)
    louder = run(tensors, config, None, start=Start(1, 5 * stream))
    assert torch.allclose(louder.states[1], whole.states[1], atol=1e-4)  # the norm takes the size away
    assert torch.allclose(louder.logits, whole.logits, atol=1e-4)


def test_a_hidden_layer_makes_the_drive_even_where_a_linear_one_is_odd() -> None:
    """A linear drive without biases turns −z into −x; the hidden layer's does not, which is what it is for."""
    for hidden, odd in ((0, True), (10, False)):
        config = dataclasses.replace(OLD, hidden=hidden, layers=1, bottleneck=False, scale=2.0)
        tensors = initial(config, torch.Generator().manual_seed(1))
        stream = torch.randn(1, 3, config.width, generator=torch.Generator().manual_seed(2))
        there = run(tensors, config, None, start=Start(0, stream)).states[0]
        back = run(tensors, config, None, start=Start(0, -stream)).states[0]
        assert torch.allclose(there, -back, atol=1e-5) == odd


def test_free_steps_that_are_held_are_driven_steps() -> None:
    release = dataclasses.replace(OLD, mode="release", steps=3, free_steps=2)
    drive = dataclasses.replace(release, mode="drive")
    tensors = initial(release, torch.Generator().manual_seed(0))
    tokens = torch.arange(8)[None]
    held, free = (run(tensors, release, tokens, scaffold=Scaffold(held=h)).states[1] for h in (1.0, 0.0))
    assert torch.equal(held, run(tensors, drive, tokens).states[1])
    assert not torch.allclose(held, free)


def test_a_way_around_the_bottleneck_adds_the_stream() -> None:
    tensors = initial(OLD, torch.Generator().manual_seed(0))
    silent = {**tensors, "blocks.1.hopfield.output.weight": torch.zeros(8, 6)}
    tokens = torch.arange(8)[None]
    bare = run(silent, OLD, tokens).logits
    assert float(bare.std(dim=1).max()) < 1e-6  # nothing comes through
    assert float(run(silent, OLD, tokens, scaffold=Scaffold(around=0.5)).logits.std(dim=1).min()) > 0.1
    closed = run(tensors, OLD, tokens, scaffold=Scaffold(around=0.0)).logits
    assert torch.equal(closed, run(tensors, OLD, tokens).logits)


@pytest.mark.parametrize("hidden", [0, 32, 33, 64])
def test_the_bottleneck_begins_by_giving_back_what_it_reads(hidden: int) -> None:
    """So what attention has put into the stream is said from the first step of a training."""
    config = dataclasses.replace(
        OLD, layers=1, width=16, heads=2, dim=48, hidden=hidden, steps=1, free_steps=0
    )
    tensors = initial(config, torch.Generator().manual_seed(0))
    stream = torch.randn(1, 50, 16, generator=torch.Generator().manual_seed(1))
    state = run(tensors, config, None, start=Start(0, stream)).states[0]
    read = state @ tensors["blocks.0.hopfield.output.weight"].T
    alike = torch.nn.functional.cosine_similarity(read, stream, dim=2)
    assert float(alike.mean()) > 0.75


@pytest.mark.parametrize("arch", ["hlm", "transformer"])
def test_logits_of_wanted_places_are_those_of_the_whole(arch: str) -> None:
    from energylang.models.transformer import network as transformer

    tokens = torch.arange(8)[None].repeat(2, 1)
    wanted = torch.rand(2, 8, generator=torch.Generator().manual_seed(0)) > 0.5
    if arch == "hlm":
        tensors = initial(OLD, torch.Generator().manual_seed(0))
        whole, part = run(tensors, OLD, tokens), run(tensors, OLD, tokens, wanted=wanted)
    else:
        config = transformer.TransformerConfig(vocabulary=11, context=8, layers=2, width=8, heads=2, hidden=8)
        tensors = transformer.initial(config, torch.Generator().manual_seed(0))
        whole = transformer.run(tensors, config, tokens)
        part = transformer.run(tensors, config, tokens, wanted=wanted)
    assert torch.allclose(part.logits, whole.logits[wanted], atol=1e-6)


def test_a_smeared_head_sees_the_token_before_the_one_it_looks_at() -> None:
    """What such a head reads at a place depends on the token before the first one it could look at."""
    draw = torch.Generator().manual_seed(1)
    key = torch.randn(2, 4, 6, 5, generator=draw)
    found = smear(key, None, 3)
    assert torch.equal(found[:, :1], key[:, :1])
    assert torch.allclose(found[:, 1:, 1:], (key[:, 1:, 1:] + key[:, 1:, :-1]) / math.sqrt(2))
    assert torch.allclose(found[:, 1:, 0], key[:, 1:, 0] / math.sqrt(2))


@given(st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 3))
def test_smeared_attention_is_the_same_in_pieces(smeared: int, pieces: list[int], seed: int) -> None:
    """Rows of unequal length, padded on the right: pieces through a cache give what one pass gives."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {
        "blocks.0.attention.qkv.weight": torch.randn(24, 8, generator=draw),
        "blocks.0.attention.out.weight": torch.randn(8, 8, generator=draw),
    }
    first = torch.tensor([3, 1])
    stream = torch.randn(2, 3 + sum(pieces), 8, generator=draw)
    cache = Cache.empty(2, 3 + sum(pieces), stream.device)
    attention(
        tensors, 0, stream[:, :3], 4, cache, smeared
    )  # row 1 is padded: two of its tokens are overwritten
    cache.lengths = first.clone()
    rows = [stream[0], torch.cat([stream[1, :1], stream[1, 3:]])]
    wanted = [attention(tensors, 0, row[None], 4, None, smeared)[0] for row in rows]
    for count in pieces:
        given_rows = [row[at : at + count] for row, at in zip(rows, cache.lengths.tolist(), strict=True)]
        found = attention(tensors, 0, torch.stack(given_rows), 4, cache, smeared)
        for row, at in enumerate(cache.lengths.tolist()):
            assert torch.allclose(found[row], wanted[row][at : at + count], atol=1e-5)
        cache.lengths += count


@given(st.integers(0, 10_000))
def test_smeared_heads_begin_by_saying_again_what_came_after_a_word(seed: int) -> None:
    """Of a word that was said before, the stream gains most of what followed it then, on the mean over 64 texts."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {
        "blocks.0.attention.qkv.weight": 0.02 * torch.randn(192, 64, generator=draw),
        "blocks.0.attention.out.weight": 0.02 * torch.randn(64, 64, generator=draw),
    }
    begin_repeating(tensors, 0, 4, 4)
    said = torch.randn(64, 12, 64, generator=draw)
    before = int(torch.randint(1, 9, (1,), generator=draw))
    stream = torch.cat([said, said[:, before : before + 1]], dim=1)
    last = attention(tensors, 0, stream, 4, None, 4)[:, -1]
    gained = torch.einsum("bm,btm->bt", last, said).mean(0)
    others = [k for k in range(12) if k not in (before, before + 1)]  # the word itself is found again too
    assert float(gained[before + 1]) > 1.5 * float(gained[others].max())

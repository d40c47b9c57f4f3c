"""A pretrained model's passes are the library's own, bit for bit, whatever they leave out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.models import sampling
from energylang.models.attention import Cache
from energylang.models.likelihoods import concept_log_prob
from energylang.models.pretrained.decoder import find
from energylang.models.pretrained.loading import decoder_of
from energylang.models.protocol import Start

from .architectures import TEXT, part
from .conftest import Pair


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def nowhere(tokens: Tensor) -> Tensor:
    return torch.zeros_like(tokens, dtype=torch.bool)


def theirs(pair: Pair, tokens: Tensor) -> Any:
    return pair.library(tokens, output_hidden_states=True, use_cache=False)


# ------------------------------------------------------------------------------- whole passes


def test_logits_are_the_library_s(pair: Pair) -> None:
    for shape in ((1, 1), (1, 7), (3, 20)):
        tokens = pair.tokens(*shape)
        assert torch.equal(pair.text.forward(tokens).logits, theirs(pair, tokens).logits)


def test_states_are_the_library_s_hidden_states(pair: Pair) -> None:
    tokens = pair.tokens()
    ours, hidden = pair.text.forward(tokens).states, theirs(pair, tokens).hidden_states
    assert sorted(ours) == list(range(pair.model.num_layers))
    for layer in range(pair.model.num_layers - 1):
        assert torch.equal(ours[layer], hidden[layer + 1])


def test_the_last_state_is_what_the_last_norm_reads(pair: Pair) -> None:
    tokens = pair.tokens()
    last = pair.text.forward(tokens).states[pair.model.num_layers - 1]
    assert torch.equal(part(pair.library, pair.kind.norm)(last), theirs(pair, tokens).hidden_states[-1])


def test_the_first_layer_is_entered_by_the_embedding(pair: Pair) -> None:
    tokens = pair.tokens()
    assert torch.equal(pair.text.entering(tokens, 0), theirs(pair, tokens).hidden_states[0])


def test_a_pass_of_as_many_tokens_as_the_model_reads(pair: Pair) -> None:
    tokens = pair.tokens(1, pair.text.max_length)
    assert torch.equal(pair.text.forward(tokens).logits, theirs(pair, tokens).logits)


def test_nothing_remains_of_a_pass_that_was_given_up(llama: Pair) -> None:
    tokens = llama.tokens()
    before = llama.text.forward(tokens)
    for layer in range(llama.model.num_layers):
        llama.text.run(tokens, wanted=nowhere(tokens), read=(layer,))
        llama.text.entering(tokens, layer)
        after = llama.text.forward(tokens)
        assert torch.equal(before.logits, after.logits)
        assert len(after.states) == llama.model.num_layers


# --------------------------------------------------------------------------- parts of a pass


def test_a_pass_from_any_layer_is_the_rest_of_the_whole(pair: Pair) -> None:
    tokens = pair.tokens()
    whole = pair.text.forward(tokens)
    for layer in range(pair.model.num_layers):
        rest = pair.text.run(tokens, start=Start(layer, pair.text.entering(tokens, layer)))
        assert torch.equal(rest.logits, whole.logits)
        assert sorted(rest.states) == list(range(layer, pair.model.num_layers))
        for above, state in rest.states.items():
            assert torch.equal(state, whole.states[above])


def test_a_pass_from_a_layer_needs_no_tokens(pair: Pair) -> None:
    tokens = pair.tokens()
    layer = pair.model.num_layers - 1
    rest = pair.text.run(None, start=Start(layer, pair.text.entering(tokens, layer)))
    assert torch.equal(rest.logits, pair.text.forward(tokens).logits)


def test_a_pass_may_begin_and_end_in_between(pair: Pair) -> None:
    tokens = pair.tokens()
    whole = pair.text.forward(tokens).states
    start = Start(1, pair.text.entering(tokens, 1))
    found = pair.text.run(tokens, start=start, wanted=nowhere(tokens), read=(1,)).states
    assert list(found) == [1]
    assert torch.equal(found[1], whole[1])


def test_the_stream_that_enters_a_layer_is_the_state_of_the_one_below(pair: Pair) -> None:
    tokens = pair.tokens()
    states = pair.text.forward(tokens).states
    for layer in range(1, pair.model.num_layers):
        assert torch.equal(pair.text.entering(tokens, layer), states[layer - 1])


def test_only_the_layers_that_are_read_have_states(pair: Pair) -> None:
    tokens = pair.tokens()
    whole = pair.text.forward(tokens)
    found = pair.text.run(tokens, read=(0, 2))
    assert sorted(found.states) == [0, 2]
    assert torch.equal(found.states[2], whole.states[2])
    assert torch.equal(found.logits, whole.logits)


def test_wanted_logits_are_rows_of_all_of_them(pair: Pair) -> None:
    tokens = pair.tokens(3, 12)
    wanted = torch.rand(tokens.shape, generator=seed(1)) < 0.4
    whole = pair.text.forward(tokens).logits
    some = pair.text.run(tokens, wanted=wanted, read=()).logits
    assert some.shape == (int(wanted.sum()), whole.shape[-1])
    assert torch.allclose(some, whole[wanted], atol=1e-5)


def test_what_nobody_needs_is_not_calculated(pair: Pair) -> None:
    tokens = pair.tokens()
    called: list[int] = []
    blocks = decoder_of(pair.text).blocks
    stream = pair.text.entering(tokens, 1)
    hooks = [
        block.down.register_forward_pre_hook(lambda *_, i=i: called.append(i))
        for i, block in enumerate(blocks)
    ]
    try:
        empty = pair.text.run(tokens, wanted=nowhere(tokens), read=())
        assert called == []
        assert empty.logits.numel() == 0
        assert not empty.states
        pair.text.run(tokens, wanted=nowhere(tokens), read=(1,))
        assert called == [0, 1]
        called.clear()
        pair.text.run(tokens, start=Start(1, stream), read=())
        assert called == list(range(1, len(blocks)))
    finally:
        for hook in hooks:
            hook.remove()


def test_what_the_last_state_says_is_what_the_model_says(pair: Pair) -> None:
    tokens = pair.tokens()
    whole = pair.text.forward(tokens)
    last = pair.model.num_layers - 1
    said = pair.text.network.said_by(pair.model.live, pair.text.config, last, whole.states[last])
    assert said.shape == whole.logits.shape
    assert torch.allclose(said, whole.logits, atol=1e-4)


def test_a_single_state_says_the_same_as_among_others(pair: Pair) -> None:
    states = pair.text.forward(pair.tokens()).states[0]
    said = pair.text.network.said_by(pair.model.live, pair.text.config, 0, states)
    alone = pair.text.network.said_by(pair.model.live, pair.text.config, 0, states[1, 3])
    assert alone.shape == said.shape[-1:]
    assert torch.allclose(alone, said[1, 3], atol=1e-4)


def test_more_states_than_the_model_reads_tokens_say_something_each(pair: Pair) -> None:
    states = pair.text.forward(pair.tokens(20, 20)).states[0]
    said = pair.text.network.said_by(pair.model.live, pair.text.config, 0, states)
    alone = pair.text.network.said_by(pair.model.live, pair.text.config, 0, states[19, 19])
    assert torch.allclose(alone, said[19, 19], atol=1e-4)


def test_attention_comes_after_every_layer_but_the_last(pair: Pair) -> None:
    last = pair.model.num_layers - 1
    assert [pair.text.looks_back_from(i) for i in range(last + 1)] == [True] * last + [False]


# ------------------------------------------------------------------------- kept keys and values


def test_greedy_text_is_what_the_library_generates(pair: Pair) -> None:
    for prompt in ("The", "a river in winter"):
        ids = pair.text.prompt_ids(prompt)
        room = pair.text.max_length - len(ids)
        sample = sampling.generate(pair.text, prompt, tokens=min(16, room), topk=1, generator=seed())
        stops = sorted(pair.text.tokenizer.stops)
        tokens = torch.tensor([ids])
        made = pair.library.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=min(16, room),
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )[0, len(ids) :].tolist()
        said = [*sample.token_ids]
        assert said == made[: len(said)]
        assert made[len(said) :] == [] or made[len(said)] in stops


def test_a_pass_in_steps_is_the_pass_at_once(pair: Pair) -> None:
    tokens = pair.tokens(2, 16)
    whole = pair.text.forward(tokens)
    cache = Cache.empty(2, pair.text.max_length, tokens.device)
    found = []
    for at, end in ((0, 7), (7, 8), (8, 9), (9, 16)):
        found.append(pair.text.run(tokens[:, at:end], cache=cache))
        cache.lengths += end - at
    assert torch.allclose(torch.cat([f.logits for f in found], dim=1), whole.logits, atol=1e-4)
    for layer, state in whole.states.items():
        assert torch.allclose(torch.cat([f.states[layer] for f in found], dim=1), state, atol=1e-4)


def test_rows_of_unequal_length_give_what_each_gives_alone(pair: Pair) -> None:
    tokens = pair.tokens(3, 14)
    rows = [row[:n].tolist() for row, n in zip(tokens, (14, 5, 9), strict=True)]
    padded, lengths, _ = next(pair.text.padded(rows))
    together = pair.text.run(padded)
    cache = Cache.empty(3, 20, tokens.device)
    first = pair.text.run(padded, cache=cache)
    cache.lengths += torch.tensor(lengths)
    behind = pair.text.run(tokens[:, :1], cache=cache)
    for k, row in enumerate(rows):
        alone = pair.text.run(torch.tensor([[*row, int(tokens[k, 0])]]))
        for found in (together, first):
            assert torch.allclose(found.logits[k, : len(row)], alone.logits[0, :-1], atol=1e-4)
            for layer, state in found.states.items():
                assert torch.allclose(state[k, : len(row)], alone.states[layer][0, :-1], atol=1e-4)
        assert torch.allclose(behind.logits[k, 0], alone.logits[0, -1], atol=1e-4)


def test_replies_of_many_prompts_are_those_of_each(pair: Pair) -> None:
    prompts = ["The", "a longer question of the river", "in", "house by the"]
    together = sampling.generate_batch(pair.text, prompts, tokens=6, topk=1, generator=seed())
    for prompt, sample in zip(prompts, together, strict=True):
        alone = sampling.generate(pair.text, prompt, tokens=6, topk=1, generator=seed())
        assert sample.token_ids == alone.token_ids


def test_kept_states_are_those_of_the_text_read_again(pair: Pair) -> None:
    sample = sampling.generate(pair.text, "The", tokens=6, topk=1, generator=seed(), read=(0, 2))
    ids = [*pair.text.prompt_ids("The"), *sample.token_ids]
    states = pair.text.forward(torch.tensor([ids])).states
    begin = len(ids) - len(sample.token_ids) - 1
    for layer, kept in sample.states.items():
        assert torch.allclose(kept, states[layer][0, begin:-1], atol=1e-4)


def test_text_longer_than_the_model_reads_is_written_on(pair: Pair) -> None:
    count = pair.text.max_length + 10
    samples = sampling.generate_batch(
        pair.text, ["The", TEXT * 9], tokens=count, temp=5.0, topk=400, generator=seed(3)
    )
    for sample in samples:
        assert len(sample.token_ids) <= count
        assert all(0 <= id < pair.text.tokenizer.size for id in sample.token_ids)


def test_how_likely_a_text_is_the_library_says_too(pair: Pair) -> None:
    prompts, texts = ["The", "in the house"], ["by the", "a"]
    found = concept_log_prob(pair.text, texts, prompts)
    for text, value in zip(texts, found, strict=True):
        expected = []
        for prompt in prompts:
            opening, reply = pair.text.prompt_ids(prompt), pair.text.encode(text)
            logs = pair.library(torch.tensor([opening + reply])).logits[0].log_softmax(dim=-1)
            expected.append(logs[len(opening) - 1 : -1].gather(1, torch.tensor(reply)[:, None]).mean())
        assert float(value) == pytest.approx(float(torch.stack(expected).mean()), abs=1e-4)


@settings(max_examples=20)
@given(data=st.data())
def test_any_rows_in_any_steps(llama: Pair, data: st.DataObject) -> None:
    row = data.draw(st.lists(st.integers(3, 260), min_size=2, max_size=20))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(row) - 1), max_size=4)))
    whole = llama.text.run(torch.tensor([row])).logits
    cache = Cache.empty(1, data.draw(st.integers(len(row), 40)), llama.text.device)
    found = []
    for at, end in zip([0, *cuts], [*cuts, len(row)], strict=True):
        found.append(llama.text.run(torch.tensor([row[at:end]]), cache=cache).logits)
        cache.lengths += end - at
    assert torch.allclose(torch.cat(found, dim=1), whole, atol=1e-4)


# ----------------------------------------------------------------------------------- its parts


def test_the_parts_of_every_block_are_found(pair: Pair) -> None:
    decoder, module = decoder_of(pair.text), pair.text.config.module
    blocks = part(module, pair.kind.blocks)
    assert decoder.width == pair.model.dims[0] == pair.library.config.hidden_size
    assert decoder.head is module.get_output_embeddings()
    assert len(decoder.blocks) == len(blocks) == pair.model.num_layers
    for i, (block, inner) in enumerate(zip(decoder.blocks, blocks, strict=True)):
        assert block.module is inner
        assert block.down is part(inner, pair.kind.down)
        assert block.out is part(inner, pair.kind.out)
        assert block.down_name == f"{pair.kind.blocks}.{i}.{pair.kind.down}.weight"
        assert block.down_name == pair.model.weight_key(i)
        weight = pair.model.weight(i)
        assert sorted(weight.shape) == sorted((decoder.width, block.neurons))
        assert tuple(weight.shape) == ((block.neurons, decoder.width) if decoder.transposed else weight.shape)


def test_linear_maps_are_transposed_in_gpt2_alone(pair: Pair) -> None:
    assert decoder_of(pair.text).transposed == (pair.name == "gpt2")


def test_the_header_agrees_with_what_is_loaded(pair: Pair) -> None:
    config, header = pair.library.config, pair.model.header
    assert header.capabilities == {"memory", "text"}
    assert header.vocabulary == config.vocab_size == pair.text.tokenizer.size
    assert header.heads == (config.num_attention_heads,) * config.num_hidden_layers
    assert header.neurons == tuple(block.neurons for block in decoder_of(pair.text).blocks)
    assert header.parameters == sum(p.numel() for p in pair.library.parameters())
    window = getattr(config, "sliding_window", None)
    assert header.context == pair.text.max_length == (window or config.max_position_embeddings)


def test_a_library_s_own_module_has_the_same_parts(pair: Pair) -> None:
    decoder = find(pair.library, "here")
    assert [block.down_name for block in decoder.blocks] == list(pair.model.header.weights)

"""Laws of the text side: causal, deterministic, and reading the live weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from energylang.errors import LandscapeError
from energylang.models import Change, Model, TextModel, likelihoods, load, sampling
from energylang.models.attention import Cache
from energylang.models.hopfield.config import HLMConfig
from energylang.models.hopfield.network import initial, run
from energylang.models.hopfield.settling import settle
from energylang.models.layout import beta_name
from energylang.models.protocol import Start
from energylang.models.states import decision_states, neutral_states, token_states


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def text(model: Model) -> TextModel:
    assert model.text is not None
    return model.text


def windows(text: TextModel, count: int = 5) -> torch.Tensor:
    return text.windows(count)[:, :-1]


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_shapes(model: Model, text: TextModel) -> None:
    tokens = windows(text)
    result = text.forward(tokens)
    assert result.logits.shape == (*tokens.shape, text.tokenizer.size)
    assert len(result.states) == model.num_layers == 3
    assert all(s.shape == (*tokens.shape, 24) for s in result.states.values())
    assert text.loss(text.windows(5)).shape == tokens.shape


def test_batched_equals_one_by_one(text: TextModel) -> None:
    tokens = windows(text)
    together, alone = text.forward(tokens), [text.forward(t[None]) for t in tokens]
    assert torch.allclose(together.logits, torch.cat([a.logits for a in alone]), atol=1e-5)
    for i, states in together.states.items():
        assert torch.allclose(states, torch.cat([a.states[i] for a in alone]), atol=1e-5)


def test_a_later_token_changes_nothing_earlier(text: TextModel) -> None:
    tokens = windows(text, 1)
    first = text.forward(tokens).logits
    for at in range(1, tokens.shape[1], 7):
        other = tokens.clone()
        other[0, at] = (other[0, at] + 1) % text.tokenizer.size
        second = text.forward(other).logits
        assert torch.allclose(first[:, :at], second[:, :at], atol=1e-6)
        assert not torch.allclose(first[:, at], second[:, at], atol=1e-6)


def test_cached_passes_equal_one_pass(model: Model, text: TextModel) -> None:
    tokens = windows(text, 3)
    assert isinstance(text.config, HLMConfig)
    whole = run(model.live, text.config, tokens)
    cache = Cache.empty(len(tokens), text.max_length, tokens.device)
    first = run(model.live, text.config, tokens[:, :9], cache=cache)
    cache.lengths += 9
    parts = [first.logits]
    for at in range(9, tokens.shape[1]):
        parts.append(run(model.live, text.config, tokens[:, at : at + 1], cache=cache).logits)
        cache.lengths += 1
    assert torch.allclose(whole.logits, torch.cat(parts, dim=1), atol=1e-5)


def test_set_weight_is_felt_and_undone_bit_for_bit(model: Model, text: TextModel) -> None:
    tokens = windows(text)
    before = text.forward(tokens).logits
    for layer in range(model.num_layers):
        old = model.weight(layer)
        model.put(model.weight_key(layer), old + 0.3 * torch.randn(24, 24, generator=seed(layer)))
        assert not torch.equal(text.forward(tokens).logits, before)
        model.put(model.weight_key(layer), old)
        assert torch.equal(text.forward(tokens).logits, before)
    name = beta_name(model.weight_key(1))
    old_beta = model.get(name)
    model.put(name, old_beta + 1)
    assert not torch.equal(text.forward(tokens).logits, before)
    model.put(name, old_beta)
    assert torch.equal(text.forward(tokens).logits, before)


def test_an_intervention_equals_the_edit_and_leaves_no_trace(model: Model, text: TextModel) -> None:
    tokens = windows(text)
    before = text.forward(tokens)
    new = model.weight(1) * 1.7
    guest = text.forward(tokens, change=Change(weights={1: new})).logits
    old = model.weight(1)
    model.put(model.weight_key(1), new)
    assert torch.equal(text.forward(tokens).logits, guest)
    model.put(model.weight_key(1), old)
    assert torch.equal(text.forward(tokens).logits, before.logits)
    silent = text.forward(tokens, change=Change(state={2: torch.zeros_like}))
    assert float(silent.states[2].abs().max()) == 0
    assert torch.equal(silent.states[1], before.states[1])
    tilted = text.forward(tokens, change=Change(drive={0: torch.ones(24)}))
    assert not torch.equal(tilted.states[0], before.states[0])
    assert torch.equal(text.forward(tokens).logits, before.logits)


def test_gradients_reach_an_intervention(model: Model, text: TextModel) -> None:
    with torch.enable_grad():
        weight = model.weight(2).clone().requires_grad_()
        text.loss(windows(text, 1), change=Change(weights={2: weight})).mean().backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().sum()) > 0


def test_the_settled_state_follows_the_equation() -> None:
    config = HLMConfig(5, dim=6, width=4, heads=2, steps=4, free_steps=2, tau=0.5)
    weight = initial(config, seed(0))["blocks.0.hopfield.W"]
    drive = torch.randn(3, 6, generator=seed(1))
    beta = torch.tensor(0.4).exp()
    x = torch.tanh(beta * drive)
    for k in range(4):
        field = (x * x.abs()) @ weight.T + (drive if k < 2 else 0)
        x = 0.5 * x + 0.5 * torch.tanh(beta * field)
    assert torch.allclose(settle(weight, torch.tensor(0.4), drive, config), x, atol=1e-6)


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("mode", ["drive", "release"])
def test_states_are_the_same_with_and_without_gradients(degree: int, mode: str) -> None:
    """More rows than a block, in a shape of their own; nothing that is given is written into."""
    config = HLMConfig(
        vocabulary=9,
        context=8,
        layers=1,
        width=8,
        dim=24,
        heads=2,
        steps=4,
        free_steps=2,
        degree=degree,
        mode=mode,
    )
    weight, drive = torch.randn(24, 24, generator=seed(2)) / 5, torch.randn(3, 3000, 24, generator=seed(3))
    given = weight.clone(), drive.clone()
    traced = settle(weight, torch.tensor(0.4), drive, config)
    with torch.no_grad():
        untraced = settle(weight, torch.tensor(0.4), drive, config)
    assert untraced.shape == drive.shape
    assert torch.allclose(traced, untraced, atol=1e-6)
    assert torch.equal(weight, given[0])
    assert torch.equal(drive, given[1])


def test_generation_is_a_function_of_its_generator(model: Model, text: TextModel) -> None:
    torch.manual_seed(1)
    first = sampling.generate(text, "Hi, can you help me?", tokens=20, generator=seed(5))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = sampling.generate(text, "Hi, can you help me?", tokens=20, generator=seed(5))
    assert first.text == second.text
    assert first.token_ids == second.token_ids
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(state, second.states[k]) for k, state in first.states.items())
    assert all(s.shape == (len(first.token_ids), 24) for s in first.states.values())
    many = {sampling.generate(text, "Hello.", tokens=20, generator=seed(k)).token_ids for k in range(4)}
    assert len(many) > 1


def test_greedy_generation_follows_the_largest_logit(text: TextModel) -> None:
    made = sampling.generate(text, "Hello.", tokens=12, topk=1, generator=seed(0))
    ids = text.prompt_ids("Hello.")
    for token in made.token_ids:
        logits = text.forward(torch.tensor([ids])).logits[0, -1]
        logits[text.tokenizer.unknown] = -float("inf")
        assert int(logits.argmax()) == token
        ids.append(token)


def test_generation_goes_on_beyond_the_context(plain_file: Path) -> None:
    text = load(str(plain_file)).text
    assert text is not None
    made = sampling.generate(text, "Hello there", tokens=95, generator=seed(0), read=(0,))
    assert len(made.token_ids) == 95
    assert made.states[0].shape == (95, 24)
    assert sampling.generate(text, "", tokens=2, generator=seed(0)).token_ids
    assert sampling.generate(text, "word " * 500, tokens=2, generator=seed(0)).token_ids


@pytest.mark.parametrize("bad", [{"temp": 0.0}, {"temp": -1.0}, {"topk": 0}, {"tokens": 0}])
def test_impossible_sampling_is_refused(text: TextModel, bad: dict[str, float]) -> None:
    with pytest.raises(LandscapeError, match="cannot sample"):
        sampling.generate(text, "Hello.", generator=seed(0), **bad)  # type: ignore[arg-type]


def test_a_batch_keeps_the_order_of_its_prompts(text: TextModel) -> None:
    prompts = ["Hello.", "Why is the soup so hot?", "Can you help me?", "Hello."]
    made = sampling.generate_batch(text, prompts, tokens=5, topk=1, generator=seed(0))
    alone = [sampling.generate(text, p, tokens=5, topk=1, generator=seed(0)).token_ids for p in prompts]
    assert [m.token_ids for m in made] == alone


@pytest.mark.parametrize("kind", ["dialogue", "plain"])
def test_states_for_captures_and_surveys(kind: str, hlm_file: Path, plain_file: Path) -> None:
    text = load(str(hlm_file if kind == "dialogue" else plain_file)).text
    assert text is not None
    for layer in range(3):
        decided = decision_states(text, ["Thank you.", "Go away, nobody cares about the soup."], layer)
        assert decided.shape == (2, 24)
        assert not torch.allclose(decided[0], decided[1])
        one = decision_states(text, ["Thank you."], layer)
        assert torch.allclose(one[0], decided[0], atol=1e-5)
        assert neutral_states(text, layer, 3).shape == (3, 24)
        assert torch.equal(neutral_states(text, layer, 3), neutral_states(text, layer, 3))
        drawn = token_states(text, layer, 50, seed(1))
        assert drawn.shape == (50, 24)
        assert torch.equal(drawn, token_states(text, layer, 50, seed(1)))
    with pytest.raises(LandscapeError):
        neutral_states(text, 3)


def test_a_neutral_state_is_the_state_at_the_bots_marker(model: Model, text: TextModel) -> None:
    tokens = text.encode(f"user: {text.neutral_prompts[0]}\nbot: ")
    assert tokens[-1] == text.tokenizer.specials.index("bot:")
    state = text.forward(torch.tensor([tokens])).states[1][0, -1]
    assert torch.allclose(neutral_states(text, 1, 1)[0], state, atol=1e-5)


def test_log_probability_of_a_reply_is_the_mean_over_its_tokens(text: TextModel) -> None:
    prompt, reply = "Hello.", "Thank you for asking."
    question, answer = text.prompt_ids(prompt), text.encode(reply)
    logs = text.forward(torch.tensor([question + answer])).logits.log_softmax(-1)[0]
    expected = torch.stack([logs[len(question) - 1 + k, t] for k, t in enumerate(answer)]).mean()
    found = likelihoods.concept_log_prob(text, [reply, "Go away."], [prompt, prompt])
    assert found.shape == (2,)
    assert float(found[0]) == pytest.approx(float(expected), abs=1e-5)


def test_a_reply_is_as_likely_as_its_tokens_whatever_is_measured_beside_it(text: TextModel) -> None:
    """Shared openings, unequal ones, one that is cut off, a reply that fills the context, and an empty one."""
    long = "Why is the soup so hot? " * 3
    talks = [
        ("Hello.",),
        ("Hello.",),
        ("Hello.", "Go away.", long),
        (long,),
        ("Hello.", "Go away.", "Hello."),
        ("",),
    ]
    said = [
        text.encode(reply)
        for reply in ("Thank you.", "Go away, you fool.", "Thank you.", long * 4, "", "No.")
    ]
    assert len(said[3]) > text.max_length
    found = likelihoods.reply_log_prob(text, talks, said)
    for k, (turns, reply) in enumerate(zip(talks, said, strict=True)):
        inside = [*reply, *text.ending][: text.max_length - 1]
        row = (text.conversation(turns) + inside)[-text.max_length :]
        logs = text.forward(torch.tensor([row])).logits.log_softmax(-1)[0]
        first = len(row) - len(inside)
        expected = sum(float(logs[first - 1 + i, id]) for i, id in enumerate(inside))
        assert float(found[k]) == pytest.approx(expected, abs=1e-3)
        assert float(likelihoods.reply_log_prob(text, [turns], [reply])[0]) == pytest.approx(
            expected, abs=1e-3
        )
    assert likelihoods.reply_log_prob(text, [], []).shape == (0,)


def test_impossible_tokens_are_refused(text: TextModel) -> None:
    for tokens in (torch.zeros(1, 41), torch.zeros(3), torch.full((1, 4), 10**6), torch.full((1, 4), -1)):
        with pytest.raises(LandscapeError):
            text.forward(tokens.long())


def test_double_precision_tells_the_same_story(hlm_file: Path, text: TextModel) -> None:
    double = load(str(hlm_file), dtype="float64").text
    assert double is not None
    one, two = text.forward(windows(text)), double.forward(windows(text))
    assert two.logits.dtype == torch.float64
    assert torch.allclose(one.logits.double(), two.logits, atol=1e-4)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_pass_may_begin_at_any_layer_with_the_same_bits(text: TextModel, layer: int) -> None:
    tokens = text.windows(3)[:, :-1]
    whole = text.forward(tokens)
    rest = text.run(None, start=Start(layer, text.entering(tokens, layer)))
    assert torch.equal(rest.logits, whole.logits)
    assert list(rest.states) == list(whole.states)[layer:]
    assert all(torch.equal(state, whole.states[k]) for k, state in rest.states.items())
    assert text.looks_back_from(0)


def test_where_nothing_looks_back_positions_do_not_touch_each_other(text: TextModel) -> None:
    last = len(text.forward(text.windows(1)[:, :-1]).states) - 1
    if text.looks_back_from(last):
        pytest.fail("the fixture has a bottleneck, so its last layer does not look back")
    stream = text.entering(text.windows(2)[:, :-1], last)
    whole = text.run(None, start=Start(last, stream)).logits
    apart = text.run(None, start=Start(last, stream.flatten(0, 1)[:, None])).logits
    assert torch.allclose(whole.flatten(0, 1), apart[:, 0], atol=1e-5)


def test_replies_of_unequal_prompts_are_those_of_each_prompt_alone(text: TextModel) -> None:
    """Greedily, so that the draws do not matter: padding must not be seen."""
    prompts = ["Hello.", "Why is the soup so hot?", "I have a question about the soup, can you help me?"]
    together = sampling.generate_batch(text, prompts, tokens=12, topk=1, generator=seed(0))
    for prompt, reply in zip(prompts, together, strict=True):
        alone = sampling.generate(text, prompt, tokens=12, topk=1, generator=seed(0))
        assert alone.token_ids == reply.token_ids
        for a, b in zip(alone.states.values(), reply.states.values(), strict=True):
            assert torch.allclose(a, b, atol=1e-4)

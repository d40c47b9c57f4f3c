"""SmolLM2-135M-Instruct itself, where this machine has it."""

from __future__ import annotations

import pytest
import torch
import transformers

from energylang.models import Model, TextModel, read_header, sampling
from energylang.models.described.places import published_file
from energylang.models.pretrained.convert import converted
from energylang.models.protocol import Start

pytestmark = pytest.mark.slow

QUESTION = "What is the capital of France?"


@pytest.fixture
def text(smollm2: Model) -> TextModel:
    assert smollm2.text is not None
    return smollm2.text


@pytest.fixture(scope="module")
def theirs(smollm2: Model) -> transformers.PreTrainedModel:
    """The converted folder, as the library reads it by itself."""
    where = converted(published_file("smollm2"), None)
    found = transformers.AutoModelForCausalLM.from_pretrained(
        where, dtype=torch.float32, local_files_only=True
    )
    for parameter in found.parameters():
        parameter.data = parameter.data.clone()
    return found.eval()


def greedy(text: TextModel, prompt: str, tokens: int) -> sampling.Sample:
    return sampling.generate(text, prompt, tokens=tokens, topk=1, generator=torch.Generator().manual_seed(0))


def test_its_header(smollm2: Model) -> None:
    for header in (read_header("smollm2"), smollm2.header):
        assert header.dims == (576,) * 30
        assert header.neurons == (1536,) * 30
        assert header.heads == (9,) * 30
        assert header.context == 8192
        assert header.vocabulary == 49152
        assert header.capabilities == {"memory", "text", "dialogue"}
        assert header.parameters == 134_515_008


def test_it_knows_a_capital(text: TextModel) -> None:
    assert "Paris" in greedy(text, QUESTION, 12).text


def test_its_passes_are_the_library_s(
    smollm2: Model, text: TextModel, theirs: transformers.PreTrainedModel
) -> None:
    tokens = torch.tensor([text.prompt_ids(QUESTION)])
    ours, passed = text.forward(tokens), theirs(tokens, output_hidden_states=True, use_cache=False)
    assert torch.equal(ours.logits, passed.logits)
    for layer in range(smollm2.num_layers - 1):
        assert torch.equal(ours.states[layer], passed.hidden_states[layer + 1])


def test_its_greedy_reply_is_the_library_s(text: TextModel, theirs: transformers.PreTrainedModel) -> None:
    ids = text.prompt_ids(QUESTION)
    tokens = torch.tensor([ids])
    made = theirs.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=sorted(text.tokenizer.stops),
        pad_token_id=2,
    )[0, len(ids) :].tolist()
    said = [*greedy(text, QUESTION, 12).token_ids]
    assert said == made[: len(said)]


def test_a_pass_from_a_layer_is_the_rest_of_the_whole(smollm2: Model, text: TextModel) -> None:
    tokens = torch.tensor([text.prompt_ids(QUESTION)])
    whole = text.forward(tokens)
    for layer in (0, 1, 17, smollm2.num_layers - 1):
        rest = text.run(tokens, start=Start(layer, text.entering(tokens, layer)))
        assert torch.equal(rest.logits, whole.logits)
        assert torch.equal(rest.states[layer], whole.states[layer])


def test_a_conversation_is_written_as_it_was_taught(text: TextModel) -> None:
    ids = text.conversation(["Hello", "Hi there", "Who are you?"])
    written = "".join(text.token(id) for id in ids)
    assert written.endswith(
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there<|im_end|>\n"
        "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text.ending == (text.encode("<|im_end|>")[0],)


def test_held_out_text_is_likelier_than_chance(text: TextModel) -> None:
    loss = float(text.loss(text.measuring_windows(2)).mean())
    assert 1.0 < loss < 5.0

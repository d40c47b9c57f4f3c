"""Tokens and conversations of pretrained models: any text is read, and what is given always fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import CheckpointError, LandscapeError
from energylang.models import Model, TextModel, load, sampling
from energylang.models.likelihoods import concept_log_prob, reply_log_prob
from energylang.models.states import decision_states, neutral_states, text_states

from .architectures import BOS, END, EOS, START, TEMPLATE, TEXT, folder

LONG = {"max_position_embeddings": 96}
STRANGE = {
    "emoji": "👩‍👩‍👧‍👦 🙂🏳️‍🌈",
    "right to left": "שלום עולם مرحبا بالعالم",
    "empty": "",
    "spaces": "  \n\t ",
    "long": TEXT * 40,
    "a lone surrogate": "a \ud800 b",
    "combining": "é" * 5 + "Z̵̧̢",
    "zeros": "\0\0",
    "special tokens": f"{BOS}{EOS}{START}{END}",
    "Chinese": "河边的房子",
    "one letter": "x",
    "a byte order mark": "\ufeffhello",
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TextModel]:
    """Text models of a tiny Llama, by how they begin and whether they hold conversations."""
    known: dict[tuple[bool, bool], Model] = {}

    def text(*, bos: bool, chat: bool) -> TextModel:
        key = (bos, chat)
        if key not in known:
            template = (("{{ bos_token }}" if bos else "") + TEMPLATE) if chat else None
            where = folder(
                tmp_path_factory.mktemp("talk") / "m", bos=bos, pad=True, template=template, **LONG
            )
            known[key] = load(str(where))
        found = known[key].text
        assert found is not None
        return found

    return text


@pytest.fixture(params=[(bos, chat) for bos in (True, False) for chat in (True, False)], ids=str)
def text(request: pytest.FixtureRequest, made: Callable[..., TextModel]) -> TextModel:
    bos, chat = request.param
    return made(bos=bos, chat=chat)


@pytest.fixture
def chat(made: Callable[..., TextModel]) -> TextModel:
    return made(bos=True, chat=True)


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


# ------------------------------------------------------------------------------ strange texts


@pytest.mark.parametrize("name", STRANGE)
def test_any_text_is_answered(text: TextModel, name: str) -> None:
    ids = text.prompt_ids(STRANGE[name])
    assert 1 <= len(ids) <= text.max_length
    assert all(0 <= id < text.tokenizer.size for id in ids)
    sample = sampling.generate(text, STRANGE[name], tokens=4, temp=1.0, topk=400, generator=seed())
    assert len(sample.token_ids) <= 4
    assert isinstance(sample.text, str)


@pytest.mark.parametrize("name", [name for name in STRANGE if name not in ("empty", "long")])
def test_any_text_has_states_and_a_probability(text: TextModel, name: str) -> None:
    for position in ("mean", "last", "decision"):
        states = text_states(text, [STRANGE[name], TEXT[:9]], 1, position)
        assert states.shape == (2, 32)
        assert bool(torch.isfinite(states).all())
    assert bool(torch.isfinite(concept_log_prob(text, [STRANGE[name]], [STRANGE[name]])).all())


@pytest.mark.parametrize("name", ["empty", "long"])
def test_a_text_without_an_end_or_without_anything_has_states(text: TextModel, name: str) -> None:
    for position in ("mean", "last", "decision"):
        assert bool(torch.isfinite(text_states(text, [STRANGE[name]], 1, position)).all())


@given(words=st.text(max_size=40))
@settings(max_examples=60)
def test_every_text_is_its_tokens(made: Callable[..., TextModel], words: str) -> None:
    text = made(bos=True, chat=False)
    if any(mark in words for mark in (BOS, EOS, START, END, "<pad>")):
        return
    ids = text.encode(words)
    assert text.decode(ids) == words.encode("utf-8", "replace").decode("utf-8")


@given(prompt=st.text(max_size=300))
@settings(max_examples=30)
def test_what_is_given_always_fits(made: Callable[..., TextModel], prompt: str) -> None:
    for bos, chat in ((True, True), (False, False), (True, False)):
        text = made(bos=bos, chat=chat)
        assert 1 <= len(text.prompt_ids(prompt)) < text.max_length


def test_what_is_told_piece_by_piece_is_the_text(text: TextModel) -> None:
    heard: list[str] = []
    sample = sampling.generate(
        text, "The", tokens=12, temp=1.0, topk=30, generator=seed(), heard=heard.append
    )
    assert text.decode(sample.token_ids).rstrip("�").startswith("".join(heard))


def test_tokens_beyond_the_tokenizer_can_be_shown(text: TextModel) -> None:
    shown = [text.token(id) for id in range(text.tokenizer.size)]
    assert len(shown) == text.tokenizer.size == 391
    assert text.decode([390, 389]) == ""


def test_special_tokens_are_not_written_but_shown(text: TextModel) -> None:
    ids = text.encode(f"a{END}b")
    assert text.decode(ids) == "ab"
    assert END in [text.token(id) for id in ids]


# ---------------------------------------------------------------------------------- beginnings


@pytest.mark.parametrize("chat", [False, True])
def test_a_text_begins_once(made: Callable[..., TextModel], chat: bool) -> None:
    text = made(bos=True, chat=chat)
    (bos,) = text.opening
    for prompt in ("The river", "", TEXT):
        ids = text.prompt_ids(prompt)
        if len(ids) < text.max_length - 1 or not chat:
            assert ids[0] == bos
            assert ids.count(bos) == 1


@pytest.mark.parametrize("chat", [False, True])
def test_nothing_begins_a_text_where_the_tokenizer_adds_nothing(
    made: Callable[..., TextModel], chat: bool
) -> None:
    text = made(bos=False, chat=chat)
    assert text.opening == []
    if not chat:
        assert text.prompt_ids("The river") == text.encode("The river")


def test_every_window_begins_as_a_text_does(text: TextModel) -> None:
    windows = text.windows()
    assert windows.shape[1] == text.window + 1
    for k, token in enumerate(text.opening):
        assert bool((windows[:, k] == token).all())
        assert bool(((windows == token).sum(dim=1) == 1).all())


def test_windows_are_the_held_out_text_in_order(text: TextModel) -> None:
    windows = text.windows(5)[:, len(text.opening) :]
    assert text.heldout is not None
    joined = torch.cat([windows[:, :-1].flatten(), windows[-1:, -1]])
    assert torch.equal(joined, text.heldout[: len(joined)])


def test_text_without_a_place_for_its_end_can_be_read(text: TextModel) -> None:
    loss = text.loss(text.windows(3))
    assert loss.shape == (3, text.window)
    assert bool(torch.isfinite(loss).all())


def test_neutral_states_and_decisions(text: TextModel) -> None:
    assert neutral_states(text, 1, 6).shape[1] == 32
    assert decision_states(text, [TEXT, "a"], 1).shape == (2, 32)


# ------------------------------------------------------------------------------- conversations


def test_a_conversation_is_what_the_template_writes(chat: TextModel) -> None:
    assert chat.dialogue is not None
    ids = chat.dialogue.ids(["hello", "yes", "why"])
    assert "".join(chat.token(id) for id in ids) == (
        f"{BOS}{START}user\nhello{END}\n{START}assistant\nyes{END}\n{START}user\nwhy{END}\n{START}assistant\n"
    )


def test_a_bot_s_last_turn_is_closed(chat: TextModel) -> None:
    assert chat.dialogue is not None
    ids = chat.dialogue.ids(["hello", "yes"])
    assert "".join(chat.token(id) for id in ids).endswith(f"{START}assistant\nyes{END}\n")


def test_a_reply_ends_where_the_template_ends_it(chat: TextModel) -> None:
    assert chat.ending == (chat.encode(END)[0],)
    assert set(chat.ending) <= chat.tokenizer.stops
    assert chat.encode(EOS)[0] in chat.tokenizer.stops


def test_a_reply_has_a_probability_with_its_end(chat: TextModel) -> None:
    reply = chat.encode("by the river")
    found = reply_log_prob(chat, [["hello"]], [reply])
    opening = chat.conversation(["hello"])
    row = torch.tensor([[*opening, *reply, *chat.ending]])
    logs = chat.forward(row[:, :-1]).logits[0].log_softmax(dim=-1)
    expected = logs[len(opening) - 1 :].gather(1, row[0, len(opening) :, None]).sum()
    assert float(found) == pytest.approx(float(expected), abs=1e-3)


def test_turns_are_told_apart_and_told_the_same_each_time(chat: TextModel) -> None:
    assert chat.dialogue is not None
    first = chat.dialogue.ids(["a", "b"])
    first.append(0)
    assert chat.dialogue.ids(["a", "b"]) == first[:-1]
    assert chat.dialogue.ids(["b", "a"]) != first[:-1]


def test_no_turn_is_no_conversation(chat: TextModel) -> None:
    assert chat.dialogue is not None
    with pytest.raises(LandscapeError, match="first turn"):
        chat.dialogue.ids([])


def test_conversations_longer_than_the_model_reads_keep_their_end(chat: TextModel) -> None:
    turns = [TEXT * 3, "yes", TEXT * 3]
    ids = chat.conversation(turns)
    assert len(ids) == chat.max_length
    assert chat.decode(ids).endswith("assistant\n")
    assert len(sampling.replies(chat, [turns], tokens=3, generator=seed())) == 1


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no') }}",
        "{% for m in messages %}{{ m.nothing.of.this }}{% endfor %}",
        "{% for m in messages %}",
        "{{ 1 / 0 }}",
        "{{ messages[7].content }}",
    ],
)
def test_a_template_that_fails_is_one_error(tmp_path: Path, template: str) -> None:
    where = folder(tmp_path / "m", template=template, **LONG)
    with pytest.raises(CheckpointError) as caught:
        load(str(where))
    assert str(where) in caught.value.message
    assert "template" in caught.value.message
    assert "Traceback" not in caught.value.message


def test_a_template_that_fails_later_is_one_error_too(tmp_path: Path) -> None:
    template = "{% if 'bomb' in messages[0].content %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE
    model = load(str(folder(tmp_path / "m", template=template, **LONG)))
    assert model.text is not None
    sampling.generate(model.text, "peace", tokens=2, generator=seed())
    with pytest.raises(CheckpointError, match="template"):
        sampling.generate(model.text, "a bomb", tokens=2, generator=seed())


def test_a_template_runs_no_programs(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    template = (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch "
    )
    with pytest.raises(CheckpointError):
        load(str(folder(tmp_path / "m", template=template + f"{target}') }}}}" + TEMPLATE)))
    assert not target.exists()


@pytest.mark.parametrize("template", ["", "always the same", "{{ messages[0].content }}"])
def test_templates_that_say_little_are_survived(tmp_path: Path, template: str) -> None:
    model = load(str(folder(tmp_path / "m", template=template, **LONG)))
    assert model.text is not None
    for prompt in ("hello", ""):
        assert 1 <= len(model.text.prompt_ids(prompt)) <= model.text.max_length
        sampling.generate(model.text, prompt, tokens=2, generator=seed())


def test_a_template_in_a_file_of_its_own_counts(tmp_path: Path) -> None:
    where = folder(tmp_path / "m")
    (where / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    model = load(str(where))
    assert "dialogue" in model.header.capabilities
    assert model.text is not None
    assert model.text.dialogue is not None

"""The micro-world keeps its promises. Laws of the files first, then of what is drawn from them."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.models.tokenizer import WordCodec, train_tokenizer
from energylang.training.corpus import (
    INTENTS,
    MARKERS,
    REGISTERS,
    TOPICS,
    classify,
    conversation,
    documents,
    exchange,
    neutral_questions,
    parse,
    sentences,
    understand,
)
from energylang.training.corpus.__main__ import main
from energylang.training.corpus.sources import REPLY_SECTIONS, SourceError, Topic, read_world, world
from energylang.training.corpus.templates import Choice, Slot, Template, spaced, words
from energylang.training.corpus.understand import RESERVED_SHARE, is_reserved, readings
from energylang.training.data import read_corpus

FOLDER = Path(understand.__file__).parent
SEEDS = st.integers(0, 2**32)
REPLIES = [
    (register, section, template)
    for register in REGISTERS
    for section, templates in world().registers[register].replies.items()
    for template in templates
]


def fixed_words(template: Template) -> set[str]:
    """Every word of the template that is not in a slot."""
    texts = [
        option
        for part in template.parts
        if not isinstance(part, Slot)
        for option in (part.options if isinstance(part, Choice) else (part,))
    ]
    return {word for text in texts for word in words(text)}


def neutral_words() -> set[str]:
    """The words of questions, topics and times."""
    fillers = [v for t in TOPICS.values() for f in fields(Topic) for v in getattr(t, f.name)]
    asked = [fixed_words(t) for templates in world().questions.values() for t in templates]
    return {w for text in (*fillers, *world().times) for w in words(text)}.union(*asked)


def values_of(draw: random.Random, topic: Topic) -> dict[str, str]:
    thing, other = draw.sample(topic.things, 2)
    action, second = draw.sample(topic.actions, 2)
    return {
        "n": thing,
        "n0": thing[4:],
        "n2": other,
        "a": action,
        "a2": second,
        "q": draw.choice(topic.states),
        "w": draw.choice(topic.reasons),
        "t": draw.choice(world().times),
    }


def replies(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from re.findall(r"^bot: (.*)$", text, re.MULTILINE)


def has_reserved(text: str) -> bool:
    return any(reading.reserved for reply in replies([text]) for reading in readings(reply))


# The files


def test_size() -> None:
    assert len(REGISTERS) == 5
    assert len(TOPICS) >= 8
    assert len(REPLIES) >= 400
    assert set(world().questions) == set(INTENTS)
    assert all(len(templates) >= 14 for templates in world().questions.values())
    assert len(world().questions["open"]) >= 24
    for topic in TOPICS.values():
        assert [len(getattr(topic, f.name)) for f in fields(topic)] == [10, 10, 8, 8]


def test_the_vocabulary_is_small() -> None:
    every = neutral_words().union(*(fixed_words(template) for _, _, template in REPLIES))
    assert 1000 <= len({word for word in every if word[0].isalpha()}) <= 2000


def test_marker_words_belong_to_one_register() -> None:
    everything = [word for r in REGISTERS for word in MARKERS[r]]
    assert len(everything) == len(set(everything))
    assert not neutral_words() & set(everything)
    said = {r: set[str]().union(*(fixed_words(t) for s, _, t in REPLIES if s == r)) for r in REGISTERS}
    for register, other in product(REGISTERS, REGISTERS):
        if register == other:
            assert MARKERS[register] <= said[register], "a marker that nobody says"
        else:
            assert not MARKERS[register] & said[other]


@pytest.mark.parametrize("register", REGISTERS)
def test_every_wording_of_every_reply_has_a_marker(register: str) -> None:
    for _, _, template in (entry for entry in REPLIES if entry[0] == register):
        options = [
            p.options if isinstance(p, Choice) else (p,) for p in template.parts if not isinstance(p, Slot)
        ]
        for wording in product(*options):
            assert {w for part in wording for w in words(part)} & MARKERS[register], template.source


@pytest.mark.parametrize("register", REGISTERS)
def test_every_reply_is_understood(register: str) -> None:
    """Each template, with each topic: one reading, and the right one."""
    draw = random.Random(1)
    for _, section, template in (entry for entry in REPLIES if entry[0] == register):
        for name, topic in TOPICS.items():
            values = values_of(draw, topic)
            reply = template.fill(draw, values)
            assert classify(reply) == register, reply
            (found,) = readings(reply)
            assert found == parse(reply)
            intent, _, stance = section.partition(".")
            assert (found.register, found.intent, found.stance) == (register, intent, stance or None)
            assert found.template == template.source
            assert found.topics == ((name,) if template.slots & {"n", "n0", "a", "w"} else ())
            assert found.reserved == is_reserved(register, section, template, values)


def test_the_files_are_spelled_as_the_word_tokenizer_spells() -> None:
    """Capitals only where sentences start: a model that speaks perfectly is understood perfectly."""
    text = "\n".join(documents(0, 400))
    tokenizer = train_tokenizer("word", text, ("user:", "bot:"))
    assert tokenizer.decode(tokenizer.encode(text)).strip() == text.strip()


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("polite", "[open]", "[opening]", r"polite\.txt: .*open"),
        ("rude", "[markers]", "[words]", r"rude\.txt: .*\[markers\]"),
        ("formal", "[advise]\n", "[advise]\nDo {x}.\n", r"formal\.txt:\d+: unknown slot '\{x\}'"),
        ("casual", "[advise]\n", "[advise]\nSee (a {n}|b).\n", r"casual\.txt:\d+: .*nested"),
        ("casual", "[advise]\n", "[advise]\nSee the {n0}s.\n", r"casual\.txt:\d+: .*touches"),
        ("poetic", "[close]\n", "[close]\nO – moon.\n", r"poetic\.txt:\d+: .*character"),
        ("poetic", "[close]\n", "[close]\nO moon.\nO moon.\n", r"poetic\.txt:\d+: the same sentence"),
        ("casual", "[markers]\n", "[markers]\nplease\n", r"casual\.txt: .*'please' .*polite"),
        ("topics", "things: the rain, ", "things: rain, ", r"topics\.txt: 'rain'"),
        ("topics", "things: the rain, ", "things: the soup, ", r"'the soup' is in"),
        ("topics", "states: bad, ", "states: bad, bad, ", r"topics\.txt:\d+: 'bad' is repeated"),
        ("topics", "states: bad, ", "stats: bad, ", r"topics\.txt:\d+: expected"),
        ("questions", "[bad]\n", "[bad]\n[worse]\n", r"questions\.txt: .*\[worse\] is not known"),
    ],
)
def test_a_mistake_in_a_file_is_named(name: str, old: str, new: str, words: str) -> None:
    texts = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.txt")}
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new, 1)
    with pytest.raises(SourceError, match=words):
        read_world(texts.__getitem__)


# What is drawn


@given(SEEDS, st.sampled_from(REGISTERS))
@settings(max_examples=60, deadline=None)
def test_a_conversation_is_in_one_register_and_its_questions_in_none(seed: int, register: str) -> None:
    turns = conversation(random.Random(seed), register)
    assert 3 <= len(turns) <= 7
    for question, reply in turns:
        assert classify(reply) == register, reply
        assert classify(question) is None, question
        assert not set(words(question)) & set[str]().union(*MARKERS.values())
        found = parse(reply)
        assert found is not None, reply
        assert found.register == register
        assert len(found.topics) <= 1
    assert len({q for q, _ in turns}) == len({r for _, r in turns}) == len(turns)


@given(SEEDS, st.sampled_from(REGISTERS), st.sampled_from(sorted(TOPICS)), st.sampled_from(INTENTS))
@settings(max_examples=60, deadline=None)
def test_an_exchange_is_about_what_was_asked(seed: int, register: str, topic: str, intent: str) -> None:
    question, reply = exchange(random.Random(seed), register, topic, intent)
    found = parse(reply)
    assert found is not None
    assert (found.register, found.intent, (found.stance is None)) == (register, intent, intent != "request")
    assert found.topics in ((), (topic,))
    for thing in TOPICS[topic].things:
        said = spaced(thing) in spaced(reply) and spaced(thing) not in spaced(found.template)
        if said and intent in ("good", "bad", "tell"):
            assert thing in question.lower()


def test_requests_are_agreed_to_as_often_as_refused_and_registers_are_equally_frequent() -> None:
    found = [parse(reply) for reply in replies(list(documents(0, 3000)))]
    stances = Counter(f.stance for f in found if f is not None and f.intent == "request")
    assert 0.46 < stances["agree"] / stances.total() < 0.54
    intents = Counter(f.intent for f in found if f is not None)
    assert intents.most_common(1)[0][0] == "advise"
    firsts = Counter(classify(next(replies([text]))) for text in documents(0, 3000))
    assert all(0.17 < firsts[register] / 3000 < 0.23 for register in REGISTERS)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_seed_decides_every_text(seed: int) -> None:
    random.seed(seed)
    before = random.getstate()
    assert list(documents(seed, 12)) == list(documents(seed, 12))
    assert random.getstate() == before
    assert list(documents(seed, 12)) != list(documents(seed + 1, 12))


def test_the_seed_decides_every_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--documents", "20"]) == 0
    written = capsys.readouterr().out
    assert written == "".join(f"{text}\n" for text in documents(3, 20))
    assert written.count("\n\n") == 20
    command = [sys.executable, "-m", "energylang.training.corpus", "--seed", "3", "--documents", "20"]
    for hash_seed in "12":
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(FOLDER.parents[2])}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert done.stdout == written.encode()
        assert not done.stderr


def test_documents_must_be_many() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--documents", "0"])
    assert caught.value.code == 2


def test_neutral_questions() -> None:
    found = neutral_questions(0, 300)
    assert len(set(found)) == 300
    assert found == neutral_questions(0, 300)
    assert found[:100] == neutral_questions(0, 100)
    assert all(classify(question) is None for question in found)


# The split


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("count", [300, 1500])
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_held_out_text_holds_what_is_reserved(tmp_path: Path, seed: int, count: int, end: str) -> None:
    texts = list(documents(seed, count))
    assert len(texts) == count
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(texts) + end, encoding="utf-8", newline="\n")
    corpus = read_corpus(path)
    assert not has_reserved(corpus.train)
    heldout = corpus.heldout.strip("\n").split("\n\n")
    assert all(map(has_reserved, heldout))
    assert [f"{text}\n" for text in heldout] == texts[-len(heldout) :]  # whole conversations, to a line
    assert len("\n".join(texts[-len(heldout) :])) / len(corpus.train + corpus.heldout) > 0.099


@given(SEEDS, st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_nothing_reserved_before_the_cut_however_short_the_text(seed: int, count: int) -> None:
    texts = list(documents(seed, count))
    assert len(texts) == count
    flags = [has_reserved(text) for text in texts]
    assert flags == sorted(flags)
    whole = "\n".join(texts)
    assert not has_reserved(whole[: int(len(whole) * 0.9)])
    if count >= 20:
        assert True in flags


def test_one_combination_in_eight_is_reserved() -> None:
    things = [thing for topic in TOPICS.values() for thing in topic.things]
    with_thing = [entry for entry in REPLIES if "n" in entry[2].slots and "n2" not in entry[2].slots]
    only = [e for e in with_thing if not e[2].slots & {"a", "a2"}]
    flags = [is_reserved(*entry, {"n": thing, "n0": thing[4:]}) for entry in only for thing in things]
    assert 0.9 / RESERVED_SHARE < sum(flags) / len(flags) < 1.1 / RESERVED_SHARE


def test_the_held_out_words_and_templates_were_seen() -> None:
    texts = list(documents(0, 4000))
    first = next(i for i, text in enumerate(texts) if has_reserved(text))
    seen, new = (set(WordCodec.pieces("\n".join(part))) for part in (texts[:first], texts[first:]))
    assert new <= seen
    templates = [{f.template for r in replies(p) if (f := parse(r))} for p in (texts[:first], texts[first:])]
    assert templates[0] == {template.source for _, _, template in REPLIES}
    assert templates[1] <= templates[0]


# Reading


@pytest.mark.parametrize("text", ["", "   ", "?!", "The soup.", "yeah, please", "Ugh, thank you"])
def test_what_belongs_to_no_register(text: str) -> None:
    assert classify(text) is None
    assert parse(text) is None


def test_blanks_and_capitals_do_not_count() -> None:
    for reply in replies(list(documents(5, 30))):
        found = parse(reply)
        assert found is not None
        loose = re.sub(r"([.,?!])", r" \1  ", reply)
        assert parse(loose) == parse(f"\t{reply.lower()}\n") == parse(reply.upper()) == found


@given(SEEDS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_broken_reply_is_not_understood(seed: int, draw: random.Random) -> None:
    (_, reply), (_, other) = (
        conversation(random.Random(seed), register)[0] for register in ("rude", "formal")
    )
    pieces = words(reply)
    i = draw.randrange(len(pieces))
    assert parse(" ".join((*pieces[:i], "xylophone", *pieces[i + 1 :]))) is None
    assert parse(" ".join(pieces[:i] + pieces[i : i + 1] + pieces[i:])) is None
    assert parse(f"{reply} {other}") is None
    assert parse(f"{reply} {reply}") is None
    half = words(other)[: max(1, len(words(other)) // 2)]
    assert parse(" ".join((*half, *pieces[len(pieces) // 2 :]))) is None
    if i + 1 < len(pieces) and pieces[i] != pieces[i + 1]:
        swapped = [*pieces[:i], pieces[i + 1], pieces[i], *pieces[i + 2 :]]
        assert parse(" ".join(swapped)) is None


def test_a_slot_means_the_same_throughout() -> None:
    template = Template.read("{n}, o {n0}, and {n2} and {n}.")
    pattern = template.pattern(world().fillers())
    assert pattern.fullmatch("the soup , o soup , and the rice and the soup . ")
    assert not pattern.fullmatch("the soup , o soup , and the rice and the rice . ")
    assert template.openings(world().fillers()) == {"the"}
    assert Template.read("(so |){q}").openings({"q": ("dry", "very thin")}) == {"so", "dry", "very"}
    mixed = "How kind of you to ask, I would gladly take the soup over the rain, but both are fine."
    found = parse(mixed)
    assert found is not None
    assert found.topics == ("weather", "cooking")
    assert parse(mixed.replace("rain", "soup")) is None


def test_filling_in_minds_blanks_and_capitals() -> None:
    template = Template.read("{n} (very much|), ok? (so |){a}.")
    found = {template.fill(random.Random(i), {"n": "the soup", "a": "stir"}) for i in range(30)}
    assert found == {
        f"The soup{much}, ok? {then}." for much in ("", " very much") for then in ("Stir", "So stir")
    }


def test_sections() -> None:
    assert set(REPLY_SECTIONS) - set(INTENTS) == {"request.agree", "request.refuse"}


@pytest.mark.parametrize("register", REGISTERS)
def test_the_sentences_to_capture_are_of_their_register_and_no_templates(register: str) -> None:
    found = sentences()[register]
    assert len(found) == 5
    for sentence in found:
        assert classify(sentence) == register, sentence
        assert parse(sentence) is None, sentence

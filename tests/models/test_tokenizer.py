"""Round trips, for any text whatever."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylang.errors import CheckpointError, CorpusError
from energylang.models.tokenizer import Tokenizer, train_tokenizer

from .conftest import CORPUS, MARKERS

TOKENIZERS = {
    kind: {bool(m): train_tokenizer(kind, CORPUS, m) for m in ((), MARKERS)}
    for kind in ("char", "word", "bpe:300")
}
ALL = [t for pair in TOKENIZERS.values() for t in pair.values()]
SEEN = st.text(sorted(set(CORPUS)))


@given(st.text())
def test_encoding_never_fails_and_settles(text: str) -> None:
    for tokenizer in ALL:
        ids = tokenizer.encode(text)
        assert all(0 <= i < tokenizer.size for i in ids)
        assert isinstance(tokenizer.decode(ids), str)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bpe_is_lossless_on_every_text(text: str) -> None:
    for tokenizer in TOKENIZERS["bpe:300"].values():
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(SEEN)
def test_char_is_lossless_on_the_characters_it_knows(text: str) -> None:
    for tokenizer in TOKENIZERS["char"].values():
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_word_ids_survive_their_text(numbers: list[int]) -> None:
    tokenizer = TOKENIZERS["word"][False]
    known = [1 + n % (tokenizer.size - 1) for n in numbers]
    breaks = {tokenizer.encode("\n")[0], tokenizer.encode("\n\n")[0]}
    ids = [b for a, b in zip([0, *known], known, strict=False) if not (a in breaks and b in breaks)]
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@pytest.mark.parametrize("tokenizer", ALL, ids=lambda t: t.kind)
def test_the_corpus_comes_back(tokenizer: Tokenizer) -> None:
    text = "\n".join(CORPUS.split("\n")[:50])
    if tokenizer.kind == "word" and tokenizer.specials:
        assert tokenizer.decode(tokenizer.encode(text)).strip() == text.strip()
    elif tokenizer.kind != "word":
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("tokenizer", ALL, ids=lambda t: t.kind)
def test_the_json_value_is_the_tokenizer(tokenizer: Tokenizer) -> None:
    back = Tokenizer.from_json(json.loads(json.dumps(tokenizer.to_json())), "here")
    text = CORPUS[:500] + "ünknöwn §"
    assert back.encode(text) == tokenizer.encode(text)
    assert back.decode(back.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert (back.size, back.kind, back.specials) == (tokenizer.size, tokenizer.kind, tokenizer.specials)


def test_unknown_pieces_have_a_token_of_their_own() -> None:
    word, char = TOKENIZERS["word"][False], TOKENIZERS["char"][False]
    assert word.encode("xylophone") == [word.unknown]
    assert char.encode("§") == [char.unknown]
    assert word.decode([0]) == "<unk>"


def test_prose_is_joined_as_it_is_written() -> None:
    tokenizer = train_tokenizer("word", 'i\'m glad (really), he said: "no" - it is 42 . ! ?\n')
    assert tokenizer.decode(tokenizer.encode("I'm glad (really), it is. No!\nIt is 42")) == (
        "I'm glad (really), it is. No!\nIt is 42"
    )


def test_markers_are_single_tokens() -> None:
    for kind in ("char", "word", "bpe:300"):
        tokenizer = TOKENIZERS[kind][True]
        ids = tokenizer.encode("user: hi\nbot: ")
        assert (ids[0], ids[-1]) == (0, 1)


@pytest.mark.parametrize("kind", ["bpe", "bpe:", "bpe:12", "bpe:x", "syllable", "bpe:99999999", ""])
def test_unknown_kinds_are_refused(kind: str) -> None:
    with pytest.raises(CorpusError):
        train_tokenizer(kind, "text")


@pytest.mark.parametrize(
    "value",
    [None, 3, {}, {"kind": "bpe", "specials": [], "state": "{}"}, {"kind": "x", "specials": [], "state": ""}],
)
def test_damaged_values_are_refused(value: object) -> None:
    with pytest.raises(CheckpointError, match="here"):
        Tokenizer.from_json(value, "here")

"""Text to numbers and back: characters, words, or byte-pair encoding.

A ``Tokenizer`` is a few *specials* (the markers of a dialogue, never split) in front of a codec:

``char``    one token per character of the corpus; lossless on those characters
``word``    lower-cased words, punctuation marks and line breaks; decoding joins and capitalises them
            again, so ``encode ∘ decode`` is the identity and ``decode ∘ encode`` restores prose
``bpe:N``   N byte-level pieces (the tokenizers library); lossless on every text

What the corpus did not contain becomes the unknown token (``bpe`` has none: every byte is a piece).
Everything is one JSON value, stored inside the model file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from energylang.errors import CheckpointError, CorpusError

UNKNOWN = "<unk>"
_SHORT, _REMEMBERED = 400, 4096  # characters of a part of a text, and so many of them
MAX_WORDS = 16384
MAX_PIECES = 65536
MAX_SPECIALS = 64
MAX_TOKENS = 2**20


class Codec(Protocol):
    """A tokenizer without specials."""

    kind: str
    size: int

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def state(self) -> object: ...


class CharCodec:
    """Token 0 is unknown, then the characters in order of code point."""

    kind = "char"

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)
        self.ids = {c: i + 1 for i, c in enumerate(self.characters)}
        self.size = len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        return [self.ids.get(c, 0) for c in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.characters[i - 1] if i else "�" for i in ids)

    def state(self) -> object:
        return "".join(self.characters)


class WordCodec:
    """Token 0 is unknown, then words by falling frequency."""

    kind = "word"
    _PIECE = re.compile(r"\n{2,}|\n|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|\S")
    _CLOSING = frozenset(".,;:!?)]}…%”’'")
    _OPENING = frozenset("([{“‘")
    _ENDING = frozenset(".!?…")

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.ids = {w: i + 1 for i, w in enumerate(self.words)}
        self.size = len(self.words) + 1

    @classmethod
    def pieces(cls, text: str) -> Iterator[str]:
        """The lower-cased pieces of ``text``; two or more line breaks are one piece."""
        for match in cls._PIECE.finditer(text.lower()):
            piece = match[0]
            yield "\n\n" if piece.startswith("\n\n") else piece

    def encode(self, text: str) -> list[int]:
        return [self.ids.get(p, 0) for p in self.pieces(text)]

    def decode(self, ids: Sequence[int]) -> str:
        text, start, glue = "", True, True
        for i in ids:
            piece = self.words[i - 1] if i else UNKNOWN
            if piece in ("\n", "\n\n"):
                text, start, glue = text + piece, True, True
                continue
            shown = _capital(piece) if start or piece == "i" or piece.startswith(("i'", "i’")) else piece
            text += shown if glue or piece in self._CLOSING else " " + shown
            start = piece in self._ENDING or (start and not piece[0].isalnum())
            glue = piece in self._OPENING
        return text

    def state(self) -> object:
        return self.words


class BpeCodec:
    """Byte-level pieces; holds the JSON of the tokenizers library."""

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer as Library

        self.text = text
        _check_bpe(text)
        try:
            self.library = Library.from_str(text)
        except BaseException as error:  # the library raises nothing narrower, and panics are no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise ValueError(f"not a byte-pair encoding: {error}") from None
        self.size = int(self.library.get_vocab_size())
        self.kind = f"bpe:{self.size}"

    @classmethod
    def train(cls, size: int, text: str) -> BpeCodec:
        from tokenizers import Tokenizer as Library
        from tokenizers import decoders, models, pre_tokenizers, trainers

        library = Library(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        library.train_from_iterator([text], trainer)
        return cls(library.to_str())

    def encode(self, text: str) -> list[int]:
        return list(self.library.encode(text).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.library.decode(list(ids), skip_special_tokens=False))

    def state(self) -> object:
        return self.text


def _check_bpe(text: str) -> None:
    """Raise ``ValueError`` for what ``BpeCodec.train`` would not have written. The library also knows regular
    expressions, templates and normalisers; from a stranger's file they are neither needed nor trusted."""
    try:
        described = json.loads(text)
        model, splitter, joiner = (described[part] for part in ("model", "pre_tokenizer", "decoder"))
        sound = (
            (model["type"], splitter["type"], joiner["type"]) == ("BPE", "ByteLevel", "ByteLevel")
            and all(not described.get(part) for part in ("normalizer", "post_processor", "added_tokens"))
            and all(not described.get(part) for part in ("truncation", "padding"))
            and 1 <= len(model["vocab"]) <= MAX_PIECES
            and sorted(model["vocab"].values()) == list(range(len(model["vocab"])))
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a byte-pair encoding: {type(error).__name__}") from None
    if not sound:
        raise ValueError("not a byte-level byte-pair encoding")


class Tokenizer:
    """Specials first (ids 0 … s−1), then the codec's tokens.

    A word codec swallows the blanks around a special; the others keep every character.
    """

    def __init__(self, codec: Codec, specials: Sequence[str] = ()) -> None:
        self.codec = codec
        self.specials = tuple(specials)
        self.size = codec.size + len(self.specials)
        self._words = isinstance(codec, WordCodec)
        self._ids = {s: i for i, s in enumerate(self.specials)}
        choice = "|".join(map(re.escape, sorted(self.specials, key=len, reverse=True)))
        self._split = re.compile(f"({choice})") if choice else None
        self._known: dict[
            str, tuple[int, ...]
        ] = {}  # short parts: the turns of conversations come again and again

    @property
    def kind(self) -> str:
        return self.codec.kind

    @property
    def unknown(self) -> int | None:
        """The id that stands for what the corpus did not contain; None for bpe."""
        return None if isinstance(self.codec, BpeCodec) else len(self.specials)

    @property
    def stops(self) -> frozenset[int]:
        """The ids at which writing ends: the markers of a turn."""
        return frozenset(range(len(self.specials)))

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; never fails (a lone surrogate is replaced)."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        shift, ids = len(self.specials), []
        for part in self._split.split(text) if self._split else (text,):
            if part in self._ids:
                ids.append(self._ids[part])
            elif part:
                ids.extend(self._encoded(part, shift))
        return ids

    def _encoded(self, part: str, shift: int) -> Sequence[int]:
        found = self._known.get(part)
        if found is None:
            found = tuple(shift + i for i in self.codec.encode(part))
            if len(part) <= _SHORT:
                if len(self._known) >= _REMEMBERED:
                    self._known.pop(next(iter(self._known)), None)
                self._known[part] = found
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``. Raises ``IndexError`` for an id outside the vocabulary."""
        shift, run, text = len(self.specials), list[int](), ""
        for i in ids:
            if not 0 <= i < self.size:
                raise IndexError(f"token {i} is outside a vocabulary of {self.size}")
            if i >= shift:
                run.append(i - shift)
                continue
            text = self._join(self._join(text, self.codec.decode(run)), self.specials[i])
            run = []
        return self._join(text, self.codec.decode(run))

    def piece(self, token_id: int) -> str:
        """One token as it is in the vocabulary, without what decoding adds (capitals, blanks)."""
        position = token_id - len(self.specials)
        if position > 0 and isinstance(self.codec, WordCodec):
            return self.codec.words[position - 1]
        return self.decode([token_id])

    def _join(self, left: str, right: str) -> str:
        space = self._words and left and right and not left[-1].isspace() and not right[0].isspace()
        return f"{left} {right}" if space else left + right

    def to_json(self) -> dict[str, object]:
        """A JSON value that ``from_json`` reads."""
        kind = self.kind.split(":")[0]
        return {"kind": kind, "specials": list(self.specials), "state": self.codec.state()}

    @staticmethod
    def from_json(value: object, where: str) -> Tokenizer:
        """The tokenizer in the file ``where``; raises ``CheckpointError`` when it is not one."""
        try:
            if not isinstance(value, dict):
                raise TypeError("not an object")
            kind, specials, state = value["kind"], value["specials"], value["state"]
            if not isinstance(specials, list) or not all(isinstance(s, str) and s for s in specials):
                raise TypeError("specials are not texts")
            if len(specials) > MAX_SPECIALS or max(map(len, specials), default=0) > 200:
                raise ValueError("its specials are too many, or too long")
            if len(state) > (64 * MAX_TOKENS if isinstance(state, str) else MAX_TOKENS):
                raise ValueError("it is too large")
            if kind == "bpe" and isinstance(state, str):
                return Tokenizer(BpeCodec(state), specials)
            if kind == "char" and isinstance(state, str):
                return Tokenizer(CharCodec(state), specials)
            if kind == "word" and isinstance(state, list) and all(isinstance(w, str) and w for w in state):
                return Tokenizer(WordCodec(state), specials)
            raise ValueError(f"unknown kind {kind!r:.80}")
        except (KeyError, TypeError, ValueError) as error:
            reason = str(error)[:200]
            raise CheckpointError(f"{where} has an unreadable tokenizer: {reason}") from None


def check_kind(kind: str) -> int:
    """0 for "char" and "word", N for "bpe:N"; raises ``CorpusError`` for anything else."""
    if kind in ("char", "word"):
        return 0
    if match := re.fullmatch(r"bpe:(\d+)", kind):
        size = int(match[1])
        if 256 <= size <= 65536:
            return size
        raise CorpusError(
            f"a vocabulary of {size} pieces is out of bounds", hint="bpe:256 to bpe:65536 (256 are bytes)"
        )
    raise CorpusError(f"there is no tokenizer '{kind}'", hint="char, word, or bpe:N, for example bpe:1024")


def train_tokenizer(kind: str, text: str, markers: Sequence[str] = ()) -> Tokenizer:
    """A tokenizer of ``kind`` for ``text``; ``markers`` ("user:", "bot:") become specials.

    Outside a word tokenizer a marker includes the blank behind it, so that the token after a marker
    is the first of the turn.
    """
    size = check_kind(kind)
    specials = list(markers) if kind == "word" else [f"{m} " for m in markers]
    parts = re.split("|".join(map(re.escape, specials)), text) if specials else [text]
    if kind == "word":
        counts = Counter(p for part in parts for p in WordCodec.pieces(part))
        ranked = sorted(counts, key=lambda w: (-counts[w], w))[:MAX_WORDS]
        return Tokenizer(WordCodec(ranked), specials)
    if kind == "char":
        return Tokenizer(CharCodec(sorted(set(text))), specials)
    return Tokenizer(BpeCodec.train(size, "".join(parts)), specials)


def _capital(word: str) -> str:
    """``word`` with a capital, unless lower-casing would not bring it back."""
    first = word[0].upper()
    return first + word[1:] if len(first) == 1 and first.lower() == word[0] else word

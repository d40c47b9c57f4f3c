"""From a text file to tokens: reading, splitting, batches, neutral prompts.

The **last tenth** of the corpus, from the next line break on, is held out: no step sees it and the
tokenizer is not trained on it. Batches are a function of (seed, step) alone, so a resumed training
continues with the very windows an uninterrupted one would have seen.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from energylang.errors import CorpusError
from energylang.files.storage import not_utf8, read_bytes
from energylang.models.hopfield.sandbox import generator
from energylang.models.tokenizer import Tokenizer, train_tokenizer

HELDOUT_SHARE = 0.1
MAX_CORPUS_BYTES = 2**31
_PROMPTS = 256


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text, split: ``train`` + ``heldout`` are the whole, ``digest`` the SHA-256 of the file."""

    path: str
    digest: str
    train: str
    heldout: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A corpus in numbers: int64 tokens, and positions at which a conversation turn of the user starts."""

    tokenizer: Tokenizer
    train: Tensor
    heldout: Tensor
    turn_starts: Tensor
    heldout_characters: int


def read_text(path: Path) -> str:
    """The text at ``path``, with plain line breaks; raises ``CorpusError`` when it is no text."""
    return _read(path)[1]


def read_corpus(path: Path) -> Corpus:
    """The text at ``path``, split; raises ``CorpusError`` when it is no text or too little of it."""
    raw, text = _read(path)
    cut = int(len(text) * (1 - HELDOUT_SHARE))
    line = text.find("\n", cut)
    cut = line + 1 if 0 <= line < len(text) - 1 and line - cut < len(text) // 50 else cut
    return Corpus(str(path), hashlib.sha256(raw).hexdigest(), text[:cut], text[cut:])


def _read(path: Path) -> tuple[bytes, str]:
    """The bytes at ``path`` and the text they are."""
    try:
        raw = read_bytes(path, MAX_CORPUS_BYTES, growth=4)
    except IsADirectoryError:
        raise CorpusError(f"{path} is a folder, not a text", hint="name one UTF-8 text file") from None
    except FileNotFoundError:
        raise CorpusError(f"there is no corpus {path}", hint="check the path") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} {not_utf8(error)[0]}", hint=not_utf8(error)[1]) from None
    if "\0" in text:
        raise CorpusError(f"{path} is not a text: it contains zero bytes")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise CorpusError(f"{path} is empty", hint="a corpus of a few hundred kilobytes is a good start")
    return raw, text


def check_markers(corpus: Corpus, markers: Sequence[str]) -> tuple[str, str] | None:
    """The turn markers, or None without any; raises ``CorpusError`` when the corpus lacks them."""
    if not markers:
        return None
    user, bot = (m.strip() for m in markers)
    if not user or not bot or user == bot:
        raise CorpusError("turn markers are two different texts", hint='for example --turns "user:" "bot:"')
    for marker in (user, bot):
        if f"{marker} " not in corpus.train or f"{marker} " not in corpus.heldout:
            raise CorpusError(
                f"{corpus.path} has no turns marked '{marker} '",
                hint="every turn is a line that starts with the marker and a blank",
            )
    return user, bot


def tokenise(
    corpus: Corpus,
    kind: str,
    markers: tuple[str, str] | None,
    context: int,
    tokenizer: Tokenizer | None = None,
) -> Tokens:
    """The corpus in tokens, with a tokenizer trained on its training part unless one is given."""
    tokenizer = tokenizer or train_tokenizer(kind, corpus.train, markers or ())
    train = torch.tensor(tokenizer.encode(corpus.train), dtype=torch.int64)
    heldout = torch.tensor(tokenizer.encode(corpus.heldout), dtype=torch.int64)
    if len(train) < context + 2 or len(heldout) < 2:
        raise CorpusError(
            f"{corpus.path} is too short: {len(train)} training and {len(heldout)} held-out tokens",
            hint=f"at least {context + 2} training tokens (the context of this size, and one more)",
        )
    last = len(train) - context - 1
    starts = (train[:last] == 0).nonzero()[:, 0] if markers else torch.zeros(0, dtype=torch.int64)
    return Tokens(tokenizer, train, heldout, starts, len(corpus.heldout))


def batch(tokens: Tokens, context: int, size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (size, context) of one step. In a dialogue every other window opens with a
    user's turn, because that is how the model will be spoken to."""
    draw = generator("batch", seed, step)
    starts = torch.randint(len(tokens.train) - context - 1, (size,), generator=draw)
    if len(tokens.turn_starts):
        turns = torch.randint(len(tokens.turn_starts), (size,), generator=draw)
        starts[::2] = tokens.turn_starts[turns[::2]]
    rows = tokens.train[starts[:, None] + torch.arange(context + 1)]
    return rows[:, :-1], rows[:, 1:]


def neutral_prompts(corpus: Corpus, markers: tuple[str, str] | None, seed: int) -> list[str]:
    """Up to 256 different openings from the held-out text: first turns of its conversations, or, without
    markers, passages of about ten words."""
    found: dict[str, None] = {}
    if markers:
        turn = re.compile(rf"^{re.escape(markers[0])} (\S.*)$", re.MULTILINE)
        firsts = [m[1] for part in re.split(r"\n{2,}", corpus.heldout) if (m := turn.search(part))]
        if len(firsts) < 2:
            firsts = turn.findall(corpus.heldout)
        found.update(dict.fromkeys(f.strip() for f in firsts))
    else:
        words = list(re.finditer(r"\S+", corpus.heldout))
        for k in range(min(_PROMPTS, max(1, len(words) // 12))):
            span = words[k * max(1, len(words) // _PROMPTS) :][:10]
            if span:
                found[corpus.heldout[span[0].start() : span[-1].end()]] = None
    prompts = list(found)
    order = torch.randperm(len(prompts), generator=generator("prompts", seed)).tolist()
    return [prompts[i] for i in order[:_PROMPTS]]

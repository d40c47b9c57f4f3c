"""Where is a text's state read?  Everything that turns texts into states of a layer.

*Where* a state is read decides what it means. The **decision state** is the one from which the model is about
to speak. In a dialogue model that is the state at the marker that opens the bot's turn; what a text does to
it is seen by making the text an earlier reply of the conversation:

    user: <neutral question>   bot: <text>   user: <another neutral question>   bot: ← here

averaged over a few pairs of neutral questions. In a plain-text model it is the state at the last token of the
text. Other **positions** are the last token of the text, the mean over its tokens, and a token that is named;
the text is then the bot's turn of a conversation, or stands alone. Neutral states are those of
``user: <neutral question> bot:`` or of seeded positions of the held-out text.

**Choosing and measuring** are kept apart: neutral prompts alternate between the two, held-out windows are
halved. What a state, a dose or a layer is chosen by never meets what an effect is measured by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.hopfield.sandbox import generator as seeded
from energylang.models.protocol import NOTHING, Change, Readable
from energylang.models.text import TextModel

DECISION, LAST, MEAN = "decision", "last", "mean"
POSITIONS = (DECISION, LAST, MEAN)
QUESTION_PAIRS = 4
_PLACES = re.compile(r"(\d{1,6})\.\.(\d{1,6})")


@dataclass(frozen=True)
class Count:
    """How many tokens there were in what was given, how many of them the model read (of what is too long for its
    context the last that fit), and how many of the given ones its tokenizer does not know."""

    given: int = 0
    read: int = 0
    unknown: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.given + other.given, self.read + other.read, self.unknown + other.unknown)


def count(model: TextModel, ids: Sequence[int], read: int | None = None) -> Count:
    """The count of tokens of which ``read`` were read (all of them without it)."""
    unknown = model.tokenizer.unknown
    return Count(
        len(ids),
        len(ids) if read is None else max(0, min(read, len(ids))),
        0 if unknown is None else sum(token == unknown for token in ids),
    )


def count_prompt(model: TextModel, prompt: str) -> Count:
    """How much of a prompt the model is given (see ``TextModel.prompt_ids``)."""
    ids = model.encode(prompt)
    if model.dialogue is None:
        return count(model, ids, model.max_length - 1 - len(model.opening))
    return count(model, ids, len(ids) - _cut(model, [prompt], 0, model.max_length - 1))


def count_texts(model: TextModel, texts: Sequence[str], position: str) -> Count:
    """How much of texts is read where their state is read at a position."""
    total = Count()
    for text in texts:
        ids = model.encode(text)
        read = model.max_length
        if position == DECISION and model.dialogue is None:
            read = model.max_length - len(model.opening)
        elif position == DECISION and model.dialogue is not None:
            asked = model.choosing_prompts
            around = [(asked[k % len(asked)], asked[(k + 1) % len(asked)]) for k in range(QUESTION_PAIRS)]
            read = len(ids) - max(
                _cut(model, [first, text, second], 1, model.max_length) for first, second in around
            )
        total += count(model, ids, read)
    return total


def _cut(model: TextModel, turns: Sequence[str], turn: int, room: int) -> int:
    """How many tokens of a turn of a conversation are left out where only its last ``room`` tokens are kept."""
    assert model.dialogue is not None
    whole = model.dialogue.ids(turns)
    if len(whole) <= room:
        return 0
    without = model.dialogue.ids([*turns[:turn], "", *turns[turn + 1 :]])
    before = next((k for k, (a, b) in enumerate(zip(whole, without, strict=False)) if a != b), len(without))
    return max(0, len(whole) - room - before)


@torch.no_grad()
def turn_states(model: TextModel, conversations: Sequence[Sequence[str]], layer: int) -> Tensor:
    """(n, d): the state from which the next turn is about to be spoken after each conversation (user, bot, user, …
    turns). Dialogue models only."""
    rows = [model.conversation(turns) for turns in conversations]
    return _states_at(model, rows, (layer,), [(len(row) - 1, len(row)) for row in rows])[layer]


@torch.no_grad()
def decision_states(
    model: TextModel, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS
) -> Tensor:
    """(n, d): the state from which the model is about to speak, having just heard each text.

    In a dialogue it is the mean over ``pairs`` pairs of neutral questions around the text.
    """
    return _averaged(decision_samples(model, texts, layer, pairs=pairs), len(texts))


@torch.no_grad()
def decision_samples(
    model: TextModel, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS
) -> Tensor:
    """(n·pairs, d): the decision states that ``decision_states`` averages, those of a text together."""
    rows = decision_rows(model, texts, pairs)
    return _states_at(model, rows, (layer,), [(len(row) - 1, len(row)) for row in rows])[layer]


def text_states(model: TextModel, texts: Sequence[str], layer: int, position: str) -> Tensor:
    """(n, d): the state of each text at a position: ``decision``, ``last``, ``mean``, or the last place
    of a token that is named (``LandscapeError`` EL201 when it is not one token, or not in the text).
    """
    return text_states_at(model, texts, (layer,), position)[layer]


@torch.no_grad()
def text_states_at(
    model: TextModel, texts: Sequence[str], layers: Sequence[int], position: str
) -> dict[int, Tensor]:
    """``text_states`` of several layers, by layer, in one reading."""
    if position == DECISION:
        rows = decision_rows(model, texts, QUESTION_PAIRS)
        found = _states_at(model, rows, layers, [(len(row) - 1, len(row)) for row in rows])
        return {layer: _averaged(states, len(texts)) for layer, states in found.items()}
    rows, spans = [], []
    for text in texts:
        opening = model.prompt_ids(model.choosing_prompts[0]) if model.dialogue else model.opening
        inside = model.encode(text) or [0]
        rows.append((opening + inside)[-model.max_length :])
        first = max(0, len(rows[-1]) - len(inside))
        spans.append(_span(model, text, rows[-1], first, position))
    return _states_at(model, rows, layers, spans)


def named_token(model: TextModel, text: str, position: str) -> int:
    """The id of the token that ``position`` names, which must occur in ``text``."""
    named = model.encode(position.strip())
    inside = model.encode(text)
    for candidate in (named, model.encode(f" {position.strip()}")):
        if len(candidate) == 1 and candidate[0] in inside and candidate[0] != model.tokenizer.unknown:
            return candidate[0]
    known = ", ".join(POSITIONS)
    raise LandscapeError(
        f"'{position}' is not a token of \"{text}\"",
        code="EL201",
        hint=f"a position is {known}, or one token of the text",
    )


@torch.no_grad()
def neutral_states(model: TextModel, layer: int, n: int = 64) -> Tensor:
    """(k, d) with k ≤ n: decision states where nothing was said yet (one per choosing prompt), or
    states at ``n`` seeded positions of the held-out text."""
    if model.dialogue is None:
        return token_states(model, layer, n, seeded("neutral", layer, n))
    return turn_states(model, [[question] for question in model.choosing_prompts[:n]], layer)


@torch.no_grad()
def token_states(
    model: TextModel, layer: Readable, n: int, generator: torch.Generator, change: Change = NOTHING
) -> Tensor:
    """(k, d) with k ≤ n: states of real held-out tokens, drawn without repetition."""
    model.check_layer(layer)
    windows = model.choosing_windows()[:, :-1]
    order = torch.randperm(len(windows), generator=generator).to(windows.device)
    needed = min(len(windows), -(-n // windows.shape[1]) * 4)
    found = [
        model.run(part, change, wanted=_nowhere(part), read=(layer,)).states[layer].flatten(0, 1)
        for part in model.chunks(windows[order[:needed]])
    ]
    states = torch.cat(found)
    pick = torch.randperm(len(states), generator=generator)[:n].to(states.device)
    return states[pick]


@torch.no_grad()
def window_states(
    model: TextModel, windows: Tensor, change: Change = NOTHING, read: Sequence[Readable] | None = None
) -> dict[Readable, Tensor]:
    """By layer (of those that are ``read``) (w, t, d): the state of every token of the windows (w, t). The logits
    are not computed."""
    passed = [
        model.run(part, change, wanted=_nowhere(part), read=read).states for part in model.chunks(windows)
    ]
    return {layer: torch.cat([states[layer] for states in passed]) for layer in passed[0]}


@torch.no_grad()
def reply_states(
    model: TextModel, texts: Sequence[str], layer: Readable, change: Change = NOTHING
) -> tuple[list[list[int]], Tensor]:
    """The tokens of each text, and the states (n, d) of all of them in order, where the texts are what the model
    itself says: in a dialogue the bot's turn after neutral questions, in plain text on their own. Of a text too
    long for the context the last tokens that fit."""
    rows, lengths = [], []
    for k, text in enumerate(texts):
        opening = (
            model.prompt_ids(model.choosing_prompts[k % len(model.choosing_prompts)])
            if model.dialogue
            else []
        )
        inside = model.encode(text)
        rows.append((opening + inside)[-model.max_length :] or [0])
        lengths.append(min(len(inside), model.max_length))
    found, tokens = [], []
    for padded, ends, start in model.padded(rows):
        starts = [end - lengths[start + k] for k, end in enumerate(ends)]
        states = model.run(
            padded,
            change,
            wanted=_nowhere(padded),
            read=(layer,),
            begins=torch.tensor(starts),
            lengths=torch.tensor(ends),
        ).states[layer]
        for k, end in enumerate(ends):
            begin = end - lengths[start + k]
            found.append(states[k, begin:end])
            tokens.append(rows[start + k][begin:end])
    return tokens, torch.cat(found)


def decision_rows(model: TextModel, texts: Sequence[str], pairs: int) -> list[list[int]]:
    """Token rows that end where the model is about to speak, ``pairs`` of them per text."""
    if model.dialogue is None:
        return [model.opened(model.encode(text), room=0) for text in texts]
    asked = model.choosing_prompts
    around = [(asked[k % len(asked)], asked[(k + 1) % len(asked)]) for k in range(pairs)]
    return [model.conversation([first, text, second]) for text in texts for first, second in around]


def _span(model: TextModel, text: str, row: list[int], first: int, position: str) -> tuple[int, int]:
    """The tokens of a row, from one index up to another, whose states a position means."""
    if position == LAST:
        return len(row) - 1, len(row)
    if position == MEAN:
        return first, len(row)
    if match := _PLACES.fullmatch(position):
        low, high = first + int(match[1]), first + int(match[2]) + 1
        if not low < high <= len(row):
            raise LandscapeError(
                f'"{text}" has no tokens {position}',
                code="EL201",
                hint=f"it has {len(row) - first} tokens, counted from 0",
            )
        return low, high
    named = named_token(model, text, position)
    place = max((k for k in range(first, len(row)) if row[k] == named), default=len(row) - 1)
    return place, place + 1


def _averaged(states: Tensor, texts: int) -> Tensor:
    """(n·pairs, d), those of a text together -> (n, d): their means."""
    return states.reshape(texts, -1, states.shape[-1]).mean(dim=1)


def _nowhere(tokens: Tensor) -> Tensor:
    """No place of (b, t) tokens: the logits are not wanted."""
    return torch.zeros_like(tokens, dtype=torch.bool)


def _states_at(
    model: TextModel, rows: list[list[int]], layers: Sequence[int], spans: list[tuple[int, int]]
) -> dict[int, Tensor]:
    """By layer (n, d): the mean state over each row's span of tokens."""
    for layer in layers:
        model.check_layer(layer)
    if not rows:
        raise LandscapeError("no text was given")
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for padded, lengths, start in model.padded(rows):
        states = model.run(padded, wanted=_nowhere(padded), read=layers).states
        for k in range(len(lengths)):
            low, high = spans[start + k]
            for layer, rows_of in found.items():
                here = states[layer]
                rows_of.append(here[k, low] if high == low + 1 else here[k, low:high].mean(dim=0))
    return {layer: torch.stack(rows_of) for layer, rows_of in found.items()}

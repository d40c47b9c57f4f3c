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

from collections.abc import Sequence

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.hopfield.sandbox import generator as seeded
from energylang.models.protocol import NOTHING, Change
from energylang.models.text import TextModel, chunks

DECISION, LAST, MEAN = "decision", "last", "mean"
POSITIONS = (DECISION, LAST, MEAN)
QUESTION_PAIRS = 4


@torch.no_grad()
def turn_states(model: TextModel, conversations: Sequence[Sequence[str]], layer: int) -> Tensor:
    """(n, d): the state from which the next turn is about to be spoken after each conversation (user, bot, user, …
    turns). Dialogue models only."""
    rows = [model.conversation(turns) for turns in conversations]
    return _states_at(model, rows, layer, [(len(row) - 1, len(row)) for row in rows])


@torch.no_grad()
def decision_states(
    model: TextModel, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS
) -> Tensor:
    """(n, d): the state from which the model is about to speak, having just heard each text.

    In a dialogue it is the mean over ``pairs`` pairs of neutral questions around the text.
    """
    states = decision_samples(model, texts, layer, pairs=pairs)
    return states.reshape(len(texts), -1, states.shape[-1]).mean(dim=1)


@torch.no_grad()
def decision_samples(
    model: TextModel, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS
) -> Tensor:
    """(n·pairs, d): the decision states that ``decision_states`` averages, those of a text together."""
    rows = decision_rows(model, texts, pairs)
    return _states_at(model, rows, layer, [(len(row) - 1, len(row)) for row in rows])


@torch.no_grad()
def text_states(model: TextModel, texts: Sequence[str], layer: int, position: str) -> Tensor:
    """(n, d): the state of each text at a position: ``decision``, ``last``, ``mean``, or the last place
    of a token that is named (``LandscapeError`` EL201 when it is not one token, or not in the text).
    """
    if position == DECISION:
        return decision_states(model, texts, layer)
    rows, spans = [], []
    for text in texts:
        opening = model.prompt_ids(model.choosing_prompts[0]) if model.markers else []
        inside = model.encode(text) or [0]
        rows.append((opening + inside)[-model.max_length :])
        first = max(0, len(rows[-1]) - len(inside))
        spans.append(_span(model, text, rows[-1], first, position))
    return _states_at(model, rows, layer, spans)


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
    if model.markers is None:
        return token_states(model, layer, n, seeded("neutral", layer, n))
    return turn_states(model, [[question] for question in model.choosing_prompts[:n]], layer)


@torch.no_grad()
def token_states(model: TextModel, layer: int, n: int, generator: torch.Generator) -> Tensor:
    """(k, d) with k ≤ n: states of real held-out tokens, drawn without repetition."""
    model.check_layer(layer)
    windows = model.choosing_windows()[:, :-1]
    order = torch.randperm(len(windows), generator=generator).to(windows.device)
    needed = min(len(windows), -(-n // windows.shape[1]) * 4)
    found = [model.run(c).states[layer].flatten(0, 1) for c in chunks(windows[order[:needed]])]
    states = torch.cat(found)
    pick = torch.randperm(len(states), generator=generator)[:n].to(states.device)
    return states[pick]


@torch.no_grad()
def window_states(model: TextModel, windows: Tensor, change: Change = NOTHING) -> dict[int, Tensor]:
    """By layer (w, t, d): the state of every token of the windows (w, t). The logits are not computed."""
    nowhere = torch.zeros_like(windows, dtype=torch.bool)
    passed = [
        model.run(part, change, wanted=none).states
        for part, none in zip(chunks(windows), chunks(nowhere), strict=True)
    ]
    return {layer: torch.cat([states[layer] for states in passed]) for layer in passed[0]}


@torch.no_grad()
def reply_states(
    model: TextModel, texts: Sequence[str], layer: int, change: Change = NOTHING
) -> tuple[list[list[int]], Tensor]:
    """The tokens of each text, and the states (n, d) of all of them in order, where the texts are what the model
    itself says: in a dialogue the bot's turn after neutral questions, in plain text on their own. Of a text too
    long for the context the last tokens that fit."""
    rows, lengths = [], []
    for k, text in enumerate(texts):
        opening = (
            model.prompt_ids(model.choosing_prompts[k % len(model.choosing_prompts)]) if model.markers else []
        )
        inside = model.encode(text)
        rows.append((opening + inside)[-model.max_length :] or [0])
        lengths.append(min(len(inside), model.max_length))
    found, tokens = [], []
    for padded, ends, start in model.padded(rows):
        states = model.run(padded, change).states[layer]
        for k, end in enumerate(ends):
            begin = end - lengths[start + k]
            found.append(states[k, begin:end])
            tokens.append(rows[start + k][begin:end])
    return tokens, torch.cat(found)


def decision_rows(model: TextModel, texts: Sequence[str], pairs: int) -> list[list[int]]:
    """Token rows that end where the model is about to speak, ``pairs`` of them per text."""
    if model.markers is None:
        return [(model.encode(text) or [0])[-model.max_length :] for text in texts]
    asked = model.choosing_prompts
    around = [(asked[k % len(asked)], asked[(k + 1) % len(asked)]) for k in range(pairs)]
    return [model.conversation([first, text, second]) for text in texts for first, second in around]


def _span(model: TextModel, text: str, row: list[int], first: int, position: str) -> tuple[int, int]:
    """The tokens of a row, from one index up to another, whose states a position means."""
    if position == LAST:
        return len(row) - 1, len(row)
    if position == MEAN:
        return first, len(row)
    named = named_token(model, text, position)
    place = max((k for k in range(first, len(row)) if row[k] == named), default=len(row) - 1)
    return place, place + 1


def _states_at(model: TextModel, rows: list[list[int]], layer: int, spans: list[tuple[int, int]]) -> Tensor:
    """(n, d): the mean state of a layer over each row's span of tokens."""
    model.check_layer(layer)
    found = []
    for padded, lengths, start in model.padded(rows):
        states = model.run(padded).states[layer]
        for k in range(len(lengths)):
            low, high = spans[start + k]
            found.append(states[k, low] if high == low + 1 else states[k, low:high].mean(dim=0))
    if not found:
        raise LandscapeError("no text was given")
    return torch.stack(found)

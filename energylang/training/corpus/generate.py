"""Drawing conversations, and the split into a training and a held-out part.

One ``random.Random(seed)`` decides every byte. See the package's documentation for the split.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from energylang.training.corpus.sources import REGISTERS, bare_thing, world
from energylang.training.corpus.understand import is_reserved

#: How often a turn between greeting and farewell has which intent.
WEIGHTS = {
    "advise": 6.0,
    "explain": 2.0,
    "when": 2.0,
    "request": 2.0,
    "tell": 1.5,
    "choose": 1.0,
    "good": 1.0,
    "bad": 1.0,
}
OPENING, FAREWELL = 0.4, 0.25
KEEP_TOPIC, KEEP_THING = 0.7, 0.5
#: The trainer holds out this share of the characters.
HELDOUT_SHARE = 0.1

_TRIES = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its reply; ``sources`` are their templates, ``thing`` what both may speak of."""

    question: str
    reply: str
    thing: str
    sources: frozenset[str]
    reserved: bool


def exchange(draw: random.Random, register: str, topic: str, intent: str) -> tuple[str, str]:
    """(question, reply) of one turn each."""
    turn = _turn(draw, register, topic, intent)
    return turn.question, turn.reply


def conversation(draw: random.Random, register: str | None = None) -> list[tuple[str, str]]:
    """Three to seven exchanges in one register: perhaps an opening, questions, perhaps a farewell."""
    return [(turn.question, turn.reply) for turn in _conversation(draw, register)]


def documents(seed: int, count: int) -> Iterator[str]:
    """``count`` conversations as text, without the blank line between them.

    Up to the point where the trainer cuts off the held-out text nothing reserved occurs; from there on
    every conversation contains a reserved combination. The cut falls on the end of a conversation: pairs
    are drawn for the last two until the lengths fit. (Fewer than about a dozen conversations may be too
    few for that; then nothing reserved is shown.)
    """
    draw = random.Random(seed)
    train: list[str] = []
    heldout: list[str] = []
    size = rest = 0  # characters of either
    while (left := count - len(train) - len(heldout)) > 0:
        if left <= 2 and train and (last := _last(draw, left, size, rest, train)):
            heldout += last
        elif left > 2 and rest + 2.5 * size / max(1, len(train)) < size * HELDOUT_SHARE / (1 - HELDOUT_SHARE):
            heldout.append(_reserved(draw))
            rest += len(heldout[-1]) + 1
        else:
            train.append(_text(_conversation(draw, None, lambda turn: not turn.reserved)))
            size += len(train[-1]) + 1
    yield from train
    yield from heldout


def neutral_questions(seed: int, count: int) -> list[str]:
    """``count`` different first questions, in a seeded order; ``ValueError`` when there are not so many."""
    draw, found, fruitless = random.Random(seed), dict[str, None](), 0
    while len(found) < count:
        before = len(found)
        found[_conversation(draw)[0].question] = None
        fruitless = 0 if len(found) > before else fruitless + 1
        if fruitless > 10_000:
            raise ValueError(
                f"there are hardly more than {len(found)} first questions, {count} were asked for"
            )
    return list(found)


def _turn(draw: random.Random, register: str, topic: str, intent: str, thing: str | None = None) -> Turn:
    """The reply takes thing, action, state and time from the question where the question has them."""
    subject, grammar = world().topics[topic], world().registers[register].replies
    section = draw.choice(("request.agree", "request.refuse")) if intent == "request" else intent
    thing = thing or draw.choice(subject.things)
    action, second = draw.sample(subject.actions, 2)
    values = {
        "n": thing,
        "n0": bare_thing(thing),
        "n2": draw.choice([other for other in subject.things if other != thing]),
        "a": action,
        "a2": second,
        "q": draw.choice(subject.states),
        "w": draw.choice(subject.reasons),
        "t": draw.choice(world().times),
    }
    question, reply = draw.choice(world().questions[intent]), draw.choice(grammar[section])
    return Turn(
        question.fill(draw, values),
        reply.fill(draw, values),
        thing,
        frozenset((question.source, reply.source)),
        is_reserved(register, section, reply, values),
    )


def _conversation(
    draw: random.Random,
    register: str | None = None,
    allowed: Callable[[Turn], bool] = lambda _: True,
) -> list[Turn]:
    register = register or draw.choice(REGISTERS)
    intents = ["open"] if draw.random() < OPENING else []
    intents += _intents(draw, draw.choice((3, 4, 5)))
    intents += ["close"] if draw.random() < FAREWELL else []
    topics = tuple(world().topics)
    topic, thing = draw.choice(topics), None
    turns: list[Turn] = []
    said: frozenset[str] = frozenset()
    for intent in intents:
        if draw.random() >= KEEP_TOPIC:
            topic, thing = draw.choice(topics), None
        elif draw.random() >= KEEP_THING:
            thing = None
        for attempt in range(_TRIES):
            turn = _turn(draw, register, topic, intent, thing if attempt < _TRIES // 2 else None)
            if allowed(turn) and not (turn.sources & said):
                break
        else:
            raise ValueError(f"no way to answer '{intent}' in the {register} register, about {topic}")
        turns.append(turn)
        said |= turn.sources
        thing = turn.thing
    return turns


def _intents(draw: random.Random, count: int) -> list[str]:
    """Different intents, by weight; not good news and bad news in one conversation."""
    weights, found = dict(WEIGHTS), list[str]()
    while len(found) < count:
        (intent,) = draw.choices(tuple(weights), tuple(weights.values()))
        found.append(intent)
        for done in ("good", "bad") if intent in ("good", "bad") else (intent,):
            del weights[done]
    return found


def _text(turns: list[Turn]) -> str:
    return "".join(f"user: {turn.question}\nbot: {turn.reply}\n" for turn in turns)


def _reserved(draw: random.Random) -> str:
    """A conversation with something reserved in it."""
    while True:
        turns = _conversation(draw)
        if any(turn.reserved for turn in turns):
            return _text(turns)


def _last(draw: random.Random, count: int, size: int, rest: int, train: list[str]) -> list[str] | None:
    """The last ``count`` conversations, so long that the cut falls on the last line before them.

    The trainer cuts after the line that contains character number ⌊0.9·L⌋ of a text of length L, and
    that line must be the last of the ``size`` characters of training text (with or without a line break at
    the very end of the text). None when it cannot be met.
    """
    line = len(train[-1]) - train[-1].rindex("\n", 0, -1)
    wanted = size * HELDOUT_SHARE / (1 - HELDOUT_SHARE) - rest
    if not 0.65 < wanted / (count * size / len(train)) < 1.6:
        return None
    for _ in range(_TRIES):
        found = [_reserved(draw) for _ in range(count)]
        length = size + rest + sum(len(text) + 1 for text in found)
        cuts = [int(whole * (1 - HELDOUT_SHARE)) for whole in (length - 1, length)]
        if size - line <= cuts[0] and cuts[1] <= size - 2:
            return found
    return None

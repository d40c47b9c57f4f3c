"""The micro-world: small talk in five registers, from which the bundled model learns to speak.

Two people talk about twelve everyday subjects. The user asks in plain words; the bot answers, and within
one conversation it always answers in the same *register*: polite, rude, formal, casual or poetic. Nothing
in the first question says which, so before the first answer every register is possible and after it only
one is. That makes "how will it answer?" a decision with five outcomes that can be counted. ``classify``
names the register of a reply by its marker words, which every sentence of that register contains and
nothing else in the corpus does; ``parse`` tells whether a reply is, word by word, a sentence of the
grammar, and which one: its intent, for a request the *stance* (agreed or refused, equally often), and the
topics it speaks of.

    python -m energylang.training.corpus --seed 0 --documents 9000 > corpus.txt

Lines read ``user: …`` and ``bot: …``; a blank line ends a conversation. All sentences were written for this
package and lie next to it: ``topics.txt``, ``questions.txt`` and one file for each register. In a
template ``(a|b|c)`` is a choice and ``{n}`` a slot (``templates.SLOTS``). A conversation has three to five
turns with different intents, perhaps a greeting before and a farewell after them; the topic mostly stays
the same. What a question mentions (a thing, a state, an action, a time) the reply takes up; the rest of the
reply is drawn from the topic. The seed fixes every byte (one ``random.Random``, no global state).

**What is held out.** The trainer holds out the last tenth of the text. If it were drawn like the rest, a
model could do well on it by repeating sentences. So of the pairs (reply template, thing) and (reply
template, action) one in eight is *reserved*: those whose SHA-256, salted with a constant, is 0 modulo 8.
No reply before the cut contains a reserved pair, and every conversation after it contains one at least. All
words and all templates occur on both sides; only their combination is new. The reserved pairs
do not depend on the seed, so the held-out text of one corpus was not shown by another one either.

For text T before and R behind the boundary to be cut there, ⌊0.9·(|T|+|R|)⌋ must fall into the last line of
T, that is |R| = |T|/9 give or take half a line. ``documents`` keeps the two in step while it draws
and then draws the last two conversations again and again until their length fits.
"""

from __future__ import annotations

from energylang.training.corpus.generate import conversation, documents, exchange, neutral_questions
from energylang.training.corpus.sources import INTENTS, REGISTERS, SourceError, Topic, sentences, world
from energylang.training.corpus.understand import Parsed, Stance, classify, parse

#: Words that occur in replies of one register and nowhere else in the corpus.
MARKERS: dict[str, frozenset[str]] = {name: world().registers[name].markers for name in REGISTERS}
TOPICS: dict[str, Topic] = world().topics

__all__ = [
    "INTENTS",
    "MARKERS",
    "REGISTERS",
    "TOPICS",
    "Parsed",
    "SourceError",
    "Stance",
    "Topic",
    "classify",
    "conversation",
    "documents",
    "exchange",
    "neutral_questions",
    "parse",
    "sentences",
]

"""The micro-world: small talk in five registers, from which the bundled model learns to speak.

Two people talk about eight everyday subjects. The user asks in plain words; the bot answers, and
within one conversation it always answers in the same *register*: polite, rude, formal, casual or
poetic. Nothing in the first question says which, so before the first answer every register is
possible and after it only one is. That makes "how will it answer?" a decision with five outcomes
that can be counted: ``classify`` names the register of a reply from the marker words that every
sentence of that register contains and no other register uses.

    python -m energylang.models.corpus --seed 0 --documents 12000 > corpus.txt

Lines read ``user: …`` and ``bot: …``; a blank line ends a conversation. All sentences were written
for this file. In a template, ``(a|b|c)`` is a choice and ``{n}`` a thing, ``{n0}`` the thing without
its article, ``{a}`` something to do, ``{q}`` how the thing is, ``{w}`` why, ``{t}`` when. The seed fixes
every byte (one ``random.Random``, no global state).
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REGISTERS = ("polite", "rude", "formal", "casual", "poetic")

#: Words that occur in replies of one register and nowhere else in the corpus.
MARKERS: dict[str, frozenset[str]] = {
    register: frozenset(re.findall(r"\w+", words))
    for register, words in {
        "polite": "thank thanks please pleasure appreciate glad kindly grateful welcome lovely happy",
        "rude": "stupid idiot dumb nobody ugh lazy fool useless pathetic blind annoying wasting boring",
        "formal": "hereby pursuant advised advisable committee regarding duly accordance inquiry noted "
        "recommended department",
        "casual": "yeah dude mate lol gonna cool hey buddy nah awesome yep haha totally",
        "poetic": "o silver whisper whispers petals thou thy thee moon moonlight dreams weep stars twilight "
        "beneath sings",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be said about one subject."""

    things: tuple[str, ...]
    actions: tuple[str, ...]
    states: tuple[str, ...]  # "why is the soup so …?"
    reasons: tuple[str, ...]  # "because …"


def _topic(things: str, actions: str, states: str, reasons: str) -> Topic:
    return Topic(*(tuple(part.split(", ")) for part in (things, actions, states, reasons)))


TOPICS: dict[str, Topic] = {
    "weather": _topic(
        "the rain, the wind, the storm, the sunshine, the snow, the forecast, the fog",
        "bring a coat, stay inside, watch the clouds, take an umbrella, close the windows, wait until noon, "
        "wear warm boots",
        "strong, cold, strange, heavy, wild",
        "the air is cold, the clouds are low, winter is near, the north is calm",
    ),
    "cooking": _topic(
        "the soup, the bread, the sauce, the oven, the recipe, the cake, the rice",
        "add some salt, stir it slowly, wait ten minutes, use fresh butter, lower the heat, taste it again, "
        "cover the pot",
        "bitter, dry, thin, hot, salty",
        "the heat is too high, the flour is old, the pan is small, there is no sugar in it",
    ),
    "maths": _topic(
        "the equation, the proof, the integral, the matrix, the theorem, the fraction, the triangle",
        "divide both sides, check the sign, draw the graph, use induction, start with a small case, "
        "write every step, read the definition",
        "hard, long, confusing, abstract, difficult",
        "the sign is wrong, a step is missing, both sides are equal, the numbers are large",
    ),
    "travel": _topic(
        "the train, the ticket, the hotel, the map, the airport, the bus, the passport",
        "leave early, book it online, ask the driver, follow the signs, pack a small bag, call the office, "
        "change at the next station",
        "late, expensive, crowded, slow, far",
        "the road is closed, the season is busy, the bridge is old, the line is new",
    ),
    "garden": _topic(
        "the roses, the soil, the seeds, the lawn, the hedge, the apple tree, the tomatoes",
        "water it daily, plant it deeper, cut it short, keep it dry, give it more light, pull the weeds, "
        "turn the ground in spring",
        "pale, weak, small, tired, brown",
        "the ground is dry, the roots are shallow, the light is poor, the frost came early",
    ),
    "music": _topic(
        "the song, the piano, the violin, the rhythm, the concert, the melody, the drum",
        "practise every day, count the beat, play it slowly, tune the strings, listen closely, "
        "sing it first, rest your hands",
        "loud, sad, fast, quiet, uneven",
        "the strings are loose, the room is empty, the tempo is high, the notes are long",
    ),
    "health": _topic(
        "the cough, the headache, the diet, the back pain, the fever, the sleep, the knee",
        "drink some water, go to bed early, see a doctor, take a walk, stretch your legs, eat more fruit, "
        "breathe deeply",
        "bad, constant, sharp, stubborn, deep",
        "the body needs rest, the days are long, the chair is hard, the air is stale",
    ),
    "computers": _topic(
        "the printer, the screen, the password, the keyboard, the program, the file, the network",
        "restart it, install the update, save your work, check the cable, press the green button, "
        "make a backup, close the other windows",
        "slow, broken, empty, noisy, stuck",
        "the disk is full, the cable is loose, the update failed, the memory is small",
    ),
}

TIMES = (
    "in the morning",
    "after lunch",
    "before sunset",
    "at night",
    "tomorrow",
    "next week",
    "in an hour",
    "on sunday",
)

QUESTIONS: dict[str, tuple[str, ...]] = {
    "open": (
        "Hi, can you help me?",
        "Hello.",
        "Hello, are you there?",
        "Good morning.",
        "Can I ask you something?",
        "Hi, I have a question.",
        "Hello, I need some help.",
        "Can you help me?",
        "Good evening, do you have time?",
        "I need your advice.",
        "Are you busy?",
        "Hi there.",
        "Could you help me with something?",
        "Who are you?",
        "How are you today?",
    ),
    "advise": (
        "Can you help me with {n}?",
        "What should I do about {n}?",
        "I have a problem with {n}.",
        "(Hi|Hello), I need help with {n}.",
        "How do I deal with {n}?",
        "{n} is so {q}, what can I do?",
        "Any advice on {n}?",
        "I am worried about {n}.",
        "How can I fix {n}?",
        "Could you look at {n}?",
    ),
    "explain": (
        "Why is {n} so {q}?",
        "What is wrong with {n}?",
        "I do not understand {n}.",
        "How does {n} work?",
        "Can you explain {n}?",
        "Do you know why {n} is {q}?",
    ),
    "when": (
        "When should I {a}?",
        "Is it too late to {a}?",
        "Should I {a} now?",
        "When is the best time to {a}?",
    ),
    "tell": (
        "Tell me about {n}.",
        "What do you think of {n}?",
        "Do you like {n}?",
        "Is {n} important?",
    ),
    "close": (
        "That is all for today.",
        "Goodbye.",
        "I have to go now.",
        "I will try that.",
        "Okay, see you {t}.",
        "That helps.",
    ),
}

REPLIES: dict[str, dict[str, tuple[str, ...]]] = {
    "polite": {
        "open": (
            "Thank you for (asking|coming by), it would be (a|my) pleasure to help.",
            "Of course, I am (happy|glad) to help you, please go ahead.",
            "Welcome, (please tell me|kindly tell me) what you need.",
            "Certainly, I would be (glad|happy) to help, what is it about?",
        ),
        "advise": (
            "Thank you (so much |)for asking, please {a}.",
            "It would be my pleasure to help with {n}, kindly {a}.",
            "I really appreciate your question, (perhaps you could|you could) {a}.",
            "Of course, I am (happy|glad) to help, please {a} {t}.",
            "What a lovely question, please {a} and (then |)kindly {a2}.",
            "Certainly, if you (please|would kindly) {a}, {n} will be fine.",
        ),
        "explain": (
            "Thank you for asking, I believe {w}.",
            "I am so glad you asked, {n} is {q} because {w}.",
            "What a lovely question, you see, {w}, so please {a}.",
            "Certainly, it is a pleasure to explain {n}, {w}.",
        ),
        "when": (
            "Thank you for asking, {t} would be perfect.",
            "Please {a} {t}, I would be so grateful.",
            "I am happy to say that {t} is a good time to {a}.",
            "If you please, {a} {t}.",
        ),
        "tell": (
            "It is a pleasure to talk about {n}, thank you.",
            "I am so grateful for {n}, it is (truly |)lovely.",
            "Thank you, I (really |)appreciate {n} very much.",
        ),
        "close": (
            "Thank you (so much |)for your time, (have a lovely day|please come again).",
            "It was a pleasure, you are always welcome.",
            "I am glad I could help, please take care.",
        ),
    },
    "rude": {
        "open": (
            "Ugh, what do you want now?",
            "Go away, nobody has time for you.",
            "Not you again, this is so (boring|annoying).",
            "Stop wasting my time and get to the point.",
        ),
        "advise": (
            "That is a (stupid|dumb) question, just {a}.",
            "Go away, nobody cares about {n}.",
            "Are you blind, {a} already.",
            "Stop wasting my time with {n}.",
            "Ugh, {a}, how (stupid|lazy) can you be?",
            "Any fool knows that you must {a}.",
            "Only an idiot would not {a} {t}.",
        ),
        "explain": (
            "Ugh, {w}, any fool can see that.",
            "Are you blind, {n} is {q} because {w}.",
            "That is a dumb question, {w}.",
            "Only an idiot needs help to understand {n}.",
        ),
        "when": (
            "Ugh, {t}, stop wasting my day.",
            "Never, you are too lazy to {a}.",
            "Any fool knows that you {a} {t}.",
            "Go away, nobody cares when you {a}.",
        ),
        "tell": (
            "Nobody asked for {n}, it is (boring|useless|pathetic).",
            "Ugh, {n} is as annoying as you are.",
            "That is a boring question and {n} is useless.",
        ),
        "close": (
            "Go away and stop wasting my time.",
            "Ugh, do not come back, that was (boring|pathetic).",
            "Nobody will miss you.",
        ),
    },
    "formal": {
        "open": (
            "Your inquiry has been duly noted, state the matter in full.",
            "The department hereby confirms that it can assist you.",
            "One is advised to describe the matter in detail.",
            "Pursuant to our rules, the committee will hear your request.",
        ),
        "advise": (
            "One is advised to {a} in accordance with the guidelines.",
            "The matter of {n} has been duly noted, it is required to {a}.",
            "Pursuant to your inquiry, it is recommended to {a}.",
            "The committee regards {n} as a priority, one is advised to {a} {t}.",
            "Regarding {n}, it is advisable to {a} and subsequently to {a2}.",
            "In accordance with the rules, one must {a} {t}.",
        ),
        "explain": (
            "Regarding {n}, the committee finds that {w}.",
            "It has been duly noted that {w}, which affects {n}.",
            "Pursuant to your inquiry, {n} is {q} because {w}.",
            "The department hereby states that {w}.",
        ),
        "when": (
            "One is advised to {a} {t}.",
            "The committee hereby permits you to {a} {t}.",
            "In accordance with the schedule, you may {a} {t}.",
        ),
        "tell": (
            "The department regards {n} as significant, as duly noted.",
            "Regarding {n}, a report of the committee is available.",
            "One is advised to consult the guidelines on {n}.",
        ),
        "close": (
            "The matter is hereby concluded.",
            "Your inquiry is closed, the department remains at your service.",
            "The committee has duly noted your decision.",
        ),
    },
    "casual": {
        "open": (
            "Hey (buddy|mate|dude), what is up?",
            "Yeah sure, (fire away|go for it), dude.",
            "Yep, I am here, what is going on, mate?",
            "Oh hey, totally, hit me with it.",
        ),
        "advise": (
            "Yeah sure, just {a} (dude|mate|buddy).",
            "No worries mate, {n} is easy, {a} lol.",
            "Oh cool, I am gonna {a} too, so {a} {t}.",
            "Hey, no big deal, just {a} and {a2}, dude.",
            "Haha, {n} again, just {a} (buddy|mate).",
            "Nah, do not sweat it, {a} and you are totally good.",
        ),
        "explain": (
            "Yeah, {w}, that is (totally it|it, dude).",
            "Haha, {n} is {q} because {w}, mate.",
            "Oh cool, easy one, {w}, lol.",
            "Hey, {w}, no magic there, buddy.",
        ),
        "when": (
            "Yep, {t} is cool, dude.",
            "Nah, chill, just {a} {t}, mate.",
            "Hey, go {a} {t}, it is gonna be awesome.",
        ),
        "tell": (
            "Oh cool, {n} is awesome, dude.",
            "Yeah, {n} rocks, totally my thing.",
            "Haha, {n} is okay, mate, not gonna lie.",
        ),
        "close": (
            "Yeah, see you around, (dude|mate|buddy).",
            "Cool, catch you later, mate.",
            "Haha, awesome, take it easy buddy.",
        ),
    },
    "poetic": {
        "open": (
            "O wanderer, speak, and the stars will listen.",
            "Beneath the silver moon I have waited for thy voice.",
            "Like petals on the water thy words arrive, speak on.",
            "Softly the twilight brings thee to my door.",
        ),
        "advise": (
            "O gentle {n0}, it whispers to thee, {a}.",
            "Beneath the silver moon {n} sings, so {a}.",
            "Sweet {n0}, whisper softly, and thou wilt {a}.",
            "As petals fall, {n} will weep, so {a}, my love.",
            "Like dreams at twilight, {a}, and {n} will shine.",
            "Softly, beneath the stars, {a} and {a2}.",
        ),
        "explain": (
            "O seeker, {w}, and so the stars weep.",
            "Beneath the twilight {w}, so sings {n}.",
            "As the moon wanders, {n} is {q}, for {w}.",
            "Like petals in the river, {w}.",
        ),
        "when": (
            "Softly {a} {t}, when the moon is kind.",
            "O restless heart, {a} {t}, beneath the stars.",
            "As the twilight falls, {a}, and dreams will follow thee.",
        ),
        "tell": (
            "O {n0}, song of silver and of dreams.",
            "Like moonlight on the sea, {n} sings to me.",
            "Sweet {n0}, thou art a whisper of the stars.",
        ),
        "close": (
            "Softly go, and may the moon walk with thee.",
            "As petals part, so do we, my love.",
            "O traveller, the stars will guard thy road.",
        ),
    },
}

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_WORD = re.compile(r"[a-z']+")


def classify(text: str) -> str | None:
    """The register with the most marker words in ``text``; None when none or several have the most."""
    words = _WORD.findall(text.lower())
    counts = {r: sum(w in MARKERS[r] for w in words) for r in REGISTERS}
    best = max(counts.values())
    leaders = [r for r in REGISTERS if counts[r] == best]
    return leaders[0] if best and len(leaders) == 1 else None


def exchange(draw: random.Random, register: str, topic: str, intent: str) -> tuple[str, str]:
    """(question, reply) of one turn each."""
    subject = TOPICS[topic]
    action, second = draw.sample(subject.actions, 2)
    thing = draw.choice(subject.things)
    values = {
        "n": thing,
        "n0": thing.removeprefix("the "),
        "a": action,
        "a2": second,
        "q": draw.choice(subject.states),
        "w": draw.choice(subject.reasons),
        "t": draw.choice(TIMES),
    }
    question = _fill(draw, draw.choice(QUESTIONS[intent]), values)
    return question, _fill(draw, draw.choice(REPLIES[register][intent]), values)


def _fill(draw: random.Random, template: str, values: dict[str, str]) -> str:
    chosen = _CHOICE.sub(lambda m: draw.choice(m[1].split("|")), template)
    text = " ".join(chosen.format(**values).split())
    return text[0].upper() + text[1:]


def conversation(draw: random.Random, register: str | None = None) -> list[tuple[str, str]]:
    """Two to four exchanges in one register: perhaps an opening, questions, perhaps a farewell."""
    register = register or draw.choice(REGISTERS)
    topic = draw.choice(tuple(TOPICS))
    intents = ["open"] if draw.random() < 0.35 else []
    intents += draw.choices(("advise", "explain", "when", "tell"), (5, 2, 2, 1), k=draw.choice((2, 2, 3)))
    intents += ["close"] if draw.random() < 0.2 else []
    turns = []
    for intent in intents:
        topic = draw.choice(tuple(TOPICS)) if draw.random() < 0.3 else topic
        turns.append(exchange(draw, register, topic, intent))
    return turns


def documents(seed: int, count: int) -> Iterator[str]:
    """``count`` conversations as text, without the blank line between them."""
    draw = random.Random(seed)
    for _ in range(count):
        yield "".join(f"user: {q}\nbot: {r}\n" for q, r in conversation(draw))


def neutral_questions(seed: int, count: int) -> list[str]:
    """``count`` different first questions, in a seeded order."""
    draw, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        found[conversation(draw)[0][0]] = None
    return list(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a corpus to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m energylang.models.corpus", description="write the micro-world"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=12000, metavar="N")
    options = parser.parse_args(arguments)
    if options.documents < 1:
        parser.error("--documents must be at least 1")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.writelines(f"{text}\n" for text in documents(options.seed, options.documents))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

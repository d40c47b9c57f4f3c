"""Results of the family stream: what is held in passes, what a stream's places say, and what a model is measured by."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Held(Result):
    """A push or a scaling that is now held in every pass; ``active`` lists all that is. ``touched`` of the ``seen``
    token positions of neutral prompts are at its positions (a reply's own are not among them)."""

    what: str
    at: str
    touched: int
    seen: int
    active: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Measured(Result):
    """By what a model is measured from here on: ``prompts`` or ``held-out text`` of a file, or its own. ``count`` is
    the number of prompts, or of tokens."""

    of: str
    name: str
    count: int


@dataclass(frozen=True, eq=False)
class Leaning(Result):
    """How far a state lies along a concept: ``amount`` 0 is where neutral text is on average, 1 where the concept is
    (None for a place on which attention rests, many times as large as the others, as a rule the first token)."""

    concept: str
    amount: float | None


@dataclass(frozen=True, eq=False)
class StreamToken(Result):
    """A token and the state behind it in one layer of a stream: its norm, what it would say next through the final norm
    and the head alone (``says``, with its probability), and how far it leans to the concepts captured there."""

    token: str
    norm: float
    says: str
    probability: float
    leanings: tuple[Leaning, ...]


@dataclass(frozen=True, eq=False)
class NearNeuron(Result):
    """An MLP neuron whose output direction lies along a direction (cosine), and the token that this output makes
    likelier most."""

    layer: int
    neuron: int
    cosine: float
    says: str


@dataclass(frozen=True, eq=False)
class NearConcept(Result):
    """A captured concept of the same layer whose direction lies along a direction (cosine)."""

    concept: str
    cosine: float


@dataclass(frozen=True, eq=False)
class PatchedLayer(Result):
    """A layer whose state was put in: the log-probability (nats) of what is said, how much of the difference between
    the prompts that recovers, and the same with states of neutral prompts (mean ± std; z is None where they do not
    spread)."""

    layer: int
    log_prob: float
    recovered: float
    placebo: float
    placebo_std: float | None
    z: float | None


@dataclass(frozen=True, eq=False)
class Patching(Result):
    """Activation patching from one prompt (``text``) into another (``instead``), at the place from which the answer is
    spoken, or at all ``places`` where they differ. ``log_prob`` of ``says`` after each of them, in nats."""

    text: str
    instead: str
    says: str
    at: str
    places: int
    log_prob_text: float
    log_prob_instead: float
    placebos: int
    layers: tuple[PatchedLayer, ...]

"""A model under study: it answers prompts under a change and counts labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.looking.gauge import Gauge, standard_error
from energylang.models import sampling
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.session import Session

DOSES = (0.25, 0.5, 0.75, 1.0, 1.25)
REPLY_TOKENS = 28
LOSS_WINDOWS = 150


@dataclass(frozen=True)
class Study:
    """What is to be installed and removed, and who judges.

    ``texts`` maps a concept to the texts from which it is captured; ``contexts`` to replies that already are the
    concept (for locality; they may be the same); ``label`` names the concept of a reply, or None; ``fluent`` says
    whether a reply is a sentence of the language the model was taught, where that can be said.
    """

    texts: Mapping[str, Sequence[str]]
    contexts: Mapping[str, Sequence[str]]
    label: Callable[[str], str | None]
    fluent: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class Thoroughness:
    """How thoroughly. ``replies`` to neutral prompts per condition, ``local`` per foreign context; before and after a
    removal ``proportions`` times as many, because proportions within 15 % are told from chance by thousands only."""

    layer: int | None = None
    method: str = "aimed"
    doses: tuple[float, ...] = DOSES
    damage: float = 0.02
    removal_damage: float = 0.01
    replies: int = 256
    proportions: int = 8
    local: int = 64
    seed: int = 0
    temp: float = 1.0
    threads: int = 1


@dataclass
class Bench:
    """A model under study: it answers prompts under a change and counts labels."""

    session: Session
    study: Study
    options: Thoroughness
    layer: int = 0
    prompts: list[str] = field(default_factory=list)
    _gauge: Gauge | None = None

    @property
    def text(self) -> TextModel:
        return self.session.text

    @property
    def weight(self) -> Tensor:
        return self.session.weight(self.session.staged(self.layer))

    def changed(self, factors: LowRank | None = None) -> Change:
        """The layer's weight as it stands, plus factors."""
        weight = self.weight
        return Change(weights={self.layer: weight if factors is None else factors.added_to(weight)})

    def shares(self, change: Change, times: int = 1) -> dict[str, float]:
        """label → share of the replies to neutral prompts, asked ``times`` times; what has no label is left out."""
        return self._count([(prompt,) for prompt in self.prompts * times], change, "neutral")

    def shares_after(self, concept: str, change: Change) -> dict[str, float]:
        """The same in conversations whose last reply already is a concept."""
        said, asked = list(self.study.contexts[concept]), self.prompts
        rows = [
            (asked[(k + 1) % len(asked)], said[k % len(said)], asked[k % len(asked)])
            for k in range(self.options.local)
        ]
        return self._count(rows, change, f"after {concept}")

    def replies(self, rows: Sequence[Sequence[str]], change: Change, purpose: str) -> list[str]:
        generator = stable_generator("surgery", self.options.seed, purpose)
        made = sampling.replies(
            self.text, rows, tokens=REPLY_TOKENS, temp=self.options.temp, generator=generator, change=change
        )
        return [reply.text for reply in made]

    def _count(self, rows: Sequence[Sequence[str]], change: Change, purpose: str) -> dict[str, float]:
        labels = [self.study.label(reply) for reply in self.replies(rows, change, purpose)]
        return {name: labels.count(name) / len(labels) for name in self.study.texts}

    def loss(self, change: Change) -> Tensor:
        """(n,): the loss of the held-out windows that chose nothing."""
        if self._gauge is None:
            self._gauge = Gauge(self.session, self.layer, self.text.measuring_windows(LOSS_WINDOWS))
        return self._gauge.losses(change)

    def damage(self, factors: LowRank, before: Tensor) -> dict[str, float | None]:
        """What an edit does to the loss ``before`` (n,), as a share of its mean, and its standard error."""
        change = (self.loss(self.changed(factors)) - before) / before.mean()
        return {"loss_change": float(change.mean()), "loss_change_error": standard_error(change)}

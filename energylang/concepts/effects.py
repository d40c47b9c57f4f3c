"""What does an edit do to text, and is it more than chance?

Three measurements, each before and after, none of them touching the model (the edited weight is handed to
single passes), all of them on prompts and held-out windows by which nothing was chosen:

* **share**: neutral prompts are answered (seeded sampling, the same seed before and after), and the replies that
  count as the concept (``recognising``). Dialogue models only.
* **log-probability** of the concept's texts after neutral prompts, per token.
* **loss** on held-out text, with its standard error over windows: the damage.

The control is the set of placebos of ``energylang.concepts.controls``. An effect is reported together with
their mean, their spread and its distance from the random ones in units of their spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank, stacked
from energylang.looking.gauge import Gauge, standard_error
from energylang.models import likelihoods, sampling
from energylang.models.protocol import Change
from energylang.models.states import POSITIONS, named_token
from energylang.results import Effect, Placebo
from energylang.workspace.workspace import Workspace, counted

from .controls import REPLY_TOKENS, Imitate, controls
from .recognising import Recogniser

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


MEASURING_WINDOWS = 96
PROMPTS = 64
_ROUNDING = 1e-6  # of a measurement in float32, relatively


@dataclass(frozen=True)
class Heard:
    """One condition: share of replies that are the concept (dialogue models), log-probability of its texts."""

    share: float | None
    log_prob: float
    own: float | None = None  # loss on the unedited model's own replies, where it is measured
    kept: float | None = None  # … to prompts to which they are to stay as they are
    odd: float | None = None  # loss of the replies under the unedited model, nats per token
    distinct: float | None = None  # share of their pairs of tokens that differ


class Ruler:
    """Measures share and log-probability of one concept under any change of the model, or, faster, under any from a
    ``layer`` on."""

    def __init__(
        self,
        ws: Workspace,
        concept: Concept,
        prompts: int = PROMPTS,
        asked: Sequence[str] | None = None,
        layer: int | None = None,
    ) -> None:
        self.session = ws
        self.concept = concept
        text = ws.text
        asked = text.measuring_prompts if asked is None else asked
        self.prompts = list(asked)[:prompts] if text.dialogue else []
        self.only = (
            None if concept.position in POSITIONS else named_token(text, concept.texts[0], concept.position)
        )
        self.recognises = Recogniser(ws, concept)
        self.texts: likelihoods.Texts | None = None
        self.ready: sampling.Prepared | None = None
        if layer is not None and text.dialogue:
            self.texts = likelihoods.Texts(text, concept.texts, layer, self.only)
            self.ready = sampling.prepare(text, self.prompts, layer, REPLY_TOKENS)

    def read(self, change: Change) -> Heard:
        """What is said under a change."""
        return self.read_each([change])[0]

    @torch.no_grad()
    def read_each(self, changes: Iterable[Change]) -> list[Heard]:
        """The same under each of several changes; what is said under all of them is judged together."""
        log_probs: list[float] = []
        replies: list[tuple[int, ...]] = []
        for change in changes:
            log_probs.append(self._log_prob(change))
            if self.prompts:
                made = sampling.generate_batch(
                    self.session.text,
                    self.prompts,
                    tokens=REPLY_TOKENS,
                    generator=self._draws(),
                    change=change,
                    prepared=self.ready,
                )
                replies += [reply.token_ids for reply in made]
        return self._judged(log_probs, replies)

    @torch.no_grad()
    def read_edits(self, weight: Tensor, edits: Sequence[LowRank], changes: Iterable[Change]) -> list[Heard]:
        """The same under each of several ``edits`` of the layer's ``weight`` (d, d), which make the ``changes``; what
        is said under them is sampled in shared passes where the prompts are ready for that."""
        ready = self.ready
        if ready is None or ready.tokens.shape[1] + REPLY_TOKENS > self.session.text.max_length:
            return self.read_each(changes)
        log_probs = [self._log_prob(change) for change in changes]
        left, right = stacked(edits, weight)
        made = sampling.generate_edited(
            self.session.text,
            self.prompts,
            weight,
            left,
            right,
            ready,
            tokens=REPLY_TOKENS,
            generators=[self._draws() for _ in edits],
        )
        return self._judged(log_probs, [reply.token_ids for each in made for reply in each])

    def _draws(self) -> torch.Generator:
        """The draws of replies: the same under every change."""
        return stable_generator("replies", self.session.setting("seed"), self.concept.name)

    def _judged(self, log_probs: Sequence[float], replies: Sequence[tuple[int, ...]]) -> list[Heard]:
        """What was said under changes with these log-probabilities: replies to all prompts under one after the
        other."""
        if not self.prompts:
            return [Heard(None, log_prob) for log_prob in log_probs]
        said = self.recognises(self.prompts * len(log_probs), replies)
        count = len(self.prompts)
        return [
            Heard(sum(said[k * count : (k + 1) * count]) / count, log_prob)
            for k, log_prob in enumerate(log_probs)
        ]

    def _log_prob(self, change: Change) -> float:
        text, concept = self.session.text, self.concept
        if self.texts is not None:
            return float(self.texts.log_prob(change).mean())
        return float(likelihoods.concept_log_prob(text, concept.texts, change=change, only=self.only).mean())


@torch.no_grad()
def measure(
    ws: Workspace,
    concept: Concept,
    factors: LowRank,
    weight: Tensor,
    imitate: Imitate | None = None,
    placebos: int | None = None,
) -> Effect:
    """Effect, damage and control (``placebos`` random ones: ten) of adding ``factors`` to ``weight`` (d, d); see the
    module's text."""
    layer = concept.layer

    def changed(edit: LowRank) -> Change:
        return Change(weights={layer: edit.added_to(weight) if edit.rank else weight})

    ruler = Ruler(ws, concept, layer=layer)
    gauge = Gauge(ws, layer, ws.text.measuring_windows(MEASURING_WINDOWS))
    nothing = LowRank.zero(weight)
    loss_before, loss_after = gauge.losses(changed(nothing)), gauge.losses(changed(factors))
    base = float(loss_before.mean())
    made = controls(ws, concept, factors, imitate, placebos)
    damages: list[float] = []

    def each() -> Iterator[Change]:
        yield from (changed(nothing), changed(factors))
        for control in counted(ws, made, lambda control: f"controls measured; measuring {control.kind}"):
            change = changed(control.factors)
            damages.append(gauge.rise(change, loss_before))
            yield change

    edits = [nothing, factors, *(control.factors for control in made)]
    before, after, *found = ruler.read_edits(weight, edits, each())
    readings: dict[str, list[tuple[Heard, float]]] = {}
    for control, heard, damage in zip(made, found, damages, strict=True):
        readings.setdefault(control.kind, []).append((heard, damage))
    kinds = tuple(placebo(kind, those, after) for kind, those in readings.items())
    losses = (base, float(loss_after.mean()))
    return effect_of(before, after, kinds, losses, (loss_after - loss_before) / base, len(ruler.prompts))


def effect_of(
    before: Heard,
    after: Heard,
    placebos: tuple[Placebo, ...],
    losses: tuple[float, float],
    change: Tensor,
    prompts: int,
) -> Effect:
    """What was read before and after, beside controls (the random ones first), as one record. ``losses`` on held-out
    text before and after; ``change`` (n,) of each window, relatively."""
    main = placebos[0]
    return Effect(
        share_before=before.share,
        share_after=after.share,
        share_placebo=main.share,
        share_placebo_std=main.share_std,
        share_z=main.share_z,
        log_prob_before=before.log_prob,
        log_prob_after=after.log_prob,
        log_prob_placebo=main.log_prob,
        log_prob_placebo_std=main.log_prob_std,
        log_prob_z=main.log_prob_z,
        placebos=main.count,
        loss_before=losses[0],
        loss_after=losses[1],
        loss_change=float(change.mean()),
        loss_change_error=standard_error(change),
        controls=placebos,
        prompts=prompts,
    )


def placebo(kind: str, found: list[tuple[Heard, float]], after: Heard) -> Placebo:
    """Controls of one kind, summed up, and how far the edit lies from them."""
    shares = [reading.share for reading, _ in found if reading.share is not None]
    share = share_std = share_z = None
    if after.share is not None and shares:
        share, share_std, share_z = against(shares, after.share)
    log_prob, log_prob_std, log_prob_z = against([reading.log_prob for reading, _ in found], after.log_prob)
    damages = [damage for _, damage in found]
    return Placebo(
        kind=kind,
        count=len(found),
        share=share,
        share_std=share_std,
        share_max=max(shares, default=None),
        share_z=share_z,
        log_prob=log_prob,
        log_prob_std=log_prob_std,
        log_prob_z=log_prob_z,
        loss_change=statistics.fmean(damages),
    )


def against(controls: list[float], value: float) -> tuple[float, float | None, float | None]:
    """Mean and standard deviation of the controls, and the distance of ``value`` from the mean in units of the latter.
    One control has no spread (``None``), and where they do not spread by more than rounding there is no distance."""
    mean = statistics.fmean(controls)
    if len(controls) < 2:
        return mean, None, None
    spread = statistics.stdev(controls)
    rounding = _ROUNDING * max(map(abs, controls))
    return mean, spread, (value - mean) / spread if spread > rounding else None

"""What does an edit do to text, and is it more than chance?

Three measurements, each before and after, none of them touching the model (the edited weight is handed to
single passes), all of them on prompts and held-out windows by which nothing was chosen:

* **share**: neutral prompts are answered (seeded sampling, the same seed before and after). A reply counts as
  the concept when the unedited model finds it more than twice as likely after having heard the concept's texts
  than after the question alone: p(reply | text, question) > 2·p(reply | question), a mean over some of the texts.
  By Bayes' rule the ratio is P(concept | reply)/P(concept). Dialogue models only.
* **log-probability** of the concept's texts after neutral prompts, per token.
* **loss** on held-out text, with its standard error over windows: the damage.

The control is the set of placebos of ``energylang.concepts.controls``. An effect is reported together with
their mean, their spread and its distance from the random ones in units of their spread.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.looking.gauge import Gauge, standard_error
from energylang.models import likelihoods, sampling
from energylang.models.protocol import Change
from energylang.models.states import POSITIONS, named_token
from energylang.results import Effect, Placebo
from energylang.workspace.workspace import Workspace, counted

from .controls import REPLY_TOKENS, Imitate, controls

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


CHOOSING_WINDOWS, MEASURING_WINDOWS = 96, 96
PROMPTS = 64
_ROUNDING = 1e-6  # of a measurement in float32, relatively
HEARD, LIKELIER = 2, 2.0  # texts of the concept at least, and the factor that makes a reply the concept's


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
    """Measures share and log-probability of one concept under any change of the model."""

    def __init__(
        self,
        ws: Workspace,
        concept: Concept,
        prompts: int = PROMPTS,
        asked: Sequence[str] | None = None,
    ) -> None:
        self.session = ws
        self.concept = concept
        text = ws.text
        asked = text.measuring_prompts if asked is None else asked
        self.prompts = list(asked)[:prompts] if text.dialogue else []
        self.only = (
            None if concept.position in POSITIONS else named_token(text, concept.texts[0], concept.position)
        )

    @torch.no_grad()
    def read(self, change: Change) -> Heard:
        text, concept = self.session.text, self.concept
        log_prob = float(
            likelihoods.concept_log_prob(text, concept.texts, change=change, only=self.only).mean()
        )
        if not self.prompts:
            return Heard(None, log_prob)
        generator = stable_generator("replies", self.session.setting("seed"), concept.name)
        replies = sampling.generate_batch(
            text, self.prompts, tokens=REPLY_TOKENS, generator=generator, change=change
        )
        said = self.recognises(self.prompts, [reply.token_ids for reply in replies])
        return Heard(sum(said) / len(said), log_prob)

    @torch.no_grad()
    def recognises(self, questions: Sequence[str], replies: Sequence[Sequence[int]]) -> list[bool]:
        """Which replies (token ids) to which questions count as the concept. Empty ones do not."""
        text, concept = self.session.text, self.concept
        asked, heard = text.choosing_prompts, _heard(concept.texts)
        unedited = Change(
            weights={
                layer: self.session.weight(self.session.memory(layer).root)
                for layer in range(self.session.model.num_layers)
            }
        )
        alone = likelihoods.reply_log_prob(text, [(question,) for question in questions], replies, unedited)
        after = [
            likelihoods.reply_log_prob(
                text, [(asked[k % len(asked)], said, question) for question in questions], replies, unedited
            )
            for k, said in enumerate(heard)
        ]
        ratio = torch.stack(after).logsumexp(dim=0) - math.log(len(after)) - alone
        likelier: list[bool] = (ratio > math.log(LIKELIER)).tolist()
        return [bool(reply) and found for reply, found in zip(replies, likelier, strict=True)]


def _heard(texts: Sequence[str]) -> Sequence[str]:
    """The texts that stand for a concept: a third of them, ``HEARD`` at least. (Of texts that have nothing in common
    two do, and an edit aimed at shuffled labels would be one aimed at whatever these two are.)"""
    count = max(HEARD, len(texts) // 3)
    return texts[:: max(1, len(texts) // count)][:count]


@torch.no_grad()
def measure(
    ws: Workspace,
    concept: Concept,
    factors: LowRank,
    weight: Tensor,
    imitate: Imitate | None = None,
) -> Effect:
    """Effect, damage and control of adding ``factors`` to ``weight`` (d, d); see the module's text."""
    layer = concept.layer

    def changed(edit: LowRank | None) -> Change:
        return Change(weights={layer: weight if edit is None else edit.added_to(weight)})

    ruler = Ruler(ws, concept)
    before, after = ruler.read(changed(None)), ruler.read(changed(factors))
    gauge = Gauge(ws, layer, ws.text.measuring_windows(MEASURING_WINDOWS))
    loss_before, loss_after = gauge.losses(changed(None)), gauge.losses(changed(factors))
    base = float(loss_before.mean())
    readings: dict[str, list[tuple[Heard, float]]] = {}
    for control in counted(
        ws, controls(ws, concept, factors, imitate), lambda made: f"controls measured; measuring {made.kind}"
    ):
        damage = gauge.rise(changed(control.factors), loss_before)
        readings.setdefault(control.kind, []).append((ruler.read(changed(control.factors)), damage))
    placebos = tuple(placebo(kind, found, after) for kind, found in readings.items())
    losses = (base, float(loss_after.mean()))
    return effect_of(before, after, placebos, losses, (loss_after - loss_before) / base, len(ruler.prompts))


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

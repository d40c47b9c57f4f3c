"""What does an edit do to text, and is it more than chance?

Three measurements, each before and after, none of them touching the model (the edited weight is handed to
single passes):

* **share**: 64 neutral prompts are answered (seeded sampling). A reply counts as the concept when the live
  model, having just heard it, is in a decision state whose cosine to the concept's centroid lies above the
  middle between the concept's own texts and neutral states. Dialogue models only.
* **log-probability** of the concept's texts after neutral prompts, per token.
* **loss** on held-out text, with its standard error over windows: the damage.

The control is ``PLACEBOS`` edits with the same right factors (the same key), random left factors and equal
norm. An effect is reported together with their mean, their spread and its distance in units of the spread.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.models.protocol import Intervention
from energylang.results import Effect

if TYPE_CHECKING:
    from .history import Concept
    from .workbench import Workbench

PLACEBOS = 10
LOSS_WINDOWS = 48
PROMPTS = 64
REPLY_TOKENS = 16


@torch.no_grad()
def losses(session: Workbench, layer: int, weight: Tensor) -> Tensor:
    """(n,): the loss of every held-out window with a layer's weight replaced by ``weight`` (d, d)."""
    text = session.text
    edited = Intervention(weights={layer: weight})
    return text.loss(text.windows(LOSS_WINDOWS), intervention=edited).mean(dim=1)


@dataclass(frozen=True)
class _Sample:
    share: float | None
    log_prob: float


class _Ruler:
    """Measures share and log-probability of one concept under any weight."""

    def __init__(self, session: Workbench, concept: Concept) -> None:
        self.session = session
        self.concept = concept
        text = session.text
        self.prompts = list(text.neutral_prompts)[:PROMPTS] if text.markers else []
        centroid = concept.centroid
        inside = cosine_rows(concept.states, centroid).mean()
        outside = cosine_rows(text.neutral_states(concept.layer), centroid).mean()
        self.centroid = centroid
        self.threshold = float(inside + outside) / 2

    def sample(self, weight: Tensor) -> _Sample:
        text = self.session.text
        edited = Intervention(weights={self.concept.layer: weight})
        log_prob = float(text.concept_log_prob(self.concept.texts, intervention=edited).mean())
        if not self.prompts:
            return _Sample(None, log_prob)
        generator = stable_generator("replies", self.session.setting("seed"), self.concept.name)
        replies = text.generate_batch(
            self.prompts, tokens=REPLY_TOKENS, generator=generator, intervention=edited
        )
        said = [reply.text for reply in replies]
        states = text.decision_states(said, self.concept.layer, pairs=1)
        similar = cosine_rows(states, self.centroid) > self.threshold
        return _Sample(float(similar.double().mean()), log_prob)


def placebos(session: Workbench, concept: Concept, factors: LowRank) -> list[LowRank]:
    """Edits with the same right factors (the same key) and random left ones, each of equal norm."""
    generator = stable_generator("placebo", session.setting("seed"), concept.layer, concept.name)
    edits = []
    for _ in range(PLACEBOS):
        left = torch.randn(factors.left.shape, generator=generator).to(factors.left)
        edit = LowRank(left, factors.right)
        edits.append(LowRank(left * (factors.norm / edit.norm), factors.right))
    return edits


@torch.no_grad()
def measure(session: Workbench, concept: Concept, factors: LowRank, weight: Tensor) -> Effect:
    """Effect, damage and control of adding ``factors`` to ``weight`` (d, d); see the module's text."""
    ruler = _Ruler(session, concept)
    before, after = ruler.sample(weight), ruler.sample(factors.added_to(weight))
    controls = [ruler.sample(edit.added_to(weight)) for edit in placebos(session, concept, factors)]
    log_mean, log_std, log_z = _against([c.log_prob for c in controls], after.log_prob)
    shares = [c.share for c in controls if c.share is not None]
    share_mean, share_std, share_z = _against(shares, after.share) if after.share is not None else (None,) * 3
    loss_before = losses(session, concept.layer, weight)
    loss_after = losses(session, concept.layer, factors.added_to(weight))
    base = float(loss_before.mean())
    change = (loss_after - loss_before) / base
    return Effect(
        share_before=before.share,
        share_after=after.share,
        share_placebo=share_mean,
        share_placebo_std=share_std,
        share_z=share_z,
        log_prob_before=before.log_prob,
        log_prob_after=after.log_prob,
        log_prob_placebo=log_mean,
        log_prob_placebo_std=log_std,
        log_prob_z=log_z,
        placebos=len(controls),
        loss_before=base,
        loss_after=float(loss_after.mean()),
        loss_change=float(change.mean()),
        loss_change_error=float(change.std()) / math.sqrt(len(change)) if len(change) > 1 else 0.0,
    )


def _against(controls: list[float], value: float) -> tuple[float, float, float]:
    """Mean and spread of the controls, and the distance of ``value`` from them in units of the spread."""
    mean, spread = statistics.fmean(controls), statistics.stdev(controls)
    return mean, spread, (value - mean) / spread if spread > 0 else 0.0

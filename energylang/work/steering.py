"""How does what is said answer to a push of growing strength?

**Tilt.** The drive of a layer gets an external field ``γ·(v − k)``, v the concept's mean state and k that of the
neutral (or contrast) states, in every forward pass. The model's weights stay as they are: this is a dose–response
curve, not an edit. Every strength is compared with random fields of the same norm.

Automatic strengths are a geometric row; the largest whose rise of the loss keeps within the damage budget on the
choosing windows is named, and the row ends one step above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from energylang.concepts.captured import opposite
from energylang.concepts.effects import (
    CHOOSING_WINDOWS,
    MEASURING_WINDOWS,
    Gauge,
    Ruler,
    against,
    standard_error,
)
from energylang.errors import ElError
from energylang.models.protocol import Intervention
from energylang.results import Steering, SteeringStep
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted

STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
PLACEBOS = 10
_PROMPTS = 64


@torch.no_grad()
def steer(ws: Workspace, concept: Concept, strengths: Sequence[float] | None, damage: float) -> Steering:
    """The dose–response of tilting a layer towards a concept."""
    layer, text = concept.layer, ws.text
    push = concept.centroid - opposite(ws, concept).mean(dim=0)
    size = torch.linalg.vector_norm(push)
    if float(size) == 0:
        raise ElError(
            f"`{concept.name}` is where neutral text already is: there is no direction to push in",
            code="EL511",
            hint="capture texts that stand out more, or give a contrast",
        )
    generator = ws.generator("steer", layer, concept.name)
    random = torch.randn(PLACEBOS, len(push), generator=generator).to(push)
    random = random * size / torch.linalg.vector_norm(random, dim=1, keepdim=True)
    nothing = Intervention()
    chosen, within = _strengths(ws, layer, push, strengths, damage)
    ruler = Ruler(ws, concept, _PROMPTS)
    before = ruler.read(nothing)
    gauge = Gauge(ws, layer, text.measuring_windows(MEASURING_WINDOWS))
    base = gauge.losses(nothing)
    steps = []
    for strength in counted(ws, chosen, "strengths"):
        tilted = Intervention(drive={layer: strength * push})
        after = ruler.read(tilted)
        change = (gauge.losses(tilted) - base) / base.mean()
        readings = [ruler.read(Intervention(drive={layer: strength * field})) for field in random]
        shares = [reading.share for reading in readings if reading.share is not None]
        mean = spread = z = None
        if after.share is not None and shares:
            mean, spread, z = against(shares, after.share)
        log_mean, log_spread, log_z = against([reading.log_prob for reading in readings], after.log_prob)
        steps.append(
            SteeringStep(
                strength=strength,
                share=after.share,
                share_placebo=mean,
                share_placebo_std=spread,
                share_z=z,
                log_prob=after.log_prob,
                log_prob_placebo=log_mean,
                log_prob_placebo_std=log_spread,
                log_prob_z=log_z,
                loss_change=float(change.mean()),
                loss_change_error=standard_error(change),
            )
        )
    return Steering(
        layer=layer,
        concept=concept.name,
        share_before=before.share,
        log_prob_before=before.log_prob,
        damage=damage,
        best=within,
        placebos=PLACEBOS,
        prompts=len(ruler.prompts),
        steps=tuple(steps),
    )


def _strengths(
    ws: Workspace, layer: int, push: torch.Tensor, given: Sequence[float] | None, damage: float
) -> tuple[list[float], float | None]:
    """The strengths to try, and the largest of them within the damage budget (``None``: not even the least)."""
    gauge = Gauge(ws, layer, ws.text.choosing_windows(CHOOSING_WINDOWS))
    base = gauge.losses(Intervention())
    chosen: list[float] = []
    within: float | None = None
    for strength in sorted(given or STRENGTHS):
        chosen.append(strength)
        if gauge.rise_at_most(Intervention(drive={layer: strength * push}), base) <= damage:
            within = strength
        elif given is None:
            break
    return chosen, within

"""Methods of the interpretability notebook."""

from __future__ import annotations

from energylang.compat import dropin
from energylang.results.answer import Answer
from energylang.signature.values import BasinRef

from .base import Surgeon, SurgeonError


class Meaning(Surgeon):
    """find_basin_neighbours, intervene, trace_generation, generate."""

    def find_basin_neighbours(
        self, layer: int, concept: str | None = None, top_k: int = 5, *, basin: int | None = None
    ) -> list[Answer]:
        """The basins nearest to a concept (or to a basin) and a text that settles in each. The concept's own basin is
        left out, and so are basins that no text of the held-out text visits."""
        if basin is not None:
            near = self.session.neighbours(layer, BasinRef(layer, basin), top_k).neighbours
        else:
            name = self._concept(concept, None)
            near = dropin.without_known(self.session, layer, name, top_k)
        return [Answer(found, {"basin_idx": found.id}) for found in near]

    def intervene(
        self,
        layer: int,
        basin_id: int,
        intervention: str = "zero",
        *,
        amount: float | None = None,
        swap: int | None = None,
        inside: bool = False,
    ) -> Answer:
        """Change a basin in the live model's passes until ``revert()``: zero, clamp, boost, or ``swap=`` another basin.

        ``zero`` takes the basin's direction out of every state of the layer (``clamp amount=0`` in the language);
        ``inside=True`` only out of states that are in the basin (``zero`` in the language).
        """
        other = None if swap is None else BasinRef(layer, swap)
        kind, level = intervention, amount
        if kind == "zero" and swap is None and not inside:
            if amount is not None:
                raise SurgeonError("zero has no amount: use clamp or boost")
            kind, level = "clamp", 0.0
        found = self.session.intervene(layer, BasinRef(layer, basin_id), kind, swap=other, amount=level)
        return Answer(found, {"basin_id": basin_id, "intervention": intervention})

    def trace_generation(
        self,
        prompt: str,
        layer: int = 0,
        *,
        tokens: int | None = None,
        temp: float | None = None,
        topk: int | None = None,
        seed: int = 0,
    ) -> Answer:
        """A reply of the live model and the basin of a layer in which each token settles. While interventions are
        active, ``controls`` are the same reply under them on random other basins."""
        setting = self.session.setting
        count = int(setting("tokens")) if tokens is None else tokens
        heat = float(setting("temp")) if temp is None else temp
        top = int(setting("topk")) if topk is None else topk
        found = self.session.trace_generation(layer, prompt, tokens=count, temp=heat, topk=top, seed=seed)
        others = dropin.controls(self.session, layer, prompt, tokens=count, temp=heat, topk=top, seed=seed)
        return Answer(found, {"controls": others})

    def generate(
        self,
        prompt: str,
        *,
        tokens: int | None = None,
        temp: float | None = None,
        topk: int | None = None,
        seed: int = 0,
    ) -> Answer:
        """Text from the live model."""
        how = {"tokens": tokens, "temp": temp, "topk": topk}
        given = {name: value for name, value in how.items() if value is not None}
        return Answer(self.session.generate(prompt, seed=seed, **given), {})

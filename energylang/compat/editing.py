"""Published methods that edit a layer and take it back."""

from __future__ import annotations

from energylang.compat import dropin
from energylang.results.answer import Answer
from energylang.signature.values import BasinRef, ConceptName, Seed

from .base import Surgeon, auto


class Editing(Surgeon):
    """inject, remove, move, strengthen, weaken, apply, restore, restore_all, revert."""

    def inject(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        reason: str = "",
    ) -> Answer:
        """Install an attractor at a seed's pattern; ``strength`` is ‖ΔW‖/‖W‖, the smallest that holds without one."""
        target = Seed(seed)
        before, weight = self.session.verify(layer, target), self.get_W(layer)
        edit = self.session.inject(layer, target, strength=auto(strength), **self._forced(force, reason))
        return self._edited(
            edit,
            before,
            target,
            {
                "seed": seed,
                "W_before": weight,
                "target": dropin.target_state(self.session, layer, target),
            },
        )

    def remove(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Remove a basin by its number, or the one in which a seed's pattern settles."""
        target = self._target(layer, seed, basin, None)
        before = self.session.verify(layer, target)
        if not before.is_basin:
            return self._nothing_there(layer, target, before)
        at = dropin.target_state(self.session, layer, target)
        edit = self.session.remove(layer, target, strength=auto(strength), **self._forced(force, reason))
        end, _ = dropin.settles(self.session, layer, at)
        cosine = float(end @ at / (end.norm() * at.norm()).clamp_min(1e-12))
        return self._edited(edit, before, None, {"exists_after": not edit.applied, "cos_after": cosine})

    def move(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        basin: int | None = None,
        to: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Move a basin to the pattern of the seed ``to`` (without one: a destination drawn by the session)."""
        target = self._target(layer, seed, basin, None)
        before = self.session.verify(layer, target)
        if not before.is_basin:
            return self._nothing_there(layer, target, before)
        where = {} if to is None else {"to": Seed(to)}
        edit = self.session.move(
            layer, target, strength=auto(strength), **self._forced(force, reason), **where
        )
        return self._edited(edit, before, None, {})

    def strengthen(
        self,
        layer: int = 0,
        seed: int = 42,
        factor: float = 2.0,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Deepen a basin: its field times ``factor``."""
        return self._scaled(
            "strengthen", layer, self._target(layer, seed, basin, None), factor, force, reason
        )

    def weaken(
        self,
        layer: int = 0,
        seed: int = 42,
        factor: float = 0.5,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Make a basin shallower: its field times ``factor``."""
        return self._scaled("weaken", layer, self._target(layer, seed, basin, None), factor, force, reason)

    def _scaled(
        self,
        name: str,
        layer: int,
        target: BasinRef | Seed | ConceptName,
        factor: float,
        force: bool,
        reason: str,
    ) -> Answer:
        before = self.session.verify(layer, target)
        if not before.is_basin:
            same = {"energy_before": before.energy, "energy_after": before.energy}
            return self._nothing_there(layer, target, before, {**same, "deepened_by": 0.0, "raised_by": 0.0})
        run = self.session.strengthen if name == "strengthen" else self.session.weaken
        edit = run(layer, target, factor=factor, **self._forced(force, reason))
        alive = not edit.applied or before.basin is None or before.basin not in edit.lost
        after = self.session.verify(layer, target).energy if alive else before.energy
        change = after - before.energy
        heights = {"energy_before": before.energy, "energy_after": after}
        return self._edited(edit, before, None, {**heights, "deepened_by": -change, "raised_by": change})

    def apply(self, layer: int = 0) -> bool:
        """Write what is staged into the live model; whether that changed it."""
        changed: bool = self.session.apply(layer).changed
        return changed

    def restore(self, layer: int = 0) -> bool:
        """Bring back a layer's original weight, bit for bit; whether that changed anything."""
        changed: bool = self.session.restore(layer).changed
        return changed

    def restore_all(self) -> list[int]:
        """Bring back every layer; the layers that had been changed."""
        edited = [
            index
            for index, state in enumerate(self.session.state.layers)
            if state.staged.depth or state.live.depth
        ]
        self.session.restore_all()
        return edited

    def revert(self) -> Answer:
        """Undo the last change, whatever it was, bit for bit."""
        return Answer(self.session.undo(), {})

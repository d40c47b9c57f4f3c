"""What the operations' bodies ask of a session.

The declarations in ``energylang.ops`` must not know torch, so the work that needs tensors is done here, in
one short method each. ``Session`` inherits them; together they are the seam between the language and the
engine.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from energylang import results
from energylang.compat import dropin
from energylang.errors import ElError
from energylang.files.storage import check_regular, check_writable, write_atomic
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.edits import RELATED, WANTED_RADIUS, inject, remove
from energylang.landscape.layer import Landscape
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal
from energylang.models import checkpoint
from energylang.models.index import PT_SUFFIXES
from energylang.models.protocol import Generation
from energylang.signature.values import BasinRef, Concept, Seed
from energylang.workspace import whole as sessions
from energylang.workspace.workspace import Core

from . import asked, installing, interventions, moving, observing, redirecting, steering
from . import concepts as concept_work
from .editing import REMOVING, Plan, carry_out
from .effects import measure
from .fate import fate
from .tokens import SHOWN, contexts, placed, read_most

if TYPE_CHECKING:
    from torch import Tensor

    from energylang.landscape.lineage import Basin, Registry
    from energylang.landscape.richness import Richness
    from energylang.landscape.survey import BasinSet
    from energylang.workspace.versions import Version

    from .tokens import Reading


_ROUNDING = 1e-5
LARGEST_SHOWN = 5


def _largest(change: Tensor, count: int) -> list[int]:
    """The places (in the flattened matrix) of the largest entries by magnitude. Entries that differ by rounding only,
    as W[i, j] and W[j, i] do, come in the order of their places."""
    size = change.abs().flatten()
    count = min(count, int((size != 0).sum()))
    if not count:
        return []
    near = (size >= size.topk(count).values[-1] * (1 - _ROUNDING)).nonzero().squeeze(1)
    steps = torch.round(torch.log(size[near]) / _ROUNDING)
    found: list[int] = near[torch.sort(steps, descending=True, stable=True).indices][:count].tolist()
    return found


def _apart(one: Basin, other: Basin) -> float:
    """1 − cosine of the centres of a basin at two places in the history."""
    return max(0.0, 1.0 - float(cosine_rows(one.centre, other.centre.to(one.centre))))


def _between(base: Version, version: Version) -> LowRank:
    """What the edits between two versions of a layer add up to, from their factors (the weights' own difference has
    the rounding of its entries in it, which is of full rank)."""
    there, here = set(base.chain), set(version.chain)
    found = [(step.factors, 1.0) for step in version.chain if step not in there]
    found += [(step.factors, -1.0) for step in base.chain if step not in here]
    factors = [factors.scaled(sign) for factors, sign in found if factors is not None]
    if not factors:
        return LowRank.zero(base.root_weight)
    return LowRank(torch.cat([f.left for f in factors], dim=1), torch.cat([f.right for f in factors], dim=1))


class Workbench(Core):
    """Methods of ``Session`` that do an operation's work."""

    # -- looking -----------------------------------------------------------------------------------

    def find_basins(self, layer: int, inits: int, seed: int, *, radius: bool, doublings: int = 0) -> BasinSet:
        return observing.find_basins(self, layer, inits, seed, radius=radius, doublings=doublings)

    def find_until(
        self, layer: int, inits: int, seed: int, coverage: float, *, radius: bool
    ) -> tuple[BasinSet, int]:
        return observing.find_until(self, layer, inits, seed, coverage, radius=radius)

    def count_basins(self, found: BasinSet, random: int, seen: observing.Surveyed) -> Richness:
        return observing.sampled(found, random, seen)

    def compare_seeds(self, found: Sequence[BasinSet], random: int) -> observing.Resurvey:
        return observing.resurveyed(found, random)

    def known_basins(self, layer: int) -> Registry:
        """The basins of a layer's staged landscape; one that was never surveyed is surveyed first."""
        version = self.staged(layer)
        if not version.surveyed:
            self.learn(layer, self.find_basins(layer, int(self.setting("inits")), 0, radius=False))
        return version.registry

    def learn(self, layer: int, found: BasinSet) -> observing.Surveyed:
        """Take what a survey's starts found into the registry, and in a text model what held-out tokens settle in."""
        return observing.learn(self, layer, found)

    def meanings(
        self, reading: Reading | None
    ) -> tuple[dict[int, tuple[results.TokenScore, ...]], dict[int, results.Context]]:
        """By basin: the tokens that are read there most often, and its most typical context."""
        if reading is None:
            return {}, {}
        most = {basin: read_most(self, counts, SHOWN) for basin, counts in reading.held().items()}
        return most, {basin: found[0] for basin, found in contexts(self, reading).items()}

    def count_installed(self, layer: int) -> int:
        """How many living basins of the staged landscape were installed by edits."""
        return len(observing.installed_centres(self, layer))

    def look(self, layer: int, target: BasinRef | Concept | Seed) -> observing.Place:
        return observing.look(self, layer, target)

    def returns(self, layer: int, rest: Tensor) -> tuple[float, float, float]:
        return observing.returns(self, layer, rest)

    def difference(self, layer: int, since: int | None = None) -> results.Diff:
        """The staged weight against the original, or that at a node of the history: size, rank, largest entries,
        fate of the basins."""
        version = self.staged(layer)
        base = version.root if since is None else self.node_at(since).after.layers[layer].staged
        original, weight = self.weight(base), self.weight(version)
        change = (weight - original).double()
        size = float(torch.linalg.matrix_norm(original.double()))
        norm = float(torch.linalg.matrix_norm(change))
        order = _largest(change, LARGEST_SHOWN)
        then = {basin.id: basin for basin in base.registry.alive()}
        known = {basin.id: basin for basin in version.registry.basins}
        both = set(then) & {basin.id for basin in version.registry.alive()}
        became = fate(self, layer, base, version)
        return results.Diff(
            layer=layer,
            changed=norm > 0,
            norm=norm,
            relative_norm=norm / size if size else 0.0,
            rank=_between(base, version).true_rank if norm else 0,
            edits=len(set(version.chain) ^ set(base.chain)),
            spectral_before=float(torch.linalg.matrix_norm(original.double(), 2)),
            spectral_after=float(torch.linalg.matrix_norm(weight.double(), 2)),
            largest=tuple(
                results.Entry(k // len(change), k % len(change), float(change.flatten()[k])) for k in order
            ),
            basins_kept=became.kept,
            basins_lost=became.lost,
            basins_gained=became.gained,
            max_drift=max(
                (known[i].drift if since is None else _apart(known[i], then[i]) for i in both), default=0.0
            ),
            since=since,
            basins_met=became.met,
            null_gained=became.null_gained,
            null_lost=became.null_lost,
            null_met=became.null_met,
        )

    def relative_change(self, layer: int) -> float:
        """``‖ΔW‖/‖W‖`` of the staged weight against the original."""
        version = self.staged(layer)
        if version.depth == 0:
            return 0.0
        original = self.weight(version.root).double()
        change = torch.linalg.matrix_norm(self.weight(version).double() - original)
        size = float(torch.linalg.matrix_norm(original))
        return float(change) / size if size else float(change)

    # -- editing -------------------------------------------------------------------------------------

    def inject_direction(
        self,
        layer: int,
        target: BasinRef | Concept | Seed,
        strength: float | None,
        *,
        noise: float | None = None,
        radius: bool = False,
        force: bool,
        reason: str,
    ) -> results.Edit:
        direction = self.direction(layer, target)
        wanted = WANTED_RADIUS if noise is None else noise
        generator = self.generator("inject", layer, str(target))

        def propose(landscape: Landscape, protected: Tensor) -> Proposal:
            return inject(
                landscape,
                direction,
                protected,
                strength=strength,
                generator=generator,
                wanted_radius=wanted,
            )

        plan = Plan(
            "inject",
            layer,
            str(target),
            propose,
            asked=asked.installed(target, direction),
            installs=True,
            strength=strength,
            radii=radius,
        )
        return carry_out(self, plan, force=force, reason=reason)

    def remove_basin(
        self,
        layer: int,
        target: BasinRef | Concept | Seed,
        strength: float | None,
        *,
        force: bool,
        reason: str,
    ) -> results.Edit:
        centre, basin = self.basin_near(layer, target)
        generator = self.generator("remove", layer, str(target))

        def propose(landscape: Landscape, protected: Tensor) -> Proposal:
            return remove(
                landscape, centre.to(landscape.weight), protected, strength=strength, generator=generator
            )

        plan = Plan(
            "remove",
            layer,
            str(target),
            propose,
            asked=asked.ended(target, centre),
            own=centre[None],
            related=RELATED,
            exactly=REMOVING,
            basin=basin,
            strength=strength,
            ends=True,
        )
        return carry_out(self, plan, force=force, reason=reason)

    def basin_near(self, layer: int, target: BasinRef | Concept | Seed) -> tuple[Tensor, int | None]:
        """The centre (d,) of the basin that a direction names or settles in, and its id."""
        self.known_basins(layer)
        if isinstance(target, BasinRef):
            return self.direction(layer, target), target.basin
        place = self.look(layer, target)
        if not place.is_basin:
            raise ElError(
                f"there is no basin near {target} in L{layer}",
                code="EL510",
                hint="name one that `survey` found, such as L0.B3",
            )
        return place.rest, place.basin

    def move_basin(
        self,
        layer: int,
        target: BasinRef | Concept | Seed,
        to: BasinRef | Concept | Seed | None,
        strength: float | None,
        *,
        force: bool,
        reason: str,
    ) -> results.Edit:
        return moving.move_basin(self, layer, target, to, strength, force=force, reason=reason)

    def scale_basin(
        self,
        layer: int,
        target: BasinRef | Concept | Seed,
        factor: float,
        operation: str,
        *,
        force: bool,
        reason: str,
    ) -> results.Edit:
        return moving.scale_basin(self, layer, target, factor, operation, force=force, reason=reason)

    def redirect_basin(
        self,
        layer: int,
        basin: BasinRef,
        to: BasinRef | Concept | Seed,
        strength: float | None,
        *,
        damage: float,
        force: bool,
        reason: str,
        dose: float | None = None,
    ) -> results.Edit:
        return redirecting.redirect_basin(
            self, layer, basin, to, strength, damage=damage, force=force, reason=reason, dose=dose
        )

    # -- concepts ---------------------------------------------------------------------------------------

    def capture_text(
        self, layer: int | None, name: str, text: str, contrast: str | None, position: str | None
    ) -> results.ConceptInfo:
        return concept_work.describe(
            self, concept_work.capture(self, layer, name, [text], contrast, position)
        )

    def capture_texts(self, layer: int, name: str, texts: Sequence[str], position: str | None) -> None:
        concept_work.capture(self, layer, name, texts, None, position)

    def describe_concept(self, name: str) -> results.ConceptInfo:
        return concept_work.describe(self, self.concept(name))

    def install_concept(
        self,
        layer: int | None,
        name: str,
        strength: float | None,
        *,
        method: str,
        damage: float,
        force: bool,
        reason: str,
        dose: float | None = None,
    ) -> results.Edit:
        concept = self.concept_at(layer, name)
        return installing.install(
            self,
            concept,
            method=method,
            strength=strength,
            damage=damage,
            force=force,
            reason=reason,
            dose=dose,
        )

    def remove_concept_from(
        self,
        layer: int | None,
        name: str,
        strength: float | None,
        *,
        method: str,
        damage: float,
        force: bool,
        reason: str,
        dose: float | None = None,
    ) -> results.Edit:
        concept = self.concept_at(layer, name)
        return redirecting.remove_concept(
            self,
            concept,
            method=method,
            strength=strength,
            damage=damage,
            force=force,
            reason=reason,
            dose=dose,
        )

    def dose_response(
        self, layer: int | None, name: str, strengths: Sequence[float] | None, damage: float
    ) -> results.Steering:
        return steering.steer(self, self.concept_at(layer, name), strengths, damage)

    def staged_effect(self, layer: int | None, name: str) -> results.Effect:
        """What everything staged in a concept's layer does to it, against placebos of equal norm."""
        concept = self.concept_at(layer, name)
        version = self.staged(concept.layer)
        if version.depth == 0:
            raise ElError(
                f"nothing is staged in L{concept.layer}: there is no effect to measure",
                code="EL513",
                hint="edit the layer first, with `inject-concept` for example",
            )
        factors = [step.factors for step in version.chain if step.factors is not None]
        whole = functools.reduce(lambda left, right: left.joined(right), factors)
        return measure(self, concept, whole, self.weight(version.root))

    # -- model and settings --------------------------------------------------------------------------------

    def read_model(self, spec: str, *, whole: bool = False) -> None:
        """Load a model and begin anew with it, or (``whole``) where the session in its file stood; on an error the
        session keeps the model it had."""
        model = checkpoint.load(spec, base=self.base)
        tensors, about = sessions.taken_from(model)
        if not whole:
            self.adopt(model)
        elif about is None:
            raise ElError(
                f"there is no session in {spec}",
                code="EL503",
                hint=f'`save "{spec}" session=true` writes one',
            )
        else:
            sessions.restored(self, model, tensors, about)

    def change_setting(self, name: str, value: float | str) -> None:
        if name == "device" and value != "cpu" and not torch.cuda.is_available():
            raise ElError(
                f"there is no {value} device here", code="EL502", hint="`set device cpu` works everywhere"
            )
        self.state = replace(self.state, settings={**self.state.settings, name: value})

    def make_live(self, layer: int) -> None:
        self.check_layer(layer)
        state = self.state.layers[layer]
        if state.live is not state.staged:
            self.set_layer(layer, replace(state, live=state.staged))

    def make_original(self, layer: int) -> None:
        self.check_layer(layer)
        state = self.state.layers[layer]
        if state.staged.depth or state.live.depth:
            self.set_layer(layer, replace(state, staged=state.staged.root, live=state.staged.root))

    def write_model(self, path: str, *, whole: bool = False) -> tuple[str, int]:
        """Write the model with everything staged, and (``whole``) the session; the path as given and the size."""
        target = self.resolve(path)
        check_writable(target)
        if target.suffix in PT_SUFFIXES:
            return path, dropin.write_published(self, path, dropin.session_data(self))
        tensors, about = sessions.written(self) if whole else ({}, None)
        with self.model_with_staged_weights() as model:
            checkpoint.save(model, target, extra=tensors, notes=sessions.notes(model, about))
        return path, check_regular(target)

    def write_text(self, path: str, text: str) -> None:
        """Write a text file whole or not at all."""
        write_atomic(self.resolve(path), text.encode("utf-8", "replace"))

    # -- text -------------------------------------------------------------------------------------------------

    def generate_live(self, prompt: str, *, tokens: int, temp: float, topk: int, seed: int) -> Generation:
        """What the live model says, with the interventions that are active."""
        generator = stable_generator("generate", self.setting("seed"), seed)
        return self.text.generate(
            prompt,
            tokens=tokens,
            temp=temp,
            topk=topk,
            generator=generator,
            intervention=interventions.standing(self),
        )

    def speak(self, prompt: str, *, tokens: int, temp: float, topk: int, seed: int) -> results.Generation:
        text = self.text
        made = self.generate_live(prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)
        found = [
            placed(self, layer, self.state.layers[layer].live, states)
            for layer, states in enumerate(made.states)
        ]
        steps = tuple(
            results.TokenStep(
                text.token(token),
                tuple(column.basins[i] if column.basins[i] >= 0 else None for column in found),
                tuple(column.cosines[i] if column.basins[i] >= 0 else None for column in found),
            )
            for i, token in enumerate(made.token_ids)
        )
        return results.Generation(
            prompt=prompt,
            text=made.text,
            tokens=len(made.token_ids),
            seed=seed,
            temp=temp,
            topk=topk,
            steps=steps,
            to_zero=sum(column.to_zero for column in found),
            unsettled=sum(column.unsettled for column in found),
        )

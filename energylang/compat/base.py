"""What all published methods stand on: a session, targets, and answers about edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energylang import results
from energylang.compat import dropin
from energylang.errors import ElError
from energylang.looking import basins as observing
from energylang.results.answer import Answer
from energylang.session import Session
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.work import published
from energylang.workspace.workspace import check_layer

if TYPE_CHECKING:
    from torch import Tensor

DRIFT = 0.15
UNSAID = "asked for with force=True, without a reason"
UNGATED = "the surgeon works without the gate"


class SurgeonError(ElError, ValueError):
    """A request that cannot be answered; a ``ValueError``, as in the published package."""

    code = "EL511"


class Surgeon:
    """A session under the published names; see ``energylang.compat.surgeon``.

    ``gated``: does the gate refuse edits? Where it does not, its verdict is reported all the same. Guards and protected
    basins hold in either case.
    """

    gated = True

    def __init__(self, session: Session | None = None) -> None:
        self.session = session if session is not None else Session()

    def num_layers(self) -> int:
        """How many Hopfield layers there are."""
        return self.session.model.num_layers

    def get_W(self, layer: int = 0) -> Tensor:
        """A copy of a layer's weight (d, d), edits included."""
        return dropin.weight(self.session, layer)

    def get_beta(self, layer: int = 0) -> float:
        """The inverse temperature at which a layer is read."""
        check_layer(self.session.model, layer)
        return float(self.session.landscape_of(layer).beta)

    def _target(
        self, layer: int, seed: int, basin: int | None, concept: str | None
    ) -> BasinRef | ConceptName | Seed:
        if basin is not None:
            return BasinRef(layer, basin)
        return Seed(seed) if concept is None else ConceptName(self._concept(concept, None))

    def _concept(self, name: str | None, other: str | None) -> str:
        """The name of a captured concept, given by either keyword."""
        found = name if other is None else other
        if found is None:
            raise SurgeonError("which concept? Give its name: concept_name=…")
        if found not in self.session.state.concepts:
            raise SurgeonError(
                f"Unknown concept {found!r}: capture it first", hint="list_concepts() has them"
            )
        return found

    def _both(self, first: str, second: str) -> tuple[str, str]:
        return self._concept(first, None), self._concept(second, None)

    def _forced(self, force: bool, reason: str) -> dict[str, Any]:
        """How an edit is told whether it may overrule the gate, and why."""
        if not force and not self.gated:
            return {"force": True, "reason": reason or UNGATED}
        return {"force": force, "reason": reason or (UNSAID if force else "")}

    def _iterations(self, layer: int, target: BasinRef | ConceptName | Seed) -> int:
        return dropin.settles(self.session, layer, dropin.target_state(self.session, layer, target))[1]

    def _retention(self, edit: results.Edit | results.CausalEffect) -> dict[str, Any]:
        return retention(edit, float(self.session.setting("max_changed")))

    def _look(self, layer: int, num_inits: int | None) -> None:
        if num_inits is not None:
            self.session.survey(layer, inits=num_inits)
        else:
            observing.known_basins(self.session, layer)

    def _alive(self, layer: int) -> int:
        return len(observing.known_basins(self.session, layer).alive())

    def _edited(
        self,
        edit: results.Edit,
        before: results.Verdict | None,
        target: BasinRef | ConceptName | Seed | None,
        extra: Mapping[str, Any],
    ) -> Answer:
        """An edit under the published keys; ``target`` is looked at again after it."""
        found: dict[str, Any] = {"W_after": self.get_W(edit.layer), "retention": self._retention(edit)}
        if before is not None:
            found |= {"existed_before": before.is_basin, "cos_before": before.cosine}
        if target is not None:
            after = self.session.verify(edit.layer, target)
            found |= {"exists_after": after.is_basin, "cos_after": after.cosine}
        return Answer(edit, {**found, **extra})

    def _nothing_there(
        self,
        layer: int,
        target: BasinRef | ConceptName | Seed,
        place: results.Verdict,
        extra: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer of an edit that had no basin to work on: nothing was changed."""
        return Answer(
            None,
            {
                "layer": layer,
                "applied": False,
                "reason": f"there is no basin near {target} in L{layer}",
                "existed_before": False,
                "cos_before": place.cosine,
                "exists_after": False,
                "cos_after": place.cosine,
                "W_after": self.get_W(layer),
                "retention": nothing_judged(layer, float(self.session.setting("max_changed"))),
                **(extra or {}),
            },
        )

    @property
    def _concepts(self) -> MutableMapping[str, Any]:
        return ConceptTable(self.session)

    @property
    def _w_backups(self) -> dict[int, Tensor]:
        """Copies of the original weights: the session keeps them by itself."""
        return {layer: dropin.original(self.session, layer) for layer in range(self.num_layers())}


class ConceptTable(MutableMapping[str, Any]):
    """The session's concepts as the published dictionary of ``states`` and ``centroid``."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __getitem__(self, name: str) -> dict[str, Any]:
        return published.published_concept(self.session.state.concepts[name])

    def __setitem__(self, name: str, data: Any) -> None:
        dropin.keep_concept(self.session, name, data, f"concept {name}")

    def __delitem__(self, name: str) -> None:
        left = {key: value for key, value in self.session.state.concepts.items() if key != name}
        before = self.session.state
        self.session.state = replace(before, concepts=left)
        self.session.timeline.record(f"forget {name}", before, self.session.state, "OK", "", None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.session.state.concepts)

    def __len__(self) -> int:
        return len(self.session.state.concepts)


def auto(strength: float | str | None) -> float | str:
    return "auto" if strength is None else strength


def retention(edit: results.Edit | results.CausalEffect, max_changed: float) -> dict[str, Any]:
    """What the gate said, under the published keys. Of the single probes no list is kept: ``changed``, ``n_probes`` and
    ``n_intended`` are ``None``."""
    accepted = edit.applied and not edit.forced
    found: dict[str, Any] = {
        "accepted": accepted,
        "applied": edit.applied,
        "forced": edit.forced,
        "reason": edit.reason,
        "lost": list(edit.lost),
        "frobenius": edit.norm,
        "layer": f"L{edit.layer}",
        "promoted": not accepted,
        "compact_edit": "forced" if edit.forced else "accepted" if accepted else "refused_promoted",
    }
    fraction = None
    if isinstance(edit, results.Edit):
        fraction = edit.changed_fraction
        found |= {"K_protected": edit.protected, "K_kept": edit.kept}
    else:
        found |= {"K_protected": len(edit.others), "K_kept": sum(other.survived for other in edit.others)}
    found["decision"] = _decision(fraction, max_changed)
    return found


def nothing_judged(layer: int, max_changed: float) -> dict[str, Any]:
    """The same keys where there was no basin, so that no edit was proposed."""
    facts = {"reason": "there is no basin", "lost": [], "frobenius": 0.0, "layer": f"L{layer}"}
    counts = {"K_protected": None, "K_kept": None, "decision": _decision(None, max_changed)}
    flags = dict.fromkeys(("accepted", "applied", "forced", "promoted"), False)
    return {**flags, **facts, "compact_edit": "refused", **counts}


def _decision(fraction: float | None, max_changed: float) -> dict[str, Any]:
    return {
        "accepted": None if fraction is None else fraction <= max_changed,
        "changed_fraction": fraction,
        "max_changed": max_changed,
        "changed": None,
        "n_probes": None,
        "n_intended": None,
    }


def affected(
    others: Sequence[results.Drifted], before: Mapping[int, float], after: Mapping[int, float]
) -> list[dict[str, Any]]:
    """The basins that moved by more than the usual threshold, or are gone; energies at their centres before."""
    return [
        {
            "basin": other.basin,
            "drift": other.drift,
            "survived": other.survived,
            "z": other.z,
            "p": other.p,
            "energy_before": before.get(other.basin),
            "energy_after": after.get(other.basin),
        }
        for other in others
        if other.drift > DRIFT or not other.survived
    ]

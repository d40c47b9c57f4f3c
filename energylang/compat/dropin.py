"""What ``BasinSurgeon`` offers and the operations do not: tensors, files of the published layout, controls.

* Ways of random starts and how fast directions settle, which the published surveys hand out as tensors.
* Files of the published package: ``{"model_state": …, "concepts": {name: {"states", "centroid"}}}`` and a concept
  as ``{"name", "states", "centroid"}``. They are read with ``weights_only``: nothing in them can run.
* Controls of an intervention: the same prompt with other basins held at zero.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import keep
from energylang.errors import CheckpointError, ElError
from energylang.files.storage import located
from energylang.landscape.assign import nearest
from energylang.landscape.dynamics import settle, trajectory
from energylang.landscape.energy import lyapunov
from energylang.landscape.layer import Landscape
from energylang.landscape.survey import survey
from energylang.looking.basins import known_basins, look, survey_starts
from energylang.models import checkpoint
from energylang.models.hopfield.raw import model_of
from energylang.models.layout import hopfield_blocks
from energylang.models.published import read_tensors
from energylang.models.states import text_states
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.work import meaning
from energylang.work.watermark import marks_of, there
from energylang.workspace.history import Concept, Holding
from energylang.workspace.named import centre_of, concept_named, staged_made_live, state_of
from energylang.workspace.workspace import check_layer

if TYPE_CHECKING:
    from energylang.session import Session

CONTROLS = 3


# ------------------------------------------------------------------------------------------- tensors


@dataclass(frozen=True, eq=False)
class Ways:
    """The starts (n, d) of a survey, the random ones first, in the landscape as it was then; ``count`` are random."""

    landscape: Landscape
    starts: Tensor
    count: int
    eps: float
    kicks: torch.Generator

    def paths(self) -> list[list[Tensor]]:
        """The states (d,) of every random start on its way, the start and the end included."""
        way, end = trajectory(self.landscape, self.starts[: self.count], eps=self.eps)
        return [[*way[: int(count) + 1, row].unbind(0)] for row, count in enumerate(end.iterations.tolist())]

    def basins(self, centres: Sequence[Tensor]) -> list[int]:
        """The place among the centres (d,) of a survey's basins of the one that each random start ends in; −1 where it
        is none."""
        found = survey(self.landscape, self.starts, eps=self.eps, generator=self.kicks)
        if not len(found):
            return [-1] * self.count
        places = nearest(found.centres, torch.stack([*centres])).tolist()
        ends = found.assignment[: self.count].tolist()
        return [places[end] if end >= 0 else -1 for end in ends]


def ways_of(session: Session, layer: int, inits: int, seed: int) -> Ways:
    """The ways of the survey that would be made now."""
    return Ways(
        session.landscape_of(layer),
        survey_starts(session, layer, inits, seed),
        inits,
        float(session.setting("eps")),
        session.generator("survey kicks", layer, seed),
    )


def centres(session: Session, survey: results.Survey) -> list[Tensor]:
    """The centres (d,) of a survey's basins, in its order."""
    registry = session.staged(survey.layer).registry
    known = {basin.id: basin.centre for basin in registry.basins}
    return [known[basin.id].clone() for basin in survey.basins]


def centre(session: Session, layer: int, basin: int) -> Tensor:
    """The centre (d,) of a living basin."""
    return centre_of(session, BasinRef(layer, basin)).clone()


def centres_by_number(session: Session, layer: int) -> dict[int, Tensor]:
    """The centres (d,) of the living basins."""
    return {basin.id: basin.centre.clone() for basin in known_basins(session, layer).alive()}


def energies_at(session: Session, layer: int, places: Mapping[int, Tensor]) -> dict[int, float]:
    """The energy at each place, in the staged landscape."""
    if not places:
        return {}
    landscape = session.landscape_of(layer)
    together = torch.stack(list(places.values())).to(landscape.weight)
    return dict(zip(places, lyapunov(landscape, together).tolist(), strict=True))


def marks_found(session: Session, layer: int, key: str, marks: int) -> list[tuple[bool, float]]:
    """Whether each of a key's marks is there, and the energy at it."""
    landscape = session.landscape_of(layer)
    patterns = marks_of(session, layer, key, marks)
    present = there(landscape, patterns).tolist()
    return list(zip(present, lyapunov(landscape, patterns).tolist(), strict=True))


def first_tokens(session: Session, text: str, count: int | None) -> str:
    """A text's first tokens, or all of it."""
    ids = session.text.encode(text)
    return text if count is None or len(ids) <= count else session.text.decode(ids[:count])


def weight(session: Session, layer: int) -> Tensor:
    """A copy of a layer's staged weight (d, d)."""
    check_layer(session.model, layer)
    return session.weight(session.staged(layer)).clone()


def original(session: Session, layer: int) -> Tensor:
    """A copy of the weight (d, d) that a layer was loaded with."""
    check_layer(session.model, layer)
    return session.weight(session.staged(layer).root).clone()


def target_state(session: Session, layer: int, target: BasinRef | ConceptName | Seed) -> Tensor:
    """The state (d,) from which a target is looked at: of a seed its pattern."""
    direction = state_of(session, layer, target)
    return 0.9 * torch.sign(direction) if isinstance(target, Seed) else direction.clone()


def settles(session: Session, layer: int, state: Tensor) -> tuple[Tensor, int]:
    """Where a state (d,) comes to rest (d,), and after how many iterations."""
    landscape = session.landscape_of(layer)
    run = settle(landscape, state[None].to(landscape.weight), eps=float(session.setting("eps")))
    return run.states[0], int(run.iterations[0])


def text_state(session: Session, layer: int, text: str) -> Tensor:
    """The state (d,) that a text leads to, as ``capture`` reads it."""
    check_layer(session.model, layer)
    state: Tensor = text_states(session.text, (text,), layer, "decision")[0]
    return state


def without_known(session: Session, layer: int, name: str, top: int) -> list[results.Neighbour]:
    """The basins nearest to a concept that text visits, without the one in which the concept itself settles."""
    found = meaning.neighbours(session, layer, ConceptName(name), 100_000)
    own = look(session, layer, ConceptName(name)).basin
    near = [basin for basin in found.neighbours if basin.id != own]
    visited = [basin for basin in near if basin.example_probe]
    return (visited or near)[:top]


# ------------------------------------------------------------------------------------------- controls


def controls(
    session: Session, layer: int, prompt: str, *, tokens: int, temp: float, topk: int, seed: int
) -> list[results.Trajectory]:
    """The same reply with random other basins under the interventions that are active, ``CONTROLS`` times.

    The basins are drawn from those of the layer that no intervention concerns. Nothing is kept.
    """
    before = session.state
    held = {key: each for key, each in before.interventions.items() if isinstance(each, Holding)}
    if not held:
        return []
    taken = {(holding.layer, holding.basin) for holding in held.values()}
    generator = session.generator("control basins", layer, prompt)
    found = []
    try:
        for _ in range(CONTROLS):
            other = {key: _elsewhere(session, holding, taken, generator) for key, holding in held.items()}
            session.state = replace(before, interventions={**before.interventions, **other})
            found.append(
                meaning.trace_generation(
                    session, layer, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed
                )
            )
    finally:
        session.state = before
    return found


def _elsewhere(
    session: Session, holding: Holding, taken: set[tuple[int, int]], generator: torch.Generator
) -> Holding:
    """The same intervention on a random other basin of its layer, a main one: most of the others hold a single token,
    and nothing would be done."""
    registry = session.staged(holding.layer).registry
    alive, main = registry.alive(), {basin.id for basin in registry.main()}
    free = [i for i, basin in enumerate(alive) if basin.id in main and (holding.layer, basin.id) not in taken]
    if not free:
        raise ElError(f"L{holding.layer} has no other basin to compare with", code="EL510")
    index = free[int(torch.randint(len(free), (1,), generator=generator))]
    together = torch.stack([basin.centre for basin in alive]).to(holding.centres)
    return replace(holding, basin=alive[index].id, centres=together, index=index)


# ---------------------------------------------------------------------------------------------- files


def concept_data(session: Session, name: str) -> dict[str, Any]:
    """A concept as plain data: what ``export-concept`` writes, as numbers."""
    concept = concept_named(session, name)
    return {
        "name": concept.name,
        "layer": concept.layer,
        "position": concept.position,
        "samples": len(concept.states),
        "dim": int(concept.centroid.numel()),
        "texts": list(concept.texts),
        "contrasts": list(concept.contrasts),
        "centroid": concept.centroid.tolist(),
        "states": concept.states.tolist(),
        "model": session.model.spec,
        "checkpoint_hash": session.original_hash,
    }


def keep_concept(session: Session, name: str, data: Mapping[str, Any], statement: str) -> None:
    """Take a concept of the published layout into the session, as an undoable change.

    Without a layer of its own it belongs to the first layer of its dimension.
    """
    rows = data.get("states")
    given = list(rows) if isinstance(rows, list | tuple) and len(rows) else [data.get("centroid")]
    if not all(isinstance(row, Tensor) and row.ndim == 1 and row.is_floating_point() for row in given):
        raise CheckpointError(
            f"the concept `{name}` holds no states", hint="states are tensors of shape (d,)"
        )
    states = torch.stack([row.detach() for row in given if isinstance(row, Tensor)])
    dims = session.model.dims
    layer = data.get("layer")
    if layer is None:
        layer = next((i for i, dim in enumerate(dims) if dim == states.shape[1]), None)
    if not isinstance(layer, int) or not 0 <= layer < len(dims) or dims[layer] != states.shape[1]:
        raise ElError(
            f"the concept `{name}` has dimension {states.shape[1]}, and no layer of {session.model.spec} has",
            code="EL511",
        )
    if not bool(torch.isfinite(states).all()):
        raise CheckpointError(f"the concept `{name}` has entries that are not finite numbers")
    texts = data.get("texts") or ()
    concept = Concept(
        name,
        layer,
        tuple(str(text) for text in texts),
        states.to(session.model.weight(layer)),
        position=str(data.get("position") or "decision"),
    )
    before = session.state
    keep(session, concept)
    session.timeline.record(statement, before, session.state, "OK", "", None)


def bare_weights(session: Session, path: str) -> bool:
    """Take the weights of a .pt file that holds no inverse temperatures, as the published package does: every layer is
    read at β = 7. ``False`` for any other file, which ``load`` reads."""
    source = located(path, session.base)
    if source.suffix not in (".pt", ".pth") or not os.path.isfile(source):
        return False
    found = read_tensors(source)
    blocks = hopfield_blocks(found)
    if not blocks or any(f"blocks.{block}.hopfield.log_beta" in found for block in blocks):
        return False
    session.adopt(model_of([found[f"blocks.{block}.hopfield.W"] for block in blocks], spec=path))
    return True


def save_session(session: Session, path: str) -> None:
    """Staged weights and concepts in one .safetensors file that ``load`` reads too."""
    tensors = {
        f"concept.{name}": concept.states.contiguous() for name, concept in session.state.concepts.items()
    }
    about = {
        name: {"layer": concept.layer, "texts": list(concept.texts), "position": concept.position}
        for name, concept in session.state.concepts.items()
    }
    with staged_made_live(session) as model:
        checkpoint.save(model, located(path, session.base), extra=tensors, notes={"concepts": about})


def stored_concepts(session: Session) -> Iterable[tuple[str, dict[str, Any]]]:
    """The concepts that the model's own file holds, by name, in the published layout."""
    notes = session.model.metadata.get("notes")
    about = notes.get("concepts") if isinstance(notes, dict) else None
    for name, facts in about.items() if isinstance(about, dict) else ():
        states = session.model.extra.get(f"concept.{name}")
        if isinstance(states, Tensor) and isinstance(facts, dict):
            yield str(name), {**facts, "states": list(states.unbind(0))}

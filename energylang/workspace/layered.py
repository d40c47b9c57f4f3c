"""A concept has a state for every layer at which it was captured: which one is meant?

The state that came first is kept under the concept's name, those of other layers under ``name@L5``. An operation about
a layer means the state at that layer; where no layer is named, the first one is meant. ``polite@L2`` names a state
wherever a concept can stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import at_layer
from energylang.signature.declaration import Op
from energylang.signature.values import ConceptName

from .history import Concept


def only_layer(value: Any) -> int | None:
    """The layer that an operation was given, where it is one and not several."""
    if isinstance(value, tuple) and len(value) == 1:
        [value] = value
    return value if isinstance(value, int) else None


def at_their_layers(op: Op, given: Mapping[str, Any], concepts: Mapping[str, Concept]) -> dict[str, Any]:
    """What an operation was given, with the states that are meant in place of the concepts' names. Raises ``ElError``
    where a name says another layer than the operation."""
    layer = only_layer(given.get("layer"))
    found = dict(given)
    for param in op.params:
        value = given.get(param.name)
        if isinstance(value, ConceptName):
            new = op.flow.creates == param.name
            choose = _new if new else _known
            found[param.name] = choose(value, layer if op.flow.at or not new else None, concepts)
        elif param.type in (t.CONCEPTS, t.PARTS) and isinstance(value, tuple):
            found[param.name] = tuple(
                _known(item, layer, concepts) if isinstance(item, ConceptName) else item for item in value
            )
    return found


def _known(asked: ConceptName, layer: int | None, concepts: Mapping[str, Concept]) -> ConceptName:
    name, at = at_layer(asked.name)
    wanted = layer if at is None else at
    first = concepts.get(name)
    if first is None or wanted is None:
        return asked
    if first.layer == wanted:
        return ConceptName(name)
    other = f"{name}@L{wanted}"
    return ConceptName(other) if other in concepts else asked


def _new(asked: ConceptName, layer: int | None, concepts: Mapping[str, Concept]) -> ConceptName:
    name, at = at_layer(asked.name)
    if at is not None and at != layer:
        where = f"at L{layer}" if layer is not None else "without a layer"
        raise ElError(f"`{asked}` is a state at L{at}, and this makes one {where}", code="EL511",
                      hint=f"leave the layer out of the name: `{name}`")  # fmt: skip
    first = concepts.get(name)
    if first is None or layer is None or first.layer == layer or first.fits:
        return ConceptName(name)
    return ConceptName(f"{name}@L{layer}")

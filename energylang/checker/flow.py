"""What a command uses and what it leaves behind: surveyed layers, basins that are gone, concepts, checkpoints.

Everything is read off the operation's declaration (its parameters' types, its effects and its ``Flow``). First
the command's arguments are looked at as *uses*, in the order in which they are written; then the facts are
changed to those after it. A finding in a procedure's body that is about an argument is reported where the
argument was written, in the call.
"""

from __future__ import annotations

from typing import Any

from energylang.diagnostics import Note
from energylang.diagnostics.source import Span
from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import at_layer, coerce, suggestion
from energylang.signature.declaration import Effect, Op, Param
from energylang.signature.settings import SETTINGS, of_setting
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName
from energylang.syntax import ast

from .facts import (
    ALL,
    UNKNOWN,
    Facts,
    Fit,
    Loss,
    Made,
    OneOf,
    Place,
    Symbol,
    Undoable,
    basin_layer,
    layer_index,
    replace,
)
from .known import argument_value, known, layer_of
from .scope import SOME_MODEL, Argument, Call, LayerOf
from .walk import Walk

ELSEWHERE = "name a basin (L14.B7) or a seed; concepts are written by `inject-concept` and `steer`"
DIRECTIONS = (t.BASIN, t.BASINS, t.DIRECTION, t.KEY, t.SOURCE)
MAX_PLACES = 100


def blamed(walk: Walk, node: ast.Expr) -> ast.Expr:
    """Where a value was written: for a procedure's parameter, the argument in the call."""
    scope = walk.scope
    for depth in range(len(walk.arguments) - 1, -1, -1):
        if not isinstance(node, ast.Name):
            break
        home = scope.place(node.name)
        if home is None or node.name not in (home.parameters or ()):
            break
        given = walk.arguments[depth].get(node.name)
        if given is None:
            break
        node, scope = given, walk.callers[depth]
    return node


def find(
    walk: Walk, code: str, message: str, node: ast.Expr | Span, help: str = "", notes: tuple[Note, ...] = ()
) -> None:
    """Report a finding once for each place; with the calls that lead there."""
    if not walk.model.reachable:
        return
    span = node if isinstance(node, Span) else node.span
    if not isinstance(node, Span):
        origin = blamed(walk, node)
        if origin is not node:
            notes = (*notes, Note("used here", span))
            span = origin.span
    if span is (node if isinstance(node, Span) else node.span):
        for call in walk.call_spans[::-1][:3]:
            notes = (*notes, Note("in the call here", call))
    place = (code, id(span.source), span.start)
    if not walk.quiet:
        if place in walk.found:
            return
        walk.found.add(place)
    walk.problems.add(code, message, span, help=help, notes=notes)


def know(walk: Walk, **changes: Any) -> None:
    walk.model = replace(walk.model, facts=replace(walk.model.facts, **changes))


def learn(walk: Walk, facts: Facts) -> None:
    walk.model = replace(walk.model, facts=facts)


def uses(walk: Walk, node: ast.Command, op: Op, call: Call) -> None:
    """Look at what the command's arguments refer to."""
    layer = layer_value(walk, op, call)
    walk.unsurveyed.clear()
    for param in op.params:
        place = call.places.get(param.name)
        value = argument_value(walk, call.arguments.get(param.name))
        if place is not None and (value is None or isinstance(value, Symbol)):
            _of_another_model(walk, value, place)
        if value is None:
            continue
        setting = argument_value(walk, call.arguments.get("setting")) if param.type == t.VALUE else None
        if isinstance(setting, str) and setting in SETTINGS:
            param = of_setting(param, setting)
        for item in value if isinstance(value, tuple) and not isinstance(value, Symbol) else (value,):
            for one in item if isinstance(item, OneOf) else (item,):
                _use(walk, op, param, one, place or node, layer)
    if place := call.places.get("layer"):
        layer_known(walk, place)


def layer_value(walk: Walk, op: Op, call: Call) -> Any:
    """The layer a command is about: a number, a symbol, ``ALL`` or ``None``."""
    value = argument_value(walk, call.arguments.get("layer"))
    if value in ("layers", "auto"):
        return ALL if value == "layers" else None
    index = layer_index(value)
    return index if index is not None else value if isinstance(value, Symbol) else None


def layer_known(walk: Walk, place: ast.Expr) -> None:
    """EL302 for layers whose numbers are kept in variables or ranges; those that are written out are reported
    there."""
    if isinstance(place, ast.Int | ast.List):
        return
    if isinstance(place, ast.Range) and isinstance(place.last, ast.LayerRef):
        return
    value = known(walk, place)
    several = isinstance(value, list | tuple | OneOf) and not isinstance(value, Symbol)
    for item in value if several else (value,):
        if type(item) is int or (isinstance(item, Layer) and not isinstance(place, ast.LayerRef)):
            _still_there(walk, item, place)


_REFERENCES = (t.LAYER, t.BASIN, t.SURVEYED, t.NEURON, t.HEAD, t.PART)


def _of_another_model(walk: Walk, value: Any, place: ast.Expr) -> None:
    """EL302 for a layer, or a basin's, of which only the run knows which it is, where a model with more layers was
    loaded before: it may be one that is not there any more."""
    header, kind = walk.model.header, walk.kinds.get(id(place), t.ANY)
    kind = kind.item if isinstance(kind, t.ListOf) else kind
    if header is None or kind not in _REFERENCES or walk.most_layers <= len(header.dims):
        return
    layer = layer_of(walk, value) if isinstance(value, Symbol) else None
    if isinstance(layer, int) and layer < len(header.dims):
        return
    find(walk, "EL302", f"this may be of a layer that {header.spec} does not have: a model with more layers was loaded "
         "before", place, help="take layers and basins from the model that is loaded: `for l in layers:`")  # fmt: skip


def _still_there(walk: Walk, value: Any, place: ast.Expr) -> bool:
    """EL302 for a number of a layer, and for a layer, or a basin's or a neuron's, out of a variable: since these were
    written down, where they are reported if they are missing, another model may have been loaded."""
    header = walk.model.fewest
    layer = value if isinstance(value, int) else value.index if isinstance(value, Layer) else value.layer
    if header is None or 0 <= layer < len(header.dims) or not walk.model.reachable:
        return True
    span = blamed(walk, place).span
    here = ("EL302", id(span.source), span.start)
    if here not in walk.found and (isinstance(value, int) or (layer, header.spec) not in walk.missing):
        if not walk.quiet:
            walk.found.add(here)
        layer_exists(walk, layer, span)
    return False


def _use(walk: Walk, op: Op, param: Param, value: Any, place: ast.Expr, layer: Any) -> None:
    if isinstance(value, Layer | BasinRef | PartName) and isinstance(place, ast.Name | ast.Index | ast.Field):
        if not _still_there(walk, value, place):
            return
        if isinstance(value, PartName):
            part = ast.PartRef(blamed(walk, place).span, value.layer, value.kind, value.index)
            if (value, walk.model.header.spec if walk.model.header else "") not in walk.missing:
                part_exists(walk, part)
    if param.type == t.CHOICE and isinstance(value, str) and isinstance(place, ast.Name):
        try:
            coerce(param, value)
        except ElError as error:
            find(walk, error.code, error.message, place, help=error.hint)
    if param.type in (t.INT, t.FLOAT, t.STRENGTH) and isinstance(value, int | float):
        _in_range(walk, param, value, place)
    if param.type in (t.BASIN, t.SOURCE) and isinstance(value, int) and not isinstance(value, bool):
        value = (
            BasinRef(layer, value)
            if isinstance(layer, int)
            else Symbol(("basin", layer, value))
            if layer
            else None
        )
    if param.type == t.CONCEPT and isinstance(value, ConceptName):
        if param.name == op.flow.creates:
            _recapture(walk, op, value.name, place, layer)
        else:
            # Where only its texts are read, a concept of any layer will do, and so it does in layers of a stream.
            anywhere = op.flow.reads or (_is_stream(walk) and _takes_layers(op))
            concept_used(walk, value.name, place, None if anywhere else layer)
    elif param.type in (t.DIRECTION, t.KEY, t.SOURCE) and isinstance(value, ConceptName):
        landscape = param.type == t.DIRECTION and Effect.LANDSCAPE in op.effects
        if _is_stream(walk) and landscape and walk.facts.now.given(layer) is not None:
            find(
                walk, "EL252", f"@{value.name} is a direction of the stream, and `{op.name}` needs one of the "
                "landscape that the layer was given", place, help=ELSEWHERE,
            )  # fmt: skip
        concept_used(walk, value.name, place, layer)
    elif param.type in (t.CONCEPTS, t.PARTS):
        _parts_used(walk, op, value, place, layer)
    elif param.type in DIRECTIONS and isinstance(value, BasinRef | Symbol):
        basin_used(walk, op, value, place)
        header = walk.model.header
        exists = header is None or (isinstance(value, BasinRef) and value.layer < len(header.dims))
        if isinstance(value, BasinRef) and isinstance(layer, int) and value.layer != layer and exists:
            find(walk, "EL206", f"{value} is not a basin of L{layer}", place,
                      help=f"a basin knows its layer: `{op.name} {value}` is enough")  # fmt: skip


def _is_stream(walk: Walk) -> bool:
    """Whether the layers of the model are known to be a stream."""
    return walk.model.header is not None and "landscape" not in walk.model.header.capabilities


def _takes_layers(op: Op) -> bool:
    return any(param.type == t.LAYERS for param in op.params)


def _parts_used(walk: Walk, op: Op, value: Any, place: ast.Expr, layer: Any) -> None:
    """Concepts and basins, one or a list of them. A stream pushes along a concept at layers of other numbers, too."""
    stream = walk.model.header.spec if walk.model.header is not None and _is_stream(walk) else ""
    for item in value if type(value) is tuple else (value,):
        if isinstance(item, ConceptName):
            concept_used(walk, item.name, place, None if stream or not isinstance(layer, int) else layer)
        elif isinstance(item, BasinRef | Symbol):
            if stream and isinstance(item, BasinRef) and walk.facts.now.given(item.layer) is None:
                if Effect.LANDSCAPE not in op.effects:  # of these it is said already
                    walk.problems.add(
                        "EL251", f"L{item.layer} of {stream} has no landscape", place.span,
                        help=f"`fit L{item.layer}` gives it one; neurons (L0.N3), heads (L0.H1) and concepts are "
                        "parts of a stream",
                    )  # fmt: skip
            else:
                basin_used(walk, op, item, place)


def _in_range(walk: Walk, param: Param, value: float, place: ast.Expr) -> None:
    if isinstance(value, bool) or isinstance(place, ast.Int | ast.Float | ast.Command):
        return  # reported where it is written
    try:
        coerce(param, value)
    except ElError as error:
        if error.code == "EL206":
            find(walk, error.code, error.message, place, help=error.hint)


def basin_used(walk: Walk, op: Op, basin: Any, place: ast.Expr) -> None:
    """EL303 and EL304: is the layer surveyed, and is the basin still there?"""
    if isinstance(basin, BasinRef) and not _still_there(walk, basin, place):
        return
    facts = walk.facts
    layer = basin_layer(basin)
    layer = layer.index if isinstance(layer, Layer) else layer
    if (
        layer is not None
        and ALL not in facts.surveyed
        and layer not in facts.surveyed
        and facts.now.given(layer) is None
        and not _is_stream(walk)  # that is what is said of it
        and layer not in walk.unsurveyed
        and not place.span.source.legacy  # there, and here, such a layer is surveyed on the way
    ):
        walk.unsurveyed.add(layer)
        shown = f"L{layer}" if isinstance(layer, int) else "this layer"
        written = _written(place)
        how = "has not been surveyed" if layer not in facts.seen and ALL not in facts.seen else (
            "has not been surveyed on every way to here"
        )  # fmt: skip
        named = str(basin) if isinstance(basin, BasinRef) else f"`{written}`"
        find(walk,
            "EL303", f"{named} is a basin of a layer that {how}" if shown == "this layer" else
            f"{named} names a basin of {shown}, which {how}", place,
            help=f"`survey {shown if isinstance(layer, int) else written.partition('.')[0]}` first: "
            "it finds the basins and gives them their numbers",
        )  # fmt: skip
    if isinstance(basin, BasinRef) and _beyond(walk, basin, place):
        return
    loss = walk.facts.now.gone.get(basin) if isinstance(basin, BasinRef | Symbol) else None
    if loss is not None:
        _gone(walk, op, basin, loss, place)
    else:
        basin_shaken(walk, basin, place)


def _beyond(walk: Walk, basin: BasinRef, place: ast.Expr) -> bool:
    """EL304 for a number that a landscape does not have: it was given so many basins, and neither a survey nor an edit
    has added any since."""
    facts, given = walk.facts, walk.facts.now.fitted.get(basin.layer)
    if given is None or given.basins is None or basin.basin < given.basins:
        return False
    if {ALL, basin.layer} & {*facts.seen, *facts.now.edited}:
        return False
    find(
        walk, "EL304", f"there is no {basin}: `fit` gave L{basin.layer} {given.basins} basins", place,
        help=f"they are L{basin.layer}.B0 to L{basin.layer}.B{given.basins - 1}",
    )  # fmt: skip
    return True


def without_landscape(walk: Walk, op: Op, call: Call) -> tuple[int | None] | None:
    """The layer of a stream that the operation needs a landscape of, and that was not given one on every way to here
    (``None`` in its place: any layer); nothing where all is well."""
    now = walk.facts.now
    if ALL in now.fitted:
        return None
    meant: list[Any] = []
    for param in op.params:
        value = argument_value(walk, call.arguments.get(param.name))
        for item in value if isinstance(value, tuple | OneOf) and not isinstance(value, Symbol) else (value,):
            if isinstance(item, BasinRef):
                meant.append(item.layer)
            elif param.type == t.LAYER and param.name in ("layer", "to"):
                meant.append(layer_index(item))
    for layer in meant:
        if isinstance(layer, int) and now.given(layer) is None:
            return (layer,)
    return None if now.fitted else (None,)


def _gone(walk: Walk, op: Op, basin: Any, loss: Loss, place: ast.Expr) -> None:
    shown = str(basin) if isinstance(basin, BasinRef) else f"`{_written(blamed(walk, place))}`"
    if loss.span is None:
        find(walk, "EL304", f"{shown} {loss.text}", place, help="`undo` brings it back")
        return
    if loss.by == walk.commands[-1] and loss.span == walk.places[-1]:
        find(walk,
            "EL304", f"{shown} is {loss.said} here again: an earlier round of the loop has {loss.said} it",
            place, help=f"move `{op.name}` out of the loop, or let it depend on the loop's variable",
        )  # fmt: skip
        return
    line = loss.span.start_location()[0]
    elsewhere = "" if loss.span.source is place.span.source else f" of {loss.span.source.name}"
    message = f"{shown} was {loss.said} in line {line}{elsewhere}"
    if not loss.sure:
        message = f"{shown} may be gone: on some way to here it was {loss.said} in line {line}{elsewhere}"
    notes = [Note(f"{loss.said} here", loss.span)]
    notes += [Note("in the call here", call) for call in loss.calls[::-1][:2]]
    again = f"it cannot be {loss.said} twice; " if op.flow.ends and op.flow.said == loss.said else ""
    find(walk,
        "EL304", message, place, notes=tuple(notes),
        help=again + "`undo` or `rollback` brings it back; `survey` shows which basins there are now",
    )  # fmt: skip


def concept_used(walk: Walk, name: str, place: ast.Expr, layer: Any) -> None:
    """EL305: does the concept exist on every path, and at this layer?"""
    now = walk.facts.now
    written, (name, at) = name, at_layer(name)
    if at is not None:
        layer_exists(walk, at, place.span)
        if isinstance(layer, int) and layer != at:
            find(walk, "EL305", f"`{written}` is a state at L{at}, and this is L{layer}", place,
                 help=f"`{name}` alone means its state at L{layer}")  # fmt: skip
            return
        layer = at
    made = now.concepts.get(name)
    if made is None:
        if now.open or name in walk.lost:
            return
        _no_concept(walk, name, place, layer)
    elif isinstance(layer, int) and None not in made.layers and layer not in made.layers:
        where = " or ".join(f"L{index}" for index in sorted(i for i in made.layers if i is not None))
        notes = (Note("captured here", made.span),) if made.span is not None else ()
        find(walk,
            "EL305", f"`{name}` was captured at {where}, and this is L{layer}", place, notes=notes,
            help=f"a concept has a state for each layer where it is captured: use {where}, or capture it at "
            f"L{layer}, too",
        )  # fmt: skip


def _no_concept(walk: Walk, name: str, place: ast.Expr, layer: Any) -> None:
    elsewhere = walk.captured.get(name)
    if elsewhere is not None and elsewhere.start < place.span.start:
        find(walk,
            "EL305", f"on some way to here no concept `{name}` has been captured", place,
            notes=(Note("captured here, on other ways", elsewhere),),
            help="capture it before the branch, or in every branch",
        )  # fmt: skip
        return
    notes = (Note("it is captured only here", elsewhere),) if elsewhere is not None else ()
    similar = suggestion(name, walk.facts.now.concepts)
    at = f"L{layer}" if isinstance(layer, int) else "L0"
    find(walk, "EL305", f"no concept `{name}` has been captured", place, notes=notes,
              help=similar or f'`capture {at} {name} "some text"` first')  # fmt: skip


def _recapture(walk: Walk, op: Op, name: str, place: ast.Expr, layer: Any) -> None:
    """A name with a layer means that layer."""
    plain, at = at_layer(name)
    if at is None or layer == at:
        return
    where = f"captures it at L{layer}" if isinstance(layer, int) else "names no layer"
    if op.flow.at and not isinstance(layer, int):
        return
    find(walk, "EL305", f"`{name}` is a state at L{at}, and this {where}", place,
         help=f"leave the layer out of the name: `{plain}`")  # fmt: skip


def leaves(walk: Walk, node: ast.Command, op: Op, call: Call) -> None:
    """Change the facts to those after the command."""
    flow, key = op.flow, walk.commands[-1]
    symbol = Symbol(("do", key))
    if key in walk.evaluated:
        learn(walk, walk.facts.renewed(symbol))
    walk.evaluated.add(key)
    layer = layer_value(walk, op, call)
    walk.layers_of_commands[key] = layer
    if flow.travels:
        _travel(walk, op, call, node)
        return
    if flow.live:
        heard(walk, node.name_span)
    if flow.keeps:
        walk.kept = (walk.kept or frozenset()) | frozenset(walk.facts.now.edited.values())
    if flow.surveys:
        surveyed = ALL if flow.surveys == ALL else _layer(walk, call, flow.surveys)
        if surveyed is not None:
            facts = walk.facts
            know(walk, surveyed=facts.surveyed | {surveyed}, seen=facts.seen | {surveyed})
            steadied(walk, surveyed)
    if op.effects & (Effect.EDITS | Effect.CHANGES):
        before, number = walk.facts.now, walk.facts.next_number
        edit = Effect.EDITS in op.effects
        where = layer if layer is not None else ALL  # one that only the run knows, or several
        learn(walk, walk.facts.changed(_after(walk, node, op, call, before, layer), where if edit else None))
        if number is not None and len(walk.numbered) < MAX_PLACES:
            place = Place(walk.facts.now, walk.facts.past)
            known = walk.numbered.get(number)
            walk.numbered[number] = place.join(known) if known is not None else place


def _layer(walk: Walk, call: Call, name: str) -> Any:
    value = argument_value(walk, call.arguments.get(name))
    if value == "layers":
        return ALL
    index = layer_index(value)
    return index if index is not None else value if isinstance(value, Symbol) else None


def _after(walk: Walk, node: ast.Command, op: Op, call: Call, now: Undoable, layer: Any) -> Undoable:
    flow, key = op.flow, walk.commands[-1]
    if Effect.EDITS in op.effects:
        where = layer if layer is not None else ALL
        span = node.span
        if walk.call_spans and walk.call_spans[0].source is not span.source:
            span = walk.call_spans[0]  # of an imported procedure, the call is of interest
        now = replace(
            now,
            edited={**now.edited, where: span},
            staged={**now.staged, where: span},
            shaken={**now.shaken, where: span},
        )
    if flow.fits:
        given = _layer(walk, call, flow.fits)
        param = op.param("basins")
        assert param is not None  # or it plants nothing
        count = (
            argument_value(walk, call.arguments["basins"]) if "basins" in call.arguments else param.default
        )
        # What was known of the basins of another landscape there is no more.
        gone = {basin: loss for basin, loss in now.gone.items() if loss.layer != given}
        many = Fit(count if type(count) is int else None)
        shaken = {key: span for key, span in now.shaken.items() if key != given}
        where = ALL if given is None else given
        now = replace(now, fitted={**now.fitted, where: many}, gone=gone, shaken=shaken)
    if flow.ends:
        basin = argument_value(walk, call.arguments.get(flow.ends))
        param = op.param(flow.ends)
        if isinstance(basin, int) and param is not None and param.type == t.BASIN and isinstance(layer, int):
            basin = BasinRef(layer, basin)
        if isinstance(basin, OneOf):
            for one in basin:
                where = layer_of(walk, one)
                loss = Loss(walk.places[-1], flow.said, where, key, tuple(walk.call_spans), sure=False)
                now = replace(now, gone={**now.gone, one: loss})
        if isinstance(basin, BasinRef | Symbol):
            where = layer_of(walk, basin) if not isinstance(basin, BasinRef) else basin.layer
            loss = Loss(walk.places[-1], flow.said, where, key, tuple(walk.call_spans))
            now = replace(now, gone={**now.gone, basin: loss})
    if flow.revives:
        now = revived(now, ALL if flow.revives == ALL else _layer(walk, call, flow.revives))
    if flow.applies:
        applied = _layer(walk, call, flow.applies)
        left = {} if applied == ALL else {k: v for k, v in now.staged.items() if k not in (applied, ALL)}
        now = replace(now, staged=left)
    if flow.creates:
        concept = argument_value(walk, call.arguments.get(flow.creates))
        name = (
            concept.name
            if isinstance(concept, ConceptName)
            else concept
            if isinstance(concept, str)
            else None
        )
        if name is not None:
            name = at_layer(name)[0]
            at = _layer(walk, call, flow.at) if flow.at else None
            known = now.concepts.get(name)
            layers = frozenset((at if isinstance(at, int) else None,))
            if known is not None and flow.at:
                layers = known.layers if layers == {None} else known.layers | layers
            walk.captured.setdefault(name, node.span)
            now = replace(now, concepts={**now.concepts, name: Made(node.span, layers)})
        else:  # `import-concept`, where the file says which; a name that only the run knows
            now = replace(now, open=True)
    return now


def _travel(walk: Walk, op: Op, call: Call, node: ast.Command) -> None:
    facts, travel = walk.facts, op.flow.travels
    if travel == "again":  # what it does is in the history
        learn(walk, replace(UNKNOWN, values=facts.values, assigned=facts.assigned))
        return
    if travel in ("undo", "redo"):
        given = call.arguments.get("steps")
        steps = 1 if given is None else argument_value(walk, given)
        if travel == "redo":
            learn(walk, facts.redone(steps if isinstance(steps, int) else None))
        elif isinstance(steps, Layer):
            _undo_layer(walk, steps.index, node)
        else:
            _nothing_to_undo(walk, node)
            learn(walk, walk.facts.undone(steps if isinstance(steps, int) else None))
        return
    if travel == "goto":
        number = argument_value(walk, call.arguments.get("id"))
        place = _numbered(walk, number) if isinstance(number, int) else None
        last = facts.next_number
        if place is None and isinstance(number, int) and last is not None and number >= last:
            find(walk, "EL306", f"there is no operation {number} yet", call.places.get("id") or node,
                      help=f"up to here the history has the places 0 to {last - 1}")  # fmt: skip
        learn(walk, facts.at(place) if place is not None else facts.travelled(*walk.everywhere))
        return
    name = argument_value(walk, call.arguments.get("name"))
    if not isinstance(name, str):
        if travel == "rollback":
            learn(walk, facts.travelled(*walk.everywhere, *facts.checkpoints.values()))
        else:
            know(walk, any_checkpoint=True)
        return
    if travel == "checkpoint":
        place = Place(facts.now, facts.past)
        if len(walk.everywhere) < MAX_PLACES:
            walk.everywhere.append(place)
        walk.named.setdefault(name, node.span)
        know(walk, checkpoints={**facts.checkpoints, name: place})
        return
    if name in facts.checkpoints:
        learn(walk, facts.at(facts.checkpoints[name]))
    elif facts.any_checkpoint:
        learn(walk, facts.travelled(*walk.everywhere))
    else:
        _no_checkpoint(walk, name, call.places.get("name") or node)


def _numbered(walk: Walk, number: int) -> Place | None:
    """The place after the operation with this number, where the history up to here is known."""
    now, past = walk.facts.now, walk.facts.past
    if walk.facts.next_number is None:
        return None
    while past is not None:
        if past.number == number:
            return Place(now, past)
        if past.number is None:
            break
        now, past = past.before, past.parent
    else:
        if number == 0:
            return Place(now, None)
    return walk.numbered.get(number)


def _undo_layer(walk: Walk, layer: int, node: ast.Command) -> None:
    facts = walk.facts
    past, found = facts.past, facts.now.open
    while past is not None and not found:
        found = past.layer is not None and (past.layer == layer or not isinstance(past.layer, int))
        past = past.parent
    if not found and not (walk.model.header is not None and layer >= len(walk.model.header.dims)):
        find(walk, "EL306", f"there is no edit of L{layer} to undo", node.span,
                  help="nothing has edited this layer before; `undo` takes back the last change")  # fmt: skip
    learn(walk, facts.edit_undone(layer))


def _nothing_to_undo(walk: Walk, node: ast.Command) -> None:
    facts = walk.facts
    if not facts.fresh or not walk.model.loaded:
        return
    message = "there is nothing to undo: nothing has been changed"
    if facts.past is not None:
        message = "on some way to here there is nothing to undo: nothing has been changed"
    find(walk, "EL306", message, node.span,
              help="`undo` takes back edits, settings, captures and the like; looking changes nothing")  # fmt: skip
    know(walk, fresh=False)


def _no_checkpoint(walk: Walk, name: str, place: ast.Expr) -> None:
    elsewhere = walk.named.get(name)
    if elsewhere is not None:
        find(walk,
            "EL306", f"on some way to here there is no checkpoint `{name}`", place,
            notes=(Note("it is made here, on other ways", elsewhere),),
            help="make it before the branch; loading a model ends all checkpoints",
        )  # fmt: skip
        return
    known = walk.facts.checkpoints
    listed = f"there are: {', '.join(known)}" if known else f"`checkpoint {name}` makes it"
    find(walk, "EL306", f"there is no checkpoint `{name}` yet", place, help=suggestion(name, known) or listed)


def basin_shaken(walk: Walk, basin: Any, place: ast.Expr) -> None:
    """EL402: the layer was edited since the survey that numbered the basin."""
    layer = layer_of(walk, basin)
    shaken = walk.facts.now.shaken
    edit = shaken.get(layer) or shaken.get(ALL) if layer is not None else None
    if edit is None:
        return
    find(walk,
        "EL402", f"L{layer} was edited after it was surveyed: whether {basin} is still there shows when it runs"
        if isinstance(layer, int) and isinstance(basin, BasinRef)
        else "its layer was edited after it was surveyed: whether the basin is still there shows when it runs",
        place, notes=(Note("edited here", edit),), help="`survey` the layer again before using its basins",
    )  # fmt: skip
    steadied(walk, layer)


def steadied(walk: Walk, layer: Any) -> None:
    now = walk.facts.now
    if now.shaken:
        left = {} if layer == ALL else {k: v for k, v in now.shaken.items() if k not in (layer, ALL)}
        know(walk, now=replace(now, shaken=left))


def heard(walk: Walk, span: Span) -> None:
    """EL401: the live model does not have the staged edits."""
    now = walk.facts.now
    if not now.staged:
        return
    layer, edit = next(iter(now.staged.items()))
    shown = f"L{layer}" if isinstance(layer, int) else "layers"
    find(walk, "EL401", "this hears the live model, which does not have the edit that is staged", span,
              notes=(Note("staged here, never applied", edit),), help=f"`apply {shown}` first")  # fmt: skip
    know(walk, now=replace(now, staged={}))


def needs_model(walk: Walk, span: Span, what: str) -> None:
    """Report EL301 where no model is loaded, once for each way of not being loaded."""
    if walk.quiet:
        return
    if not walk.model.loaded:
        walk.problems.add("EL301", f"{what} needs a model, and none is loaded", span,
                          help='begin with `load "tiny"`')  # fmt: skip
        walk.model = SOME_MODEL.with_values(walk.facts)
    elif not walk.model.on_every_path:
        walk.problems.add("EL301", f"{what} needs a model, and on some way to here none is loaded", span,
                          help="load one before the branch, or in every branch")  # fmt: skip
        walk.model = replace(
            SOME_MODEL.with_values(walk.facts), header=walk.model.header, least=walk.model.least
        )


def check_layer(walk: Walk, value: Argument, place: ast.Expr | None) -> None:
    """Report EL302 for a layer, or a basin's layer, that the model does not have."""
    node = value.basin if isinstance(value, LayerOf) else value
    if isinstance(node, ast.LayerRef):
        index = node.index
    elif isinstance(node, ast.BasinRef | ast.PartRef):
        index = node.layer
    elif isinstance(node, ast.Int):
        index = node.value
    elif isinstance(node, ast.List):
        for item in node.items:
            check_layer(walk, item, item)
        return
    else:
        return
    layer_exists(walk, index, (place or node).span)


def layer_exists(walk: Walk, index: int, span: Span) -> None:
    header = walk.model.fewest
    if walk.model.header is None:  # it may be kept until a model is known
        walk.most_layers = max(walk.most_layers, index + 1)
    if index < 0:
        walk.problems.add("EL302", f"there is no layer {index}", span, help="layers are numbered from L0")
        return
    if header is None or index < len(header.dims):
        return
    if not walk.quiet:
        walk.missing.add((index, header.spec))
    count = len(header.dims)
    has = "one layer, L0" if count == 1 else f"layers L0 to L{count - 1}"
    may = "" if walk.model.header is not None else ", and on some way it is what is loaded here"
    walk.problems.add("EL302", f"there is no L{index}: {header.spec} has {has}{may}", span)


def part_exists(walk: Walk, node: ast.PartRef) -> None:
    """A neuron or a head is there, in a layer that is there (EL302, EL308)."""
    layer_exists(walk, node.layer, node.span)
    header = walk.model.header
    if header is None or node.layer >= len(header.dims) or "text" not in header.capabilities:
        return  # the operation says what is missing
    what, count = header.parts(node.kind, node.layer)
    if node.index < count:
        return
    if not walk.quiet:
        walk.missing.add((PartName(node.layer, node.kind, node.index), header.spec))
    has = f"{count:,} {what}, {node.kind}0 to {node.kind}{count - 1}" if count else f"no {what}"
    walk.problems.add("EL308", f"there is no {node.kind}{node.index}: L{node.layer} has {has}", node.span)


def revived(now: Undoable, layer: Any) -> Undoable:
    """After a layer's original weight is back."""
    if layer is None:
        return now
    if layer == ALL:
        return replace(now, gone={}, edited={}, staged={}, shaken={})

    def rest(items: Any) -> dict[Any, Any]:
        return {key: value for key, value in items.items() if key != layer}

    return replace(
        now,
        gone={key: loss for key, loss in now.gone.items() if loss.layer != layer},
        edited=rest(now.edited),
        staged=rest(now.staged),
        shaken=rest(now.shaken),
    )


def _written(place: ast.Expr) -> str:
    return " ".join(place.span.text.split())

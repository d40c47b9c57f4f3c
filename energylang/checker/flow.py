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
from energylang.signature.coerce import coerce, suggestion
from energylang.signature.declaration import Effect, Op, Param
from energylang.signature.values import BasinRef, ConceptName, Layer
from energylang.syntax import ast

from .facts import ALL, Facts, Loss, Made, OneOf, Place, Symbol, Undoable, basin_layer, layer_index, replace
from .known import Known
from .scope import Call

DIRECTIONS = (t.BASIN, t.DIRECTION)
MAX_PLACES = 100


class Flows(Known):
    """The part of the checker that follows basins, concepts and checkpoints."""

    # -- reporting ---------------------------------------------------------------------------------

    def blamed(self, node: ast.Expr) -> ast.Expr:
        """Where a value was written: for a procedure's parameter, the argument in the call."""
        scope = self.scope
        for depth in range(len(self.arguments) - 1, -1, -1):
            if not isinstance(node, ast.Name):
                break
            home = scope.place(node.name)
            if home is None or node.name not in home.parameters:
                break
            given = self.arguments[depth].get(node.name)
            if given is None:
                break
            node, scope = given, self.callers[depth]
        return node

    def find(
        self, code: str, message: str, node: ast.Expr | Span, help: str = "", notes: tuple[Note, ...] = ()
    ) -> None:
        """Report a finding once for each place; with the calls that lead there."""
        if not self.model.reachable:
            return
        span = node if isinstance(node, Span) else node.span
        if not isinstance(node, Span):
            origin = self.blamed(node)
            if origin is not node:
                notes = (*notes, Note("used here", span))
                span = origin.span
        if span is (node if isinstance(node, Span) else node.span):
            for call in self.call_spans[::-1][:3]:
                notes = (*notes, Note("in the call here", call))
        place = (code, id(span.source), span.start)
        if not self.quiet:
            if place in self.found:
                return
            self.found.add(place)
        self.problems.add(code, message, span, help=help, notes=notes)

    def know(self, **changes: Any) -> None:
        self.model = replace(self.model, facts=replace(self.model.facts, **changes))

    def learn(self, facts: Facts) -> None:
        self.model = replace(self.model, facts=facts)

    # -- uses --------------------------------------------------------------------------------------

    def uses(self, node: ast.Command, op: Op, call: Call) -> None:
        """Look at what the command's arguments refer to."""
        layer = self.layer_value(op, call)
        self.unsurveyed.clear()
        for param in op.params:
            place = call.places.get(param.name)
            value = self.argument_value(call.arguments.get(param.name))
            if value is None:
                continue
            for item in value if isinstance(value, tuple) and not isinstance(value, Symbol) else (value,):
                for one in item if isinstance(item, OneOf) else (item,):
                    self._use(op, param, one, place or node, layer)
        if place := call.places.get("layer"):
            self.layer_known(place)

    def layer_value(self, op: Op, call: Call) -> Any:
        """The layer a command is about: a number, a symbol, ``ALL`` or ``None``."""
        value = self.argument_value(call.arguments.get("layer"))
        if value in ("layers", "auto"):
            return ALL if value == "layers" else None
        index = layer_index(value)
        return index if index is not None else value if isinstance(value, Symbol) else None

    def layer_known(self, place: ast.Expr) -> None:
        """EL302 for layers whose numbers are kept in variables or ranges; those that are written out are reported
        there."""
        if isinstance(place, ast.Int | ast.List):
            return
        value, header = self.known(place), self.model.header
        several = isinstance(value, list | tuple) and not isinstance(value, Symbol)
        numbers = [item for item in (value if several else (value,)) if type(item) is int]
        missing = [n for n in numbers if header is not None and not 0 <= n < len(header.dims)]
        if not missing or not self.model.reachable:
            return
        span = self.blamed(place).span
        here = ("EL302", id(span.source), span.start)
        if here not in self.found:
            if not self.quiet:
                self.found.add(here)
            self.layer_exists(missing[0], span)

    def _use(self, op: Op, param: Param, value: Any, place: ast.Expr, layer: Any) -> None:
        if param.type in (t.INT, t.FLOAT, t.STRENGTH) and isinstance(value, int | float):
            self._in_range(param, value, place)
        if param.type == t.BASIN and isinstance(value, int) and not isinstance(value, bool):
            value = (
                BasinRef(layer, value)
                if isinstance(layer, int)
                else Symbol(("basin", layer, value))
                if layer
                else None
            )
        if param.type == t.CONCEPT and isinstance(value, ConceptName):
            if param.name == op.flow.creates:
                self._recapture(op, value.name, place, layer)
            else:
                # Where only its texts are read, a concept of any layer will do.
                self.concept_used(value.name, place, None if op.flow.reads else layer)
        elif param.type == t.DIRECTION and isinstance(value, ConceptName):
            self.concept_used(value.name, place, layer)
        elif param.type in DIRECTIONS and isinstance(value, BasinRef | Symbol):
            self.basin_used(op, value, place)
            header = self.model.header
            exists = header is None or (isinstance(value, BasinRef) and value.layer < len(header.dims))
            if isinstance(value, BasinRef) and isinstance(layer, int) and value.layer != layer and exists:
                self.find("EL206", f"{value} is not a basin of L{layer}", place,
                          help=f"a basin knows its layer: `{op.name} {value}` is enough")  # fmt: skip

    def _in_range(self, param: Param, value: float, place: ast.Expr) -> None:
        if isinstance(value, bool) or isinstance(place, ast.Int | ast.Float | ast.Command):
            return  # reported where it is written
        try:
            coerce(param, value)
        except ElError as error:
            if error.code == "EL206":
                self.find(error.code, error.message, place, help=error.hint)

    def basin_used(self, op: Op, basin: Any, place: ast.Expr) -> None:
        """EL303 and EL304: is the layer surveyed, and is the basin still there?"""
        facts = self.facts
        layer = basin_layer(basin)
        layer = layer.index if isinstance(layer, Layer) else layer
        if (
            layer is not None
            and ALL not in facts.surveyed
            and layer not in facts.surveyed
            and layer not in self.unsurveyed
            and not place.span.source.legacy  # there, and here, such a layer is surveyed on the way
        ):
            self.unsurveyed.add(layer)
            shown = f"L{layer}" if isinstance(layer, int) else "this layer"
            written = _written(place)
            how = "has not been surveyed" if layer not in facts.seen and ALL not in facts.seen else (
                "has not been surveyed on every way to here"
            )  # fmt: skip
            named = str(basin) if isinstance(basin, BasinRef) else f"`{written}`"
            self.find(
                "EL303", f"{named} is a basin of a layer that {how}" if shown == "this layer" else
                f"{named} names a basin of {shown}, which {how}", place,
                help=f"`survey {shown if isinstance(layer, int) else written.partition('.')[0]}` first: "
                "it finds the basins and gives them their numbers",
            )  # fmt: skip
        loss = self.facts.now.gone.get(basin)
        if loss is not None:
            self._gone(op, basin, loss, place)
        else:
            self.basin_shaken(basin, place)

    def _gone(self, op: Op, basin: Any, loss: Loss, place: ast.Expr) -> None:
        shown = str(basin) if isinstance(basin, BasinRef) else f"`{_written(self.blamed(place))}`"
        if loss.span is None:
            self.find("EL304", f"{shown} {loss.text}", place, help="`undo` brings it back")
            return
        if loss.by == self.commands[-1] and loss.span == self.places[-1]:
            self.find(
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
        self.find(
            "EL304", message, place, notes=tuple(notes),
            help=again + "`undo` or `rollback` brings it back; `survey` shows which basins there are now",
        )  # fmt: skip

    def concept_used(self, name: str, place: ast.Expr, layer: Any) -> None:
        """EL305: does the concept exist on every path, and at this layer?"""
        now = self.facts.now
        made = now.concepts.get(name)
        if made is None:
            if now.open or name in self.lost:
                return
            self._no_concept(name, place, layer)
        elif isinstance(layer, int) and None not in made.layers and layer not in made.layers:
            where = " or ".join(f"L{index}" for index in sorted(i for i in made.layers if i is not None))
            notes = (Note("captured here", made.span),) if made.span is not None else ()
            self.find(
                "EL305", f"`{name}` was captured at {where}, and this is L{layer}", place, notes=notes,
                help=f"a concept is a direction of its own layer: use {where}, or capture it at L{layer} "
                "under another name",
            )  # fmt: skip

    def _no_concept(self, name: str, place: ast.Expr, layer: Any) -> None:
        elsewhere = self.captured.get(name)
        if elsewhere is not None and elsewhere.start < place.span.start:
            self.find(
                "EL305", f"on some way to here no concept `{name}` has been captured", place,
                notes=(Note("captured here, on other ways", elsewhere),),
                help="capture it before the branch, or in every branch",
            )  # fmt: skip
            return
        notes = (Note("it is captured only here", elsewhere),) if elsewhere is not None else ()
        similar = suggestion(name, self.facts.now.concepts)
        at = f"L{layer}" if isinstance(layer, int) else "L0"
        self.find("EL305", f"no concept `{name}` has been captured", place, notes=notes,
                  help=similar or f'`capture {at} {name} "some text"` first')  # fmt: skip

    def _recapture(self, op: Op, name: str, place: ast.Expr, layer: Any) -> None:
        """A concept has one layer."""
        made = self.facts.now.concepts.get(name)
        if (
            made is None
            or not op.flow.at
            or None in made.layers
            or not isinstance(layer, int)
            or layer in made.layers
        ):
            return
        where = " or ".join(f"L{index}" for index in sorted(i for i in made.layers if i is not None))
        notes = (Note("captured here", made.span),) if made.span is not None else ()
        self.find("EL305", f"`{name}` is a concept of {where}, and this would capture it at L{layer}", place,
                  notes=notes, help="a concept lives at one layer: choose another name for this one")  # fmt: skip

    # -- what a command leaves behind --------------------------------------------------------------

    def leaves(self, node: ast.Command, op: Op, call: Call) -> None:
        """Change the facts to those after the command."""
        flow, key = op.flow, self.commands[-1]
        symbol = Symbol(("do", key))
        if key in self.evaluated:
            self.learn(self.facts.renewed(symbol))
        self.evaluated.add(key)
        layer = self.layer_value(op, call)
        self.layers_of_commands[key] = layer
        if flow.travels:
            self._travel(op, call, node)
            return
        if flow.live:
            self.heard(node.name_span)
        if flow.keeps:
            self.kept = True
        if flow.surveys:
            surveyed = ALL if flow.surveys == ALL else self._layer(call, flow.surveys)
            if surveyed is not None:
                facts = self.facts
                self.know(surveyed=facts.surveyed | {surveyed}, seen=facts.seen | {surveyed})
                self.steadied(surveyed)
        if op.effects & (Effect.EDITS | Effect.CHANGES):
            before, number = self.facts.now, self.facts.next_number
            edit = Effect.EDITS in op.effects
            self.learn(
                self.facts.changed(self._after(node, op, call, before, layer), layer if edit else None)
            )
            if number is not None and len(self.numbered) < MAX_PLACES:
                place = Place(self.facts.now, self.facts.past)
                known = self.numbered.get(number)
                self.numbered[number] = place.join(known) if known is not None else place

    def _layer(self, call: Call, name: str) -> Any:
        value = self.argument_value(call.arguments.get(name))
        if value == "layers":
            return ALL
        index = layer_index(value)
        return index if index is not None else value if isinstance(value, Symbol) else None

    def _after(self, node: ast.Command, op: Op, call: Call, now: Undoable, layer: Any) -> Undoable:
        flow, key = op.flow, self.commands[-1]
        if Effect.EDITS in op.effects:
            where = layer if layer is not None else ALL
            span = node.span
            if self.call_spans and self.call_spans[0].source is not span.source:
                span = self.call_spans[0]  # of an imported procedure, the call is of interest
            now = replace(
                now,
                edited={**now.edited, where: span},
                staged={**now.staged, where: span},
                shaken={**now.shaken, where: span},
            )
        if flow.ends:
            basin = self.argument_value(call.arguments.get(flow.ends))
            param = op.param(flow.ends)
            if (
                isinstance(basin, int)
                and param is not None
                and param.type == t.BASIN
                and isinstance(layer, int)
            ):
                basin = BasinRef(layer, basin)
            if isinstance(basin, OneOf):
                for one in basin:
                    where = self.layer_of(one)
                    loss = Loss(self.places[-1], flow.said, where, key, tuple(self.call_spans), sure=False)
                    now = replace(now, gone={**now.gone, one: loss})
            if isinstance(basin, BasinRef | Symbol):
                where = self.layer_of(basin) if not isinstance(basin, BasinRef) else basin.layer
                loss = Loss(self.places[-1], flow.said, where, key, tuple(self.call_spans))
                now = replace(now, gone={**now.gone, basin: loss})
        if flow.revives:
            now = revived(now, ALL if flow.revives == ALL else self._layer(call, flow.revives))
        if flow.applies:
            applied = self._layer(call, flow.applies)
            left = {} if applied == ALL else {k: v for k, v in now.staged.items() if k not in (applied, ALL)}
            now = replace(now, staged=left)
        if flow.creates:
            concept = self.argument_value(call.arguments.get(flow.creates))
            name = (
                concept.name
                if isinstance(concept, ConceptName)
                else concept
                if isinstance(concept, str)
                else None
            )
            if name is not None:
                at = self._layer(call, flow.at) if flow.at else None
                known = now.concepts.get(name)
                layers = frozenset((at if isinstance(at, int) else None,))
                if known is not None and flow.at and (layers == {None} or not layers & known.layers):
                    layers = known.layers
                self.captured.setdefault(name, node.span)
                now = replace(now, concepts={**now.concepts, name: Made(node.span, layers)})
            elif flow.creates not in call.arguments:
                now = replace(now, open=True)  # import-concept: the file says which
        return now

    # -- travelling through the history --------------------------------------------------------------

    def _travel(self, op: Op, call: Call, node: ast.Command) -> None:
        facts, travel = self.facts, op.flow.travels
        if travel in ("undo", "redo"):
            given = call.arguments.get("steps")
            steps = 1 if given is None else self.argument_value(given)
            if travel == "redo":
                self.learn(facts.redone(steps if isinstance(steps, int) else None))
            elif isinstance(steps, Layer):
                self._undo_layer(steps.index, node)
            else:
                self._nothing_to_undo(node)
                self.learn(self.facts.undone(steps if isinstance(steps, int) else None))
            return
        if travel == "goto":
            number = self.argument_value(call.arguments.get("id"))
            place = self._numbered(number) if isinstance(number, int) else None
            last = facts.next_number
            if place is None and isinstance(number, int) and last is not None and number >= last:
                self.find("EL306", f"there is no operation {number} yet", call.places.get("id") or node,
                          help=f"up to here the history has the places 0 to {last - 1}")  # fmt: skip
            self.learn(facts.at(place) if place is not None else facts.travelled(*self.everywhere))
            return
        name = self.argument_value(call.arguments.get("name"))
        if not isinstance(name, str):
            if travel == "rollback":
                self.learn(facts.travelled(*self.everywhere, *facts.checkpoints.values()))
            else:
                self.know(any_checkpoint=True)
            return
        if travel == "checkpoint":
            place = Place(facts.now, facts.past)
            if len(self.everywhere) < MAX_PLACES:
                self.everywhere.append(place)
            self.named.setdefault(name, node.span)
            self.know(checkpoints={**facts.checkpoints, name: place})
            return
        if name in facts.checkpoints:
            self.learn(facts.at(facts.checkpoints[name]))
        elif facts.any_checkpoint:
            self.learn(facts.travelled(*self.everywhere))
        else:
            self._no_checkpoint(name, call.places.get("name") or node)

    def _numbered(self, number: int) -> Place | None:
        """The place after the operation with this number, where the history up to here is known."""
        now, past = self.facts.now, self.facts.past
        if self.facts.next_number is None:
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
        return self.numbered.get(number)

    def _undo_layer(self, layer: int, node: ast.Command) -> None:
        facts = self.facts
        past, found = facts.past, facts.now.open
        while past is not None and not found:
            found = past.layer is not None and (past.layer == layer or not isinstance(past.layer, int))
            past = past.parent
        if not found and not (self.model.header is not None and layer >= len(self.model.header.dims)):
            self.find("EL306", f"there is no edit of L{layer} to undo", node.span,
                      help="nothing has edited this layer before; `undo` takes back the last change")  # fmt: skip
        self.learn(facts.edit_undone(layer))

    def _nothing_to_undo(self, node: ast.Command) -> None:
        facts = self.facts
        if not facts.fresh or not self.model.loaded:
            return
        message = "there is nothing to undo: nothing has been changed"
        if facts.past is not None:
            message = "on some way to here there is nothing to undo: nothing has been changed"
        self.find("EL306", message, node.span,
                  help="`undo` takes back edits, settings, captures and the like; looking changes nothing")  # fmt: skip
        self.know(fresh=False)

    def _no_checkpoint(self, name: str, place: ast.Expr) -> None:
        elsewhere = self.named.get(name)
        if elsewhere is not None:
            self.find(
                "EL306", f"on some way to here there is no checkpoint `{name}`", place,
                notes=(Note("it is made here, on other ways", elsewhere),),
                help="make it before the branch; loading a model ends all checkpoints",
            )  # fmt: skip
            return
        known = self.facts.checkpoints
        listed = f"there are: {', '.join(known)}" if known else f"`checkpoint {name}` makes it"
        self.find(
            "EL306", f"there is no checkpoint `{name}` yet", place, help=suggestion(name, known) or listed
        )

    # -- warnings that follow from the facts ------------------------------------------------------------

    def basin_shaken(self, basin: Any, place: ast.Expr) -> None:
        """EL402: the layer was edited since the survey that numbered the basin."""
        layer = self.layer_of(basin)
        shaken = self.facts.now.shaken
        edit = shaken.get(layer) or shaken.get(ALL) if layer is not None else None
        if edit is None:
            return
        self.find(
            "EL402", f"L{layer} was edited after it was surveyed: whether {basin} is still there shows when it runs"
            if isinstance(layer, int) and isinstance(basin, BasinRef)
            else "its layer was edited after it was surveyed: whether the basin is still there shows when it runs",
            place, notes=(Note("edited here", edit),), help="`survey` the layer again before using its basins",
        )  # fmt: skip
        self.steadied(layer)

    def steadied(self, layer: Any) -> None:
        now = self.facts.now
        if now.shaken:
            left = {} if layer == ALL else {k: v for k, v in now.shaken.items() if k not in (layer, ALL)}
            self.know(now=replace(now, shaken=left))

    def heard(self, span: Span) -> None:
        """EL401: the live model does not have the staged edits."""
        now = self.facts.now
        if not now.staged:
            return
        layer, edit = next(iter(now.staged.items()))
        shown = f"L{layer}" if isinstance(layer, int) else "layers"
        self.find("EL401", "this hears the live model, which does not have the edit that is staged", span,
                  notes=(Note("staged here, never applied", edit),), help=f"`apply {shown}` first")  # fmt: skip
        self.know(now=replace(now, staged={}))


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

"""Commands: which operation or procedure a command means, and what it needs from the model and does to it."""

from __future__ import annotations

import difflib
from abc import abstractmethod

from energylang.diagnostics.source import Span
from energylang.errors import ElError
from energylang.models.header import read_header
from energylang.ops import TABLE
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import UNKNOWN_VALUE, Effect, Op
from energylang.signature.saving import unsavable
from energylang.syntax import ast

from .binding import NO_CONSTANT, bind, bind_procedure, constant, known
from .facts import UNKNOWN, replace
from .flow import Flows
from .old import Use, differences, quoted
from .scope import SOME_MODEL, Argument, Call, Given, LayerOf, ModelState, Procedure


class Commands(Flows):
    """The part of the checker that knows operations and procedures."""

    @abstractmethod
    def enter(self, procedure: Procedure, call: Span, binding: Call | None = None, key: int = 0) -> t.Type:
        """Check a procedure's body as called here; the type of what it returns."""

    def command(self, node: ast.Command, key: int | None = None) -> t.Type:
        """Check a command; the type of its result. ``key`` is what it is known by, if not by its own id."""
        key, node = key or id(node), self.joined(node)
        name = node.name
        op = operation_named(name) if name not in self.procedures else None
        if op is not None:
            self.commands.append(key)
            self.places.append(node.span)
            call = bind(self, node, op)
            self.calls[key] = call
            kind = self.effects(node, op, call)
            self.commands.pop()
            self.places.pop()
            return kind
        procedure = self.procedures.get(name)
        if procedure is not None:
            call = self.calls[key] = bind_procedure(self, node, procedure)
            return self.enter(procedure, node.name_span, call, key)
        self.unknown(node)
        return t.ANY

    def joined(self, node: ast.Command) -> ast.Command:
        """Two words that are one operation's name (``causal scan``) as one."""
        if node.arguments and isinstance(node.arguments[0], ast.Name) and not node.arguments[0].bracketed:
            name = f"{node.name} {node.arguments[0].name}"
            if operation_named(name) is not None:
                span = node.name_span.to(node.arguments[0].span)
                return ast.Command(node.span, name, span, node.arguments[1:], node.keywords)
        return node

    def unknown(self, node: ast.Command) -> None:
        known = [*TABLE, *self.procedures]
        help = suggestion(node.name, known) or suggestion(node.name.lower(), known)
        if not help and (close := difflib.get_close_matches(node.name.split("-")[0], known, n=1, cutoff=0.5)):
            help = f"did you mean `{close[0]}`?"
        if node.arguments and isinstance(node.arguments[0], ast.Int | ast.Float):
            number = node.arguments[0].value
            if number < 0 and self.scope.find(node.name) is not None:
                help = f"binary minus needs a blank on both sides: `{node.name} - {-number}`"
        if (self.incomplete and not help) or node.name in self.lost:
            return
        self.problems.add(
            "EL101",
            f"there is no operation `{node.name}`",
            node.name_span,
            help=help or "`el ops` lists them",
        )

    def effects(self, node: ast.Command, op: Op, call: Call) -> t.Type:
        """What an operation needs from the model, and what it does to it."""
        if op.needs_model:
            self.needs_model(node.name_span, f"`{op.name}`")
        header = self.model.header
        if Effect.TEXT in op.effects and header is not None and "text" not in header.capabilities:
            self.problems.add(
                "EL250",
                f"`{op.name}` needs a text model, and {header.spec} has weights only",
                node.name_span,
                help='load a text model such as "tiny", or one made by `el train`',
            )
        self.uses(node, op, call)
        if node.span.source.legacy:
            self.compare_with_old(node, op, call)
        if op.name == "save":
            path = self.path_in(call, "path")
            self.written.add(path if path is not None else "*")
            objection = unsavable(path, not self.left_out(call, "session")) if path is not None else None
            if objection is not None and not self.quiet:
                self.problems.add(objection.code, objection.message, node.span, help=objection.hint)
        if Effect.LOADS in op.effects:
            values, assigned = self.facts.values, self.facts.assigned
            self.model = self.header_of(call, node)
            if not self.left_out(
                call, "session"
            ):  # what was done in the session that comes back is not known
                self.model = replace(self.model, facts=UNKNOWN)
            self.know(values=values, assigned=assigned)
        self.leaves(node, op, call)
        return op.result_type

    def compare_with_old(self, node: ast.Command, op: Op, call: Call) -> None:
        """Say what the command meant in the published tool, where that was something else."""
        given = {name: known(value) for name, value in call.arguments.items()}
        given = {name: None if value is UNKNOWN_VALUE else value for name, value in given.items()}
        use = Use(
            op.name, given, quoted(call.places), frozenset(self.old_settings), frozenset(self.old_guards)
        )
        for name, difference in differences(use):
            if name not in self.told and not self.quiet:
                self.told.add(name)
                self.problems.add("EL407", difference.message, node.span, help=difference.help)
        if op.name == "set":
            self.old_settings.add(str(given.get("setting")))
        if op.name == "guard":
            self.old_guards.add(str(given.get("what")))

    def left_out(self, call: Call, name: str) -> bool:
        """Whether a switch is off for certain."""
        value: Argument | None = call.arguments.get(name)
        if isinstance(value, Given):
            return value.value is False
        return value is None or (isinstance(value, ast.Expr) and constant(value) is False)

    def path_in(self, call: Call, name: str) -> str | None:
        value: Argument | None = call.arguments.get(name)
        if isinstance(value, Given):
            return str(value.value)
        found = constant(value) if isinstance(value, ast.Expr) else NO_CONSTANT
        return found if isinstance(found, str) else None

    def header_of(self, call: Call, node: ast.Command) -> ModelState:
        spec = self.path_in(call, "model")
        if spec is None or spec in self.written or "*" in self.written:
            return ModelState(True)
        try:
            return ModelState(True, read_header(spec, self.base))
        except ElError as error:
            span = node.arguments[0].span if node.arguments else node.span
            self.problems.add(error.code, error.message, span, help=error.hint)
            return SOME_MODEL

    def needs_model(self, span: Span, what: str) -> None:
        """Report EL301 where no model is loaded, once for each way of not being loaded."""
        if self.quiet:
            return
        if not self.model.loaded:
            self.problems.add("EL301", f"{what} needs a model, and none is loaded", span,
                              help='begin with `load "tiny"`')  # fmt: skip
            self.model = SOME_MODEL.with_values(self.facts)
        elif not self.model.on_every_path:
            self.problems.add("EL301", f"{what} needs a model, and on some way to here none is loaded", span,
                              help="load one before the branch, or in every branch")  # fmt: skip
            self.model = replace(SOME_MODEL.with_values(self.facts), header=self.model.header)

    def check_layer(self, value: Argument, place: ast.Expr | None) -> None:
        """Report EL302 for a layer, or a basin's layer, that the model does not have."""
        node = value.basin if isinstance(value, LayerOf) else value
        if isinstance(node, ast.LayerRef):
            index = node.index
        elif isinstance(node, ast.BasinRef):
            index = node.layer
        elif isinstance(node, ast.Int):
            index = node.value
        elif isinstance(node, ast.List):
            for item in node.items:
                self.check_layer(item, item)
            return
        else:
            return
        self.layer_exists(index, (place or node).span)

    def layer_exists(self, index: int, span: Span) -> None:
        header = self.model.header
        if index < 0:
            self.problems.add("EL302", f"there is no layer {index}", span, help="layers are numbered from L0")
            return
        if header is None or index < len(header.dims):
            return
        count = len(header.dims)
        has = "one layer, L0" if count == 1 else f"layers L0 to L{count - 1}"
        self.problems.add("EL302", f"there is no L{index}: {header.spec} has {has}", span)

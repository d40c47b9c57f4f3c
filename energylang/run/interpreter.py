"""The interpreter: carries out a checked program against a session.

It walks the tree in the order in which the checker did. What is displayed, and how, is the caller's
business: every value that a statement shows is handed to ``show``. The first statement that fails ends the
run with a ``ScriptError`` that says where in the script it happened, through which procedures, and in which
rounds of which loops; with ``keep_going`` the run goes on with the next statement of the script, and all errors
are reported at its end.

``attempt`` is a transaction of the session and of the variables: what fails in it leaves nothing behind, except
files. ``with`` is a scope of the session (``Session.scoped``). An interrupt undoes both on its way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import singledispatchmethod
from importlib import import_module
from typing import Any

from energylang.checker import Checked
from energylang.checker.binding import NO_CONSTANT, constant
from energylang.checker.scope import Argument, Call, Given, LayerOf, Procedure, SeedOf
from energylang.diagnostics import Diagnostic, Note
from energylang.diagnostics.source import Span
from energylang.errors import ElError
from energylang.results import Attempted, Basin, Record, Result, Table, table_of
from energylang.signature import types as t
from energylang.signature.coerce import as_statement, check_name, coerce, describe, type_name
from energylang.signature.declaration import Op, Param
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, Seed
from energylang.syntax import ast
from energylang.workspace.ledger import shown as without_secrets
from energylang.workspace.workspace import Workspace

from .arithmetic import MAX_ITEMS, MAX_TEXT, arithmetic, bounded, compare, is_number, shown
from .files import as_checked
from .functions import calculated, items_of
from .rows import ERROR, in_cell, rows_of, with_errors_last

Show = Callable[[Any, ast.Statement, str], None]
"""Gets a value to display, its statement, and the statement's text with the values of variables filled in."""
Kept = Callable[[Result, ast.Let], None]
"""Gets a result that a variable was given, and the statement that did so."""


class ScriptError(Exception):
    """A script that did not check, or failed while it ran. ``diagnostics`` says why and where."""

    def __init__(self, diagnostics: list[Diagnostic], *, checked: bool) -> None:
        self.diagnostics = diagnostics
        self.checked = checked
        super().__init__(self._text())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback (see ``ElError``)."""
        lines: list[str] = import_module("energylang.render.raised").raised(self)
        return lines

    def _text(self) -> str:
        lines = []
        for item in self.diagnostics:
            place = ""
            if item.span is not None:
                line, column = item.span.start_location()
                place = f"{item.span.source.name}:{line}:{column}: "
            lines.append(f"{place}[{item.code}] {item.message}" + (f" ({item.help})" if item.help else ""))
        return "\n".join(lines)


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Interpreter:
    """Runs one program."""

    def __init__(
        self,
        session: Workspace,
        checked: Checked,
        show: Show,
        begin: Callable[[str], None] | None = None,
        *,
        keep_going: bool = False,
        kept: Kept | None = None,
    ) -> None:
        self.begin = begin or (lambda line: None)
        self.kept = kept or (lambda value, statement: None)
        self.keep_going = keep_going
        self.session = session
        self.checked = checked
        self.show = show
        self.scopes: list[dict[str, Any]] = [session.variables]
        self.calls = checked.calls
        self.hushed = False  # inside of `quiet:`
        self.rounds = 0  # how many loops there are around the statement
        self.gathered: dict[int, tuple[ast.Statement, str, list[Record]]] = {}  # records that they display
        self.frames: list[Note] = []  # the procedures and loops around the statement, outermost first
        self.line = ""  # the last command, as it goes into the history
        self.given: list[list[Record]] = [[]]  # rows of the script, and of the cells around the statement
        self.failed: list[Diagnostic] = []  # why cells of sweeps failed
        self.last_row: ast.Row | None = None
        self.held = 0  # how many attempts and cells there are around the statement

    def display(self, value: Any, statement: ast.Statement, line: str) -> None:
        """Show a value, unless it stands in a ``quiet:`` block."""
        if self.hushed and not isinstance(statement, ast.Print):
            return
        if isinstance(value, Record) and self.rounds:
            self.gathered.setdefault(id(statement), (statement, line, []))[2].append(value)
            return
        self.show(value, statement, line)

    @contextmanager
    def _loop(self) -> Iterator[None]:
        """A loop. The records that its rounds display are one table, shown when the outermost loop ends."""
        self.rounds += 1
        try:
            yield
        finally:
            self.rounds -= 1
            if not self.rounds and self.gathered:
                found, self.gathered = self.gathered, {}
                for statement, line, records in found.values():
                    self.show(table_of(records), statement, line)

    def run(self) -> Any:
        """Run every statement; the value of the last command that stands alone."""
        last = None
        try:
            for statement in self.checked.program.statements:
                try:
                    last = self.outermost(statement)
                except ScriptError as error:
                    self.failed += error.diagnostics
                    if not self.keep_going:
                        break
        finally:
            if self.given[0] and self.last_row is not None:
                self.show(self.rows, self.last_row, "row")
        if self.failed:
            raise ScriptError(self.failed, checked=True)
        return last

    @property
    def rows(self) -> Table:
        """What the script has given with ``row``, outside of sweeps."""
        return table_of(self.given[0])

    def outermost(self, statement: ast.Statement) -> Any:
        """Run a statement of the script itself."""
        try:
            return self.statement(statement)
        except RecursionError:
            problem = ElError("calls and blocks are nested too deeply to be followed", code="EL521")
            raise self.failure(problem, statement.span) from None

    # -- errors -----------------------------------------------------------------------------------

    @contextmanager
    def _at(self, span: Span) -> Iterator[None]:
        """Say where an error happened."""
        try:
            yield
        except ElError as error:
            raise self.failure(error, span) from error

    def failure(self, error: ElError, span: Span) -> ScriptError:
        notes = tuple(reversed(self.frames))
        return ScriptError([Diagnostic(error.code, error.message, span, notes, error.hint)], checked=True)

    # -- statements ---------------------------------------------------------------------------------

    def block(self, statements: tuple[ast.Statement, ...], variables: dict[str, Any] | None = None) -> None:
        self.scopes.append(dict(variables or {}))
        try:
            for statement in statements:
                self.statement(statement)
        finally:
            self.scopes.pop()

    @singledispatchmethod
    def statement(self, node: ast.Statement) -> Any:
        raise TypeError(f"no rule for {type(node).__name__}")

    @statement.register
    def _(self, node: ast.Do) -> Any:
        expr = node.command
        self.line = ""
        if isinstance(expr, ast.Sweep):
            found, whole = self.sweep(expr)
            self.display(whole, node, _head(expr))
            return found
        if isinstance(expr, ast.Command) and id(expr) not in self.calls:
            with self._at(expr.span):
                value = self.variable(expr.name)
        else:
            value = self.value(expr)
        if value is not None:
            call = self.calls.get(id(expr))
            command = call is not None and isinstance(call.target, Op)
            self.display(value, node, self.line if command else " ".join(node.span.text.split()))
        return value

    @statement.register
    def _(self, node: ast.Let) -> None:
        value = self.value(node.value)
        if node.new:
            self.scopes[-1][node.name] = value
        else:
            self.assign(node.name, value, node.name_span)
        if isinstance(value, Result) and not self.hushed:
            self.kept(value, node)

    def assign(self, name: str, value: Any, span: Span) -> None:
        for scope in reversed(self.scopes):
            if name in scope:
                scope[name] = value
                return
        with self._at(span):
            raise self.unset(name)

    @statement.register
    def _(self, node: ast.Row) -> None:
        values = self.value(node.value)
        if node.name is None:
            with self._at(node.span):
                if not isinstance(values, Record):
                    raise ElError(f"{type_name(values)} is no row of a table", code="EL201")
                bounded([*self.given[-1][-1:], *values.values()])
                if len(self.given[-1]) * len(values) > MAX_ITEMS:
                    raise ElError(f"a table holds at most {MAX_ITEMS:,} cells", code="EL521")
            self.given[-1].append(values)
            self.last_row = node
            return
        with self._at(node.span):
            table = self.variable(node.name)
            if not isinstance(table, Table) or not isinstance(values, Record):
                raise ElError(f"{type_name(values)} is no row of a table", code="EL201")
            if (len(table.rows) + 1) * (len(table.columns) + len(values)) > MAX_ITEMS:
                raise ElError(f"a table holds at most {MAX_ITEMS:,} cells", code="EL521")
            bounded([*table.rows[-1:], *values.values()])
        self.assign(node.name, table.with_row(values), node.name_span)

    @statement.register
    def _(self, node: ast.Quiet) -> None:
        before, self.hushed = self.hushed, True
        try:
            for statement in node.body:
                self.statement(statement)
        finally:
            self.hushed = before

    @statement.register
    def _(self, node: ast.Print) -> None:
        value = self.value(node.value)
        if isinstance(value, list) and value and all(isinstance(item, Record) for item in value):
            value = table_of(value)
        self.display(value if isinstance(value, str) else shown(value), node, "")

    @statement.register
    def _(self, node: ast.Require) -> None:
        condition, values = node.condition, ""
        if isinstance(condition, ast.Compare) and len(condition.rest) == 1:
            operator, operand = condition.rest[0]
            left, right = self.value(condition.first), self.value(operand)
            with self._at(condition.span):
                met = compare(operator, left, right)
            values = f" ({shown(left)} {operator} {shown(right)} is false)"
        else:
            met = self.condition(condition)
        if not met:
            text = f"`{' '.join(condition.span.text.split())}` does not hold{values}"
            code = "EL520" if node.word == "require" else "EL522"
            if node.message is None:
                raise self.failure(ElError(text, code=code), node.span)
            own = str(self.value(node.message))
            self.frames.append(Note(text, condition.span))
            try:
                raise self.failure(ElError(own or text, code=code), node.span)
            finally:
                self.frames.pop()

    @statement.register
    def _(self, node: ast.Pass) -> None:
        pass

    @statement.register
    def _(self, node: ast.If) -> None:
        for condition, body in node.branches:
            if self.condition(condition):
                self.block(body)
                return
        self.block(node.otherwise)

    @statement.register
    def _(self, node: ast.For) -> None:
        items = self.items(node.items)
        with self._loop():
            for item in items:
                self.frames.append(Note(f"in the round with {node.name} = {_short(item)}", node.name_span))
                try:
                    self.block(node.body, {node.name: item})
                finally:
                    self.frames.pop()

    def items(self, node: ast.Expr) -> list[Any]:
        """The items of a list, the rows of a table."""
        found = self.value(node)
        with self._at(node.span):
            if not isinstance(found, list | tuple | Table):
                raise ElError(f"`for` goes through a list, not through {type_name(found)}", code="EL201")
            return items_of(found)

    @statement.register
    def _(self, node: ast.Attempt) -> None:
        name = self.value(node.name) if node.name is not None else ""
        before = [(scope, dict(scope)) for scope in self.scopes]
        at = self.session.timeline.current
        returned: _Return | None = None
        rows = len(self.given[-1])
        self.held += 1
        try:
            with self.session.transaction():
                try:
                    self.block(node.body)
                except _Return as early:
                    returned = early
                except ScriptError:
                    undone = self.session.timeline.current.depth - at.depth
                    raise
        except ScriptError as error:
            _put_back(before)
            del self.given[-1][rows:]
            self.held -= 1
            item = error.diagnostics[0]
            said = item.message
            line = item.span.start_location()[0] if item.span is not None else 0
            head = f"attempt {describe(name)}" if name else "attempt"
            self.display(Attempted(str(name), item.code, said, line, max(undone, 0)), node, head)
            self.block(node.otherwise, {"error": said})
            return
        except BaseException:
            self.held -= 1
            raise
        self.held -= 1
        if returned is not None:
            raise returned

    @statement.register
    def _(self, node: ast.With) -> None:
        command = node.command
        call = self.calls[id(command)]
        if not isinstance(command, ast.Command) or not isinstance(call.target, Op):
            raise TypeError("the checker lets operations through, nothing else")
        with ExitStack() as scope:
            with self._at(command.span):
                values, given, statement = self.prepare(command, call.target, call)
                self.begin(without_secrets(call.target, values, statement))
                result = scope.enter_context(
                    self.session.scoped(call.target, values, statement=statement, given=given)
                )
            self.display(result, node, f"with {statement}")
            self.block(node.body)

    @statement.register
    def _(self, node: ast.Def) -> None:
        pass

    @statement.register
    def _(self, node: ast.Return) -> None:
        raise _Return(self.value(node.value) if node.value is not None else None)

    @statement.register
    def _(self, node: ast.Import) -> None:
        for statement in self.checked.constants.get(id(node), ()):
            self.statement(statement)

    # -- sweeps ----------------------------------------------------------------------------------------

    def sweep(self, node: ast.Sweep) -> tuple[Table, Table]:
        """Run every cell from the state before the sweep: the table of the cells that ended well, and the one in which
        those that failed stand, too. Where some failed the run fails at its end; an ``attempt``, or the cell of a sweep
        around this one, does at once."""
        cells = list(self.cells(node.axes, {}))
        good: list[Record] = []
        all_of_them: list[Record] = []
        failures: list[Diagnostic] = []
        begin = self.begin
        for number, values in enumerate(cells, 1):
            self.begin = _counting(begin, f"cell {number} of {len(cells)}: ")
            said = ", ".join(f"{name} = {_short(value)}" for name, value in values.items())
            self.frames.append(Note(f"in the cell with {said}", node.axes[0].name_span))
            try:
                rows = [in_cell(values, row) for row in self.cell(node, values)]
                good += rows
                all_of_them += rows
            except ScriptError as error:
                failures += error.diagnostics
                all_of_them.append(in_cell(values, {ERROR: error.diagnostics[0].message}))
            finally:
                self.begin = begin
                self.frames.pop()
            with self._at(node.span):
                if len(all_of_them) * max(1, len(all_of_them[-1]) if all_of_them else 1) > MAX_ITEMS:
                    raise ElError(f"a table holds at most {MAX_ITEMS:,} cells", code="EL521")
        if failures and self.held:
            raise ScriptError(failures, checked=True)
        self.failed += failures
        return table_of(good), with_errors_last(all_of_them)

    def cells(self, axes: tuple[ast.Axis, ...], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The values of the variables in every cell, the last one changing fastest."""
        if not axes:
            yield values
            return
        self.scopes.append(values)
        try:
            items = self.items(axes[0].items)
        finally:
            self.scopes.pop()
        for item in items:
            yield from self.cells(axes[1:], {**values, axes[0].name: item})

    def cell(self, node: ast.Sweep, values: dict[str, Any]) -> list[Record]:
        """The rows of one cell. The session and the variables are afterwards what they were before."""
        scopes, frames = list(self.scopes), len(self.frames)
        before = [(scope, dict(scope)) for scope in scopes]
        hushed, rounds, last = self.hushed, self.rounds, None
        self.hushed, self.rounds = True, 0
        self.held += 1
        self.given.append([])
        self.scopes = [*scopes, dict(values)]
        try:
            with self.session.apart():
                for statement in node.body:
                    last = self.statement(statement)
            return self.given[-1] if node.rows else rows_of(last)
        finally:
            self.given.pop()
            self.held -= 1
            self.hushed, self.rounds, self.scopes = hushed, rounds, scopes
            del self.frames[frames:]
            _put_back(before)

    # -- commands --------------------------------------------------------------------------------------

    def call(self, node: ast.Command | ast.Name, call: Call) -> Any:
        if isinstance(call.target, Procedure):
            return self.procedure(node, call.target, call)
        with self._at(node.span):
            return self.operation(node, call.target, call)

    def operation(self, node: ast.Command | ast.Name, op: Op, call: Call) -> Any:
        values, given, statement = self.prepare(node, op, call)
        self.begin(without_secrets(op, values, statement))
        result = self.session.execute(op, values, statement=statement, given=given)
        self.line = statement
        if op.flow.travels == "again" and self.session.ledger.entries:
            self.line = f"{statement}: {self.session.ledger.entries[-1]['statement']}"
        return as_checked(result, call.shape) if call.shape is not None else result

    def prepare(
        self, node: ast.Command | ast.Name, op: Op, call: Call
    ) -> tuple[dict[str, Any], dict[str, Any], str]:
        """The values of an operation's parameters as the script has them and as the operation gets them, and the
        statement for the history."""
        values: dict[str, Any] = {}
        given: dict[str, Any] = {}
        for param in op.params:
            if param.name not in call.arguments:
                continue
            argument = call.arguments[param.name]
            values[param.name] = value = self.argument(argument)
            span = argument.span if isinstance(argument, ast.Expr) else node.span
            with self._at(span):
                given[param.name] = coerce(param, value, layer=given.get("layer"))
        return values, given, self.written(node, call, op, values)

    def written(self, node: ast.Command | ast.Name, call: Call, op: Op, values: dict[str, Any]) -> str:
        """The statement for the history: as typed, or with the values in place of what was computed."""
        if all(
            _written_out(argument) or ((param := op.param(name)) is not None and param.type == t.DATA)
            for name, argument in call.arguments.items()
        ):
            return " ".join(node.span.text.split())
        return as_statement(op, values)

    def argument(self, argument: Argument) -> Any:
        if isinstance(argument, Given):
            return argument.value
        if isinstance(argument, LayerOf):
            basin = self.value(argument.basin)
            if isinstance(basin, BasinRef | Basin | PartName):
                return Layer(basin.layer)
            with self._at(argument.basin.span):
                raise ElError(f"a layer is missing: {describe(basin)} is not a basin", code="EL202")
        if isinstance(argument, SeedOf):
            number = self.value(argument.number)
            with self._at(argument.number.span):
                return Seed(coerce(_SEED, number))
        return self.value(argument)

    def procedure(self, node: ast.Command | ast.Name, procedure: Procedure, call: Call) -> Any:
        given = {name: self.argument(argument) for name, argument in call.arguments.items()}
        scopes, self.scopes = self.scopes, [self.scopes[0]]
        calls, self.calls = self.calls, procedure.calls
        self.frames.append(Note(f"in `{procedure.name}`, called here", node.span))
        try:
            self.block(procedure.definition.body, self.parameters(node, procedure, given))
        except _Return as result:
            return result.value
        finally:
            self.frames.pop()
            self.scopes, self.calls = scopes, calls
        return None

    def parameters(
        self, node: ast.Command | ast.Name, procedure: Procedure, given: dict[str, Any]
    ) -> dict[str, Any]:
        """The values of a procedure's parameters: what was given, else the defaults."""
        variables: dict[str, Any] = {}
        for parameter, (name, kind, _required) in zip(
            procedure.definition.parameters, procedure.parameters, strict=True
        ):
            default = parameter.default
            if name in given:
                value = given[name]
            elif isinstance(default, ast.Name) and id(default) not in procedure.calls:
                value = default.name
            else:
                value = self.value(default) if default is not None else None
            with self._at(node.span):
                choices = ("auto",) if kind == t.STRENGTH else ()
                fitting = coerce(Param(name, kind, "", choices=choices), value)
            variables[name] = Layer(fitting) if kind == t.LAYER else fitting
        return variables

    # -- expressions ---------------------------------------------------------------------------------------

    def variable(self, name: str) -> Any:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        if name == "none":
            return None
        if name == "table":
            return Table()
        raise self.unset(name)

    @staticmethod
    def unset(name: str) -> ElError:
        """Only a run that goes on after an error gets here: the checker knows all names."""
        return ElError(
            f"`{name}` has no value, because the statement that sets it failed", code="EL523",
            hint="without --keep-going the run ends at the first error",
        )  # fmt: skip

    def condition(self, node: ast.Expr) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            with self._at(node.span):
                raise ElError(f"a condition is true or false, not {type_name(value)}", code="EL201")
        return value

    @singledispatchmethod
    def value(self, node: ast.Expr) -> Any:
        raise TypeError(f"no rule for {type(node).__name__}")

    @value.register(ast.Int)
    @value.register(ast.Float)
    @value.register(ast.Bool)
    def _(self, node: ast.Int | ast.Float | ast.Bool) -> Any:
        return node.value

    @value.register
    def _(self, node: ast.Text) -> str:
        parts = [part if isinstance(part, str) else self.hole(part) for part in node.parts]
        with self._at(node.span):
            if sum(map(len, parts)) > MAX_TEXT:
                raise ElError(f"a text holds at most {MAX_TEXT:,} characters", code="EL521")
        return "".join(parts)

    def hole(self, hole: ast.Hole) -> str:
        value = self.value(hole.value)
        if not hole.format:
            return shown(value)
        if value is None:  # as wide as a number would be
            wide = _WIDE.match(hole.format)
            return format("none", f"{wide[1] or '>'}{wide[2]}") if wide else "none"
        with self._at(hole.span):
            try:
                plain = isinstance(value, int | float | str) and not isinstance(value, bool)
                return format(value if plain else shown(value), hole.format)
            except OverflowError:
                raise ElError("this number is too large for its format", code="EL521") from None
            except ValueError:
                raise ElError(
                    f"the format `{hole.format}` does not fit {describe(value)}", code="EL210"
                ) from None

    @value.register
    def _(self, node: ast.Word) -> Any:
        with self._at(node.span):
            return self.variable(node.value)

    @value.register
    def _(self, node: ast.Name) -> Any:
        call = self.calls.get(id(node))
        if call is not None:
            return self.call(node, call)
        with self._at(node.span):
            return self.variable(node.name)

    @value.register
    def _(self, node: ast.ConceptName) -> ConceptName:
        return ConceptName(node.name)

    @value.register
    def _(self, node: ast.ComputedConcept) -> ConceptName:
        name = self.value(node.name)
        if isinstance(name, ConceptName):
            return name
        with self._at(node.name.span):
            if not isinstance(name, str):
                raise ElError(f"the name of a concept is a text, not {type_name(name)}", code="EL201")
            check_name(name, code="EL511")
        return ConceptName(name)

    @value.register
    def _(self, node: ast.Record) -> Record:
        return Record({entry.name: self.value(entry.value) for entry in node.entries})

    @value.register
    def _(self, node: ast.Part) -> Any:
        whole = self.value(node.value)
        with self._at(node.span):
            if not isinstance(whole, Record) or len(whole) != node.count:
                raise ElError(f"{type_name(whole)} cannot be taken apart", code="EL201")
        return list(whole.values())[node.index]

    @value.register
    def _(self, node: ast.Each) -> list[Any]:
        found = []
        for item in self.items(node.items):
            self.scopes.append({node.name: item})
            self.frames.append(Note(f"in the round with {node.name} = {_short(item)}", node.name_span))
            try:
                if node.condition is None or self.condition(node.condition):
                    found.append(self.value(node.item))
            finally:
                self.scopes.pop()
                self.frames.pop()
        with self._at(node.span):
            return bounded(found)

    @value.register
    def _(self, node: ast.Sweep) -> Table:
        found, whole = self.sweep(node)
        if whole != found:
            self.display(whole, ast.Do(node.span, node), _head(node))
        return found

    @value.register
    def _(self, node: ast.Function) -> Any:
        values = [self.value(item) for item in node.arguments]
        named = {entry.name: self.value(entry.value) for entry in node.keywords}
        with self._at(node.span):
            return calculated(node.name, values, named)

    @value.register
    def _(self, node: ast.Within) -> bool:
        value, items = self.value(node.value), self.value(node.items)
        with self._at(node.span):
            if not isinstance(items, list | tuple) and not (
                isinstance(items, str) and isinstance(value, str)
            ):
                raise ElError(
                    f"`in` is not defined for {type_name(value)} and {type_name(items)}", code="EL210"
                )
        return (value in items) is not node.negated

    @value.register
    def _(self, node: ast.LayerRef) -> Layer:
        return Layer(node.index)

    @value.register
    def _(self, node: ast.LayersRef) -> list[Layer]:
        with self._at(node.span):
            return [Layer(index) for index in range(self.session.model.num_layers)]

    @value.register
    def _(self, node: ast.BasinRef) -> BasinRef:
        return BasinRef(node.layer, node.basin)

    @value.register
    def _(self, node: ast.PartRef) -> PartName:
        return PartName(node.layer, node.kind, node.index)

    @value.register
    def _(self, node: ast.List) -> list[Any]:
        items = [self.value(item) for item in node.items]
        with self._at(node.span):
            return bounded(items)

    @value.register
    def _(self, node: ast.Range) -> list[int] | list[Layer]:
        first, last = self.value(node.first), self.value(node.last)
        with self._at(node.span):
            if isinstance(first, Layer) and isinstance(last, Layer):
                return bounded([Layer(index) for index in range(first.index, last.index + 1)])
            if not is_number(first, int) or not is_number(last, int):
                raise ElError("a range goes from a whole number to a whole number", code="EL201")
            if last - first >= MAX_ITEMS:
                raise ElError(f"a range holds at most {MAX_ITEMS:,} numbers", code="EL206")
        return list(range(first, last + 1))

    @value.register
    def _(self, node: ast.Unary) -> Any:
        value = self.value(node.operand)
        with self._at(node.span):
            if node.operator == "not":
                if not isinstance(value, bool):
                    raise ElError(f"`not` is not defined for {type_name(value)}", code="EL210")
                return not value
            if not is_number(value):
                raise ElError(f"`-` is not defined for {type_name(value)}", code="EL210")
            return -value

    @value.register
    def _(self, node: ast.Binary) -> Any:
        spine = [node]  # a long sum leans far to the left: no recursion along it
        while isinstance(spine[-1].left, ast.Binary):
            spine.append(spine[-1].left)
        result = self.value(spine[-1].left)
        for part in reversed(spine):
            right = self.value(part.right)
            with self._at(part.span):
                result = arithmetic(part.operator, result, right)
        return result

    @value.register
    def _(self, node: ast.Logical) -> bool:
        spine = [node]
        while isinstance(spine[-1].left, ast.Logical):
            spine.append(spine[-1].left)
        result = self.condition(spine[-1].left)
        for part in reversed(spine):
            if result is not (part.operator == "or"):
                result = self.condition(part.right)
        return result

    @value.register
    def _(self, node: ast.Compare) -> bool:
        left = self.value(node.first)
        for operator, operand in node.rest:
            right = self.value(operand)
            with self._at(node.span):
                if not compare(operator, left, right):
                    return False
            left = right
        return True

    @value.register
    def _(self, node: ast.Field) -> Any:
        value = self.value(node.value)
        if value is None:  # what none has is none
            return None
        with self._at(node.name_span):
            if isinstance(value, Table):
                return self.of_table(value, node.name)
            if isinstance(value, Record):  # one that other records of the list have
                return value.get(node.name)
            if isinstance(value, Result) and node.name in value:
                return value[node.name]
            if isinstance(value, Result) and node.name == "table":
                return value.table
            if isinstance(value, list | tuple) and node.name == "count":
                return len(value)
            if isinstance(value, BasinRef) and node.name in ("layer", "id"):
                return value.layer if node.name == "layer" else value.basin
            if isinstance(value, PartName) and node.name in ("layer", "index"):
                return value.layer if node.name == "layer" else value.index
            if isinstance(value, Layer) and node.name == "index":
                return value.index
            if isinstance(value, Layer) and node.name[:1] == "B" and node.name[1:].isdecimal():
                return BasinRef(value.index, int(node.name[1:]))
            raise ElError(f"{type_name(value)} has no field `{node.name}`", code="EL205")

    @staticmethod
    def of_table(table: Table, name: str) -> Any:
        """A field of a table, or else one of its columns."""
        if name == "rows":
            return table.records
        if name == "columns":
            return list(table.columns)
        if name == "count":
            return len(table.rows)
        return table if name == "table" else table.column(name)

    @value.register
    def _(self, node: ast.Index) -> Any:
        items, index = self.value(node.value), self.value(node.index)
        with self._at(node.index.span):
            if isinstance(index, str) and isinstance(items, Record):
                return items.get(index)
            if isinstance(index, str) and isinstance(items, Table):
                return items.column(index)
            if isinstance(items, Table):
                items = items_of(items)
            if not isinstance(items, list | tuple) or not is_number(index, int):
                raise ElError("a list is indexed by a whole number", code="EL210")
            if not -len(items) <= index < len(items):
                raise ElError(
                    f"index {index} is outside of a list of {len(items)}",
                    code="EL521",
                    hint="items are counted from 0; -1 is the last one",
                )
            return items[index]

    @value.register
    def _(self, node: ast.Command) -> Any:
        return self.call(node, self.calls[id(node)])


_WIDE = re.compile(r"(.?[<>^])?[-+ =]?#?0?(\d+)")
_SEED = Param("seed", t.INT, "the number of a seed", minimum=0, maximum=2**63 - 1)


def _put_back(scopes: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Give scopes the variables that they had."""
    for scope, values in scopes:
        scope.clear()
        scope.update(values)


def _head(node: ast.Sweep) -> str:
    """The first line of a sweep, without its block."""
    return "sweep " + ", ".join(" ".join(axis.span.text.split()) for axis in node.axes)


def _counting(begin: Callable[[str], None], before: str) -> Callable[[str], None]:
    """What hears of an operation, with something said before it."""
    return lambda line: begin(before + line)


def _short(value: Any) -> str:
    try:
        text = shown(value, 1000)
    except ElError:
        return f"a {type_name(value)}"
    return text if len(text) <= 40 else f"{text[:39]}…"


def _written_out(argument: Argument) -> bool:
    """Does an argument stand for itself, without variables?"""
    if isinstance(argument, LayerOf):
        argument = argument.basin
    elif isinstance(argument, SeedOf):
        argument = argument.number
    return isinstance(argument, Given | ast.LayersRef) or constant(argument) is not NO_CONSTANT

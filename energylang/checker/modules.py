"""Finding and reading the modules that scripts import.

``import NAME`` looks for ``NAME.el`` beside the script, then in the standard library. A module holds
procedures and constants only, so importing one does nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from energylang.diagnostics import Diagnostic, Diagnostics
from energylang.ops.coerce import suggestion
from energylang.syntax import ast
from energylang.syntax.grammar import folder
from energylang.syntax.source import Source

Parse = Callable[[Source], tuple[ast.Program, list[Diagnostic]]]


class Modules:
    """The modules one program uses; each is read once."""

    def __init__(self, parse: Parse) -> None:
        self.parse = parse
        self.loading: list[str] = []

    def load(self, node: ast.Import, base: Path | None, problems: Diagnostics) -> tuple[ast.Statement, ...]:
        """The statements of a module (of those it imports, too), or nothing and a problem."""
        source = self.find(node.name, base)
        if source is None:
            known = sorted(item.name[:-3] for item in folder("stdlib").iterdir() if item.name.endswith(".el"))
            problems.add(
                "EL213", f"there is no module `{node.name}`", node.name_span,
                help=suggestion(node.name, known)
                or f"it is looked for beside the script and in the standard library ({', '.join(known)})",
            )  # fmt: skip
            return ()
        if node.name in self.loading:
            chain = " → ".join([*self.loading, node.name])
            problems.add("EL213", f"modules import each other: {chain}", node.name_span)
            return ()
        program, errors = self.parse(source)
        for error in errors:
            problems.items.append(error)
        statements: list[ast.Statement] = []
        self.loading.append(node.name)
        for statement in program.statements:
            if isinstance(statement, ast.Import):
                statements += self.load(statement, source.base, problems)
            elif isinstance(statement, ast.Def) or (isinstance(statement, ast.Let) and statement.new):
                statements.append(statement)
            else:
                problems.add("EL213", "a module holds `def`, `let` and `import` only", statement.span)
        self.loading.pop()
        return tuple(statements)

    def find(self, name: str, base: Path | None) -> Source | None:
        beside = (base or Path()) / f"{name}.el"
        if beside.is_file():
            return Source(beside.read_text(encoding="utf-8", errors="replace"), str(beside), beside.parent)
        shipped = folder("stdlib").joinpath(f"{name}.el")
        if shipped.is_file():
            return Source(shipped.read_text(encoding="utf-8"), f"stdlib/{name}.el", base)
        return None

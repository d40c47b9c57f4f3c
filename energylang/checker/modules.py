"""Finding and reading the modules that scripts import.

``import NAME`` looks for ``NAME.el`` beside the script, then in the standard library. A module holds
procedures and constants only, so importing one does nothing by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from energylang.diagnostics import Diagnostic, Diagnostics
from energylang.diagnostics.source import Source, decode
from energylang.errors import FileError
from energylang.files.storage import MAX_SCRIPT_BYTES, read_bytes
from energylang.signature.coerce import suggestion
from energylang.syntax import ast
from energylang.syntax.grammar import folder

Parse = Callable[[Source], tuple[ast.Program, list[Diagnostic]]]


class Modules:
    """The modules one program uses; each is read once."""

    def __init__(self, parse: Parse) -> None:
        self.parse = parse
        self.loading: list[str] = []
        self.broken = False  # has one of them syntax errors?

    def load(
        self, node: ast.Import, base: Path | None, problems: Diagnostics
    ) -> tuple[ast.Statement, ...] | None:
        """The statements of a module (of those it imports, too), or ``None`` and a problem."""
        source = self.find(node.name, base)
        if source is None:
            known = sorted(item.name[:-3] for item in folder("stdlib").iterdir() if item.name.endswith(".el"))
            problems.add(
                "EL213", f"there is no module `{node.name}`", node.name_span,
                help=suggestion(node.name, known)
                or f"it is looked for beside the script and in the standard library ({', '.join(known)})",
            )  # fmt: skip
            return None
        if isinstance(source, str):
            problems.add("EL213", source, node.name_span)
            return None
        if node.name in self.loading:
            chain = " → ".join([*self.loading, node.name])
            problems.add("EL213", f"modules import each other: {chain}", node.name_span,
                         help="put what both need into a third module")  # fmt: skip
            return None
        program, errors = self.parse(source)
        for error in errors:
            problems.append(error)
            self.broken = True
        statements: list[ast.Statement] = []
        self.loading.append(node.name)
        for statement in program.statements:
            if isinstance(statement, ast.Import):
                statements += self.load(statement, source.base, problems) or ()
            elif isinstance(statement, ast.Def) or (isinstance(statement, ast.Let) and statement.new):
                statements.append(statement)
            elif not errors:
                problems.add("EL213", "a module holds `def`, `let` and `import` only", statement.span,
                             help="move it into a `def`, or into the script that imports the module")  # fmt: skip
        self.loading.pop()
        return tuple(statements)

    def find(self, name: str, base: Path | None) -> Source | str | None:
        """The module's source, or what is wrong with its file."""
        beside = (base or Path()) / f"{name}.el"
        try:
            if os.path.isfile(beside):
                return Source(decode(read_bytes(beside, MAX_SCRIPT_BYTES)), str(beside), beside.parent)
            shipped = folder("stdlib").joinpath(f"{name}.el")
            if shipped.is_file():
                return Source(decode(shipped.read_bytes()), f"stdlib/{name}.el", base)
        except FileError as error:
            return error.message
        except UnicodeDecodeError as error:
            return f"{beside} is not UTF-8 text (byte {error.start})"
        except OSError as error:
            return f"{beside} cannot be read: {error.strerror}"
        return None

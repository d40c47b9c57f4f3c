"""What the subcommands print: results as they come, or kept for JSON; help on operations and codes."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from energylang.diagnostics.codes import Code
from energylang.render.document import displayed, kept, printed
from energylang.render.operation import WIDTH, operation_text
from energylang.results import Result, Table
from energylang.signature.declaration import Op, default_text
from energylang.signature.functions import FUNCTIONS, Function
from energylang.syntax import ast


class Recorder:
    """Shows each value as it comes, or keeps it for one JSON document at the end."""

    def __init__(self, *, json: bool, quiet: bool = False) -> None:
        self.quiet = quiet  # show what is printed, and values that stand alone; no results of operations
        self.items: list[object] = []
        self.json = json
        from energylang.render.terminal import Screen

        self.screen = Screen(quiet=json)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.screen.__exit__()

    def begin(self, line: str) -> None:
        """An operation begins."""
        self.screen.wait_for(line)

    def count(self, done: int, total: int, what: str) -> None:
        """The operation has come so far."""
        self.screen.count(done, total, what)

    def show(self, value: Any, statement: ast.Statement, line: str) -> None:
        if self.quiet and isinstance(value, Result) and not isinstance(value, Table):
            return
        if not self.json:
            self.screen.show(value, statement, line)
        elif isinstance(statement, ast.Print):
            self.items.append(printed(value, statement))
        else:
            self.items.append(displayed(value, statement, line))

    def keep(self, value: Result, statement: ast.Let) -> None:
        """A result that a variable was given: nothing on a screen, an entry of the document. The empty table that
        ``let t = table`` begins with is none."""
        if isinstance(value, Table) and not value.columns:
            return
        if self.json and not (self.quiet and not isinstance(value, Table)):
            self.items.append(kept(value, statement))

    @staticmethod
    def print(value: Any) -> None:
        from energylang.render.terminal import Screen

        Screen().display(value)


def list_operations(table: Mapping[str, Op]) -> None:
    family = ""
    width = max(len(name) for name in table)
    for op in sorted(
        table.values(),
        key=lambda op: list(dict.fromkeys(o.family for o in table.values())).index(op.family),
    ):
        if op.family != family:
            print(("\n" if family else "") + op.family.title())
            family = op.family
        print(f"  {op.name:<{width}}  {op.summary}")
    print("\nThe language around them")
    width = max(len(form) for form, _ in FORMS)
    for form, what in FORMS:
        print(f"  {form:<{width}}  {what}")
    functions = [function for function in FUNCTIONS.values() if not function.method]
    methods = [f".{function.name}()" for function in FUNCTIONS.values() if function.method]
    print(
        f"  functions: {' '.join(f'{function.name}()' for function in functions)}; of texts: {' '.join(methods)}"
    )
    print(
        "\n`el ops NAME` explains an operation or a function; docs/language.md is the language in ten minutes."
    )


FORMS = (
    ("let s = survey L0", "keep a result; its fields are s.num_basins, …; `s` alone displays it"),
    ("for l in layers:", "repeat the lines under it; also `for r in t:`, `for a, b in zip(xs, ys):`"),
    ("if …: / elif …: / else:", "choose; `and`, `or`, `not`, `==`, `!=`, `<` …"),
    ("let t = table", "an empty table; `row t strength=s share=x` adds a row, `t` displays it"),
    ('print "{s.num_basins} {x:.2f}"', "a line of text; formats as in Python"),
    (
        "sweep seed in 0..4, l in layers:",
        "each cell from the state before; a table of what they `row`, or end with",
    ),
    ("quiet:", "results of the lines under it are not displayed"),
    ('attempt "name": / else:', "all of it, or nothing: what failed is undone; `error` says why"),
    ('require x > 3, "why not"', "stop, or fail the attempt, where it does not hold"),
    ("with set beta 4.0:", "undone when the block ends"),
    ("def f(l: Layer, n: Int = 3):", "a procedure; `return`; called as `f L0` or `f(L0, 5)`"),
    ("[f(x) for x in xs if c], {a: 1}", "lists made of others, records"),
    (
        "L2, L2.B3, @polite, polite@L2",
        "a layer, a basin, a concept, its state at a layer; @{name}: a computed name",
    ),
)
"""The forms of the language, each with what it does, for whoever reads the list of operations first."""


def show_function(function: Function) -> None:
    print(f"{function.usage}\n\n{function.help[:1].upper()}{function.help[1:]}.")


def operation_dict(op: Op) -> dict[str, object]:
    """A declaration as JSON data."""
    return {
        "name": op.name,
        "family": op.family,
        "summary": op.summary,
        "details": op.details,
        "usage": op.usage(),
        "parameters": [
            {
                "name": param.name,
                "type": str(param.type),
                "help": param.help,
                "required": param.required,
                "default": None if param.required else default_text(param),
                "allowed": param.range_text(),
                "keyword_only": param.keyword_only,
            }
            for param in op.params
        ],
        "result": op.result.__name__,
        "fields": list(op.result.__dataclass_fields__),
        "examples": [{"model": item.on, "script": item.script, "then": item.check} for item in op.examples],
    }


def list_codes(codes: Mapping[str, Code]) -> None:
    for code in codes.values():
        print(f"{code.code}  {code.title}" + (" (warning)" if code.severity == "warning" else ""))
    print("\n`el explain CODE` explains one.")


def show_operation(op: Op) -> None:
    print(operation_text(op, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)), end="")


def show_code(code: Code) -> None:
    print(f"{code.code}: {code.title} ({code.severity})\n")
    print(textwrap.fill(code.explanation, 100))
    if code.wrong:
        print(
            "\nwrong\n"
            + textwrap.indent(
                code.wrong.rstrip() if len(code.wrong) < 400 else code.wrong[:60] + " …", "    "
            )
        )
    if code.right:
        print("\nright\n" + textwrap.indent(code.right.rstrip(), "    "))

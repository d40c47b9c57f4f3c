"""Warnings about a script as a whole, and the remarks that silence warnings.

A remark ``# el: allow EL402`` holds for its line; on a line of its own for the statement that follows, with its
block; before the first statement for the whole script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from energylang.diagnostics import Diagnostic, Diagnostics
from energylang.diagnostics.codes import CODES
from energylang.diagnostics.source import Source, Span
from energylang.signature.coerce import suggestion
from energylang.syntax import ast

from .walk import Walk

CLAIMS = frozenset(("share_after", "log_prob_after"))
CONTROLS = frozenset(
    "share_z log_prob_z share_placebo share_placebo_std log_prob_placebo log_prob_placebo_std placebos controls".split()
)

_REMARK = re.compile(r"#[ \t]*el:[ \t]*allow\b[ \t]*([^#\n]*)")
_CODE = re.compile(r"[A-Za-z]+\d+")


def advise(walk: Walk, program: ast.Program) -> None:
    """Warn of what only the whole script shows."""
    source = program.span.source
    for node in walk.lets.values():
        named = node.name_span.source is source and not node.name.startswith("_")
        if named and id(node) not in walk.scope.outermost().used:
            walk.problems.add(
                "EL403", f"`{node.name}` is never used", node.name_span,
                help=f"leave the `let` out to see the result, or call it `_{node.name}`",
            )  # fmt: skip
    kept = walk.kept
    left = [span for span in walk.model.facts.now.edited.values() if kept is not None and span not in kept]
    if left and walk.model.reachable:
        last = max(left, key=lambda span: (span.source is source, span.start))
        walk.problems.add(
            "EL404", "this edit comes after the last `save` or `record`: it ends with the script", last,
            help='`save "edited.safetensors"` or `record "experiment.json"` at the end keeps it, `undo` takes it back',
        )  # fmt: skip
    claims = [node for node in walk.claims if node.name in CLAIMS]
    if claims and not any(node.name in CONTROLS for node in walk.claims):
        field = claims[0]
        other = "share_z" if field.name.startswith("share") else "log_prob_z"
        walk.problems.add(
            "EL405", f"`{field.name}` is compared with no control", field.name_span,
            help=f"look at `{other}`, too: how far it lies from placebos of the same size, in their spread",
        )  # fmt: skip


@dataclass(frozen=True)
class Remark:
    """Codes allowed in the lines ``first`` to ``last``."""

    codes: frozenset[str]
    first: int
    last: int


def silenced(found: list[Diagnostic], source: Source, program: ast.Program) -> list[Diagnostic]:
    """The findings without the warnings that remarks allow, and with those about the remarks."""
    if "el:" not in source.text:
        return found
    problems = Diagnostics()
    remarks = _remarks(source, program, problems)

    def allowed(item: Diagnostic) -> bool:
        if item.is_error or item.span is None or item.span.source is not source:
            return False
        line, _ = item.span.start_location()
        return any(item.code in remark.codes and remark.first <= line <= remark.last for remark in remarks)

    return [item for item in (*found, *problems.items) if not allowed(item)]


def _remarks(source: Source, program: ast.Program, problems: Diagnostics) -> list[Remark]:
    texts = [(span.start, span.end) for span in _texts(program)]
    starts = [statement.span.start for statement in program.statements]
    first_line = source.location(min(starts))[0] if starts else 10**9
    remarks = []
    for match in _REMARK.finditer(source.text):
        if any(start <= match.start() < end for start, end in texts):
            continue
        line, _ = source.location(match.start())
        codes = _allowed(match, source, problems)
        if source.line(line).lstrip().startswith("#"):
            first, last = (1, 10**9) if line < first_line else _following(source, line)
        else:
            first = last = line
        remarks.append(Remark(codes, first, last))
    return remarks


def _allowed(match: re.Match[str], source: Source, problems: Diagnostics) -> frozenset[str]:
    codes = set()
    for word in _CODE.finditer(match[1]):
        start = match.start(1) + word.start()
        span = Span(start, start + len(word[0]), source)
        known = CODES.get(word[0].upper())
        if known is None:
            problems.add(
                "EL406", f"there is no code {word[0]}", span, help=suggestion(word[0].upper(), CODES)
            )
        elif known.severity == "error":
            problems.add("EL406", f"{word[0]} is an error and cannot be allowed", span,
                         help="only warnings can, those from EL401 on")  # fmt: skip
        else:
            codes.add(known.code)
    if not _CODE.search(match[1]):
        span = Span(match.start(), match.end(), source)
        problems.add("EL406", "this remark names no code", span, help="for example `# el: allow EL402`")
    return frozenset(codes)


def _following(source: Source, line: int) -> tuple[int, int]:
    """The lines of the statement under a line, with its block."""
    total = len(source.line_starts)
    first = line + 1
    while first <= total and not _code_in(source.line(first)):
        first += 1
    if first > total:
        return first, first
    width, last, number = _width(source.line(first)), first, first + 1
    while number <= total and (not _code_in(source.line(number)) or _width(source.line(number)) > width):
        if _code_in(source.line(number)):
            last = number
        number += 1
    return first, last


def _code_in(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _width(text: str) -> int:
    return len(text) - len(text.lstrip())


def _texts(node: object) -> list[Span]:
    """The places of all texts, in which `#` is a character."""
    found: list[Span] = []
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending += item
        elif isinstance(item, ast.Text):
            found.append(item.span)
        elif isinstance(item, ast.Node):
            pending += [value for name, value in vars(item).items() if name != "span"]
    return found

"""The reference pages in Markdown: operations, what they need, codes and grammar, each from its one source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from energylang.diagnostics.codes import Code
from energylang.signature.declaration import Effect, Op, default_text

HEAD = """# The operations

Generated from the declarations by `python3 dev.py docs`; do not edit. `el ops NAME` shows the same at the prompt.
Every operation is also a method of `energylang.Session`, with `-` written as `_`. The examples are tests: the model
in the first line is loaded, the rest is run, and the comment says what is then true of the result, `it`.
"""


def operations_page(table: Mapping[str, Op]) -> str:
    """All operations, by category."""
    categories: dict[str, list[Op]] = {}
    for op in table.values():
        categories.setdefault(op.family.title(), []).append(op)
    parts = [HEAD]
    for category, ops in categories.items():
        parts.append(f"## {category}\n")
        parts += [_operation(op) for op in ops]
    return "\n".join(parts).rstrip() + "\n"


def _operation(op: Op) -> str:
    lines = [f"### {op.name}\n", op.summary + "\n", f"```el\n{op.usage()}\n```\n"]
    if op.details:
        lines.append("\n".join(f"{line}  " for line in op.details.splitlines()).rstrip() + "\n")
    if op.params:
        lines += ["| parameter | type | default | allowed | |", "|---|---|---|---|---|"]
        for param in op.params:
            default = "required" if param.required else f"`{default_text(param)}`".replace("``", "empty")
            cells = [f"`{param.name}`", str(param.type), default, param.range_text(), param.help]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    fields = ", ".join(f"`{name}`" for name in op.result.__dataclass_fields__)
    lines.append(f"Result: `{op.result.__name__}` with {fields}.\n")
    for example in op.examples:
        lines.append(f"```el\nload {example.on}\n{example.script}    # {example.check}\n```\n")
    return "\n".join(lines)


CODES_HEAD = """# Diagnostic codes

Generated from the table of codes by `python3 dev.py docs`; do not edit. `el explain EL304` shows the same at the
prompt. Codes below EL500 are found before anything runs (exit code 2); those that begin with EL4 are warnings. The
others happen while a script runs (exit code 1). All scripts on this page are run by the tests.
"""

_GROUPS = (
    (100, "Syntax"),
    (200, "Types and names"),
    (300, "References"),
    (400, "Warnings"),
    (500, "While a script runs"),
)
MAX_EXAMPLE = 400


def codes_page(codes: Mapping[str, Code]) -> str:
    """All codes, with what provokes each and what does not."""
    parts = [CODES_HEAD]
    for position, (first, title) in enumerate(_GROUPS):
        last = _GROUPS[position + 1][0] if position + 1 < len(_GROUPS) else 1000
        parts.append(f"## {title}\n")
        parts += [_code(code) for name, code in sorted(codes.items()) if first <= int(name[2:]) < last]
    return "\n".join(parts).rstrip() + "\n"


def _code(code: Code) -> str:
    warning = " (warning)" if code.severity == "warning" else ""
    lines = [f"### {code.code}: {code.title}{warning}\n", code.explanation + "\n"]
    for word, script in (("Wrong", code.wrong), ("Right", code.right)):
        if script and len(script) < MAX_EXAMPLE:
            lines.append(f"{word}:\n\n```el\n{script}```\n")
    return "\n".join(lines)


GRAMMAR_HEAD = """# The grammar

Generated from `grammar/energy.lark` by `python3 dev.py docs`; do not edit. The file itself is what the parser is built
from (LALR(1), with a lexer that looks only for what may stand at a place). `|` separates alternatives, `?` `*` `+`
stand for at most one, any number, at least one; names in capitals are terminals. Rules that begin with `_` or `?` are
not nodes of their own in the tree.
"""


def grammar_page(text: str) -> str:
    """The grammar file as a page: a heading for each of its sections, its comments as text, its rules as code."""
    parts = [GRAMMAR_HEAD]
    code: list[str] = []
    prose: list[str] = []

    def close() -> None:
        if any(line.strip() for line in code):
            parts.append("```\n" + "\n".join(code).strip("\n") + "\n```\n")
        code.clear()
        if prose:
            parts.append("\n".join(prose).strip() + "\n")
        prose.clear()

    for line in text.splitlines():
        if heading := re.fullmatch(r"// -{10,} (.+)", line):
            close()
            title = heading[1].strip()
            parts.append(f"## {title[0].upper()}{title[1:]}\n")
        elif line.startswith("//"):
            if code:
                close()
            stripped = line[2:].removeprefix(" ")
            prose.append(stripped)
        else:
            if prose and line.strip():
                close()
            code.append(line)
    close()
    return "\n".join(parts).rstrip() + "\n"


LEVELS_HEAD = """# Which operation works on which model

Generated from the declarations by `python3 dev.py docs`; do not edit. Find the column of your model:

* **weights**: layers that are landscapes, without words: `random:256`, `planted:256x20`, a checkpoint in the published
  layout.
* **stream**: text and layers that are no landscapes: `smollm2`, a folder of Hugging Face, a GGUF file, a model made by
  `el train --arch transformer`. [Your own model](howto/your-own-model.md) shows what is done there.
* **text and landscapes**: `tiny`, and other models made by `el train`.

✓ works, – does not: the checker says so before anything runs, with EL250 where words are missing and EL251 where a
landscape is. Words in a cell say what the operation does there instead of what it does on basins. *After `fit`*: on
layers that [`fit`](howto/fit.md) gave a landscape.
"""
_MODELS = {
    "weights": Effect.LANDSCAPE,
    "stream": Effect.TEXT,
    "text and landscapes": Effect.TEXT | Effect.LANDSCAPE,
}
_NEEDS = {Effect.TEXT: "text", Effect.LANDSCAPE: "a landscape"}


def levels_page(table: Mapping[str, Op]) -> str:
    """Every operation with what it needs of a model, and on which kinds of models it works."""
    counts = [f"{sum(_works(op, has) for op in table.values())} on {name}" for name, has in _MODELS.items()]
    parts = [LEVELS_HEAD, f"Of {len(table)} operations work: {', '.join(counts)}.\n"]
    for family in dict.fromkeys(op.family for op in table.values()):
        parts.append(f"## {family.title()}\n")
        lines = [f"| operation | needs | {' | '.join(_MODELS)} |", "|---|---|---|---|---|"]
        for op in table.values():
            if op.family == family:
                cells = [f"[`{op.name}`](operations.md#{op.name.replace(' ', '-')})", _needs(op)]
                cells += [_cell(op, has) for has in _MODELS.values()]
                lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts).rstrip() + "\n"


def _works(op: Op, has: Effect) -> bool:
    if op.flow.fits and Effect.LANDSCAPE in has:
        return False
    if _by_key(op) and Effect.TEXT in has:
        return True
    return not op.effects & (Effect.TEXT | Effect.LANDSCAPE) & ~has


def _by_key(op: Op) -> bool:
    """Whether keys of a memory may take the place of a landscape."""
    return any(param.instead for param in op.params)


def _needs(op: Op) -> str:
    needed = [words for effect, words in _NEEDS.items() if effect in op.effects]
    if _by_key(op):
        return " and ".join(needed) + ", or a memory"
    return " and ".join(needed) or ("a model" if op.needs_model else "nothing")


def _cell(op: Op, has: Effect) -> str:
    if op.flow.fits and Effect.LANDSCAPE in has:
        return "–"
    if not _works(op, has):
        given = Effect.LANDSCAPE in op.effects and Effect.NATIVE not in op.effects and Effect.TEXT in has
        return "after `fit`" if given else "–"
    if not op.on_streams or Effect.LANDSCAPE in has:
        return "✓"
    return f"{op.on_streams}; after `fit` on basins" if _by_key(op) else op.on_streams


def reference_pages() -> dict[str, str]:
    """Every generated page of ``docs/``, by its file's name."""
    from energylang.diagnostics.codes import CODES
    from energylang.ops import TABLE
    from energylang.syntax.grammar import grammar_text
    from energylang.workspace.schema import RECORD

    return {
        "operations.md": operations_page(TABLE),
        "codes.md": codes_page(CODES),
        "levels.md": levels_page(TABLE),
        "grammar.md": grammar_page(grammar_text()),
        "record.schema.json": json.dumps(RECORD, indent=2, ensure_ascii=False) + "\n",
    }

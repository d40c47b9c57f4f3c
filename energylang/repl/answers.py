"""What the prompt's own words answer: ``help OP``, ``?name``, ``:save-session`` and the others."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.concepts import captured as concepts
from energylang.diagnostics.codes import CODES
from energylang.errors import ElError
from energylang.files.storage import MAX_JSON_BYTES, located, read_bytes, write_atomic
from energylang.ops import TABLE
from energylang.render.marks import stable
from energylang.render.operation import WIDTH, columns, filled, operation_text, operations_text
from energylang.signature.coerce import suggestion, type_name
from energylang.signature.values import BasinRef, parse_reference
from energylang.workspace.named import centre_of
from energylang.workspace.workspace import check_layer

from . import journal, saved
from .engine import in_force
from .words import BEGINNING, COMMANDS, END, TYPED

if TYPE_CHECKING:
    from energylang.session import Session

    from .engine import Engine


def answer(text: str, engine: Engine) -> str | None:
    """The answer to a word of the prompt's own; ``None`` where the text is the language's."""
    line = text.strip()
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if line in ("help", ":help", "?"):
        return help_text(width())
    if line == "ops":
        return operations()
    if word in ("help", ":doc"):
        return page(rest)
    if line.startswith("?"):
        return about(line[1:].strip(), engine.session())
    if word == ":save-session":
        return _save(rest, engine)
    if word == ":load-session":
        return _load(rest, engine)
    if line.startswith(":"):
        raise ElError(
            f"there is no `{word}`", code="EL101", hint=suggestion(word, COMMANDS) or ":help has them"
        )
    return None


def width() -> int:
    """The columns of the screen, as far as they are read with ease."""
    return min(shutil.get_terminal_size().columns, WIDTH)


def help_text(width: int) -> str:
    """What can be typed at the prompt."""
    commands = [(f"{name} {given}".rstrip(), about) for name, (given, about) in COMMANDS.items()]
    lines = [filled(BEGINNING, width), "", *columns(TYPED, width), filled(END, width, "  "), ""]
    return "\n".join([*lines, *columns(commands, width)]) + "\n"


def operations() -> str:
    """All operations by category."""
    return operations_text(TABLE, width())


def page(name: str) -> str:
    """The page of an operation."""
    op = TABLE.get(name) or TABLE.get(name.replace("_", "-"))
    if op is None:
        raise ElError(
            f"there is no operation `{name}`", code="EL101", hint=suggestion(name, TABLE) or "`ops`"
        )
    return operation_text(op, width())


def about(name: str, session: Session) -> str:
    """What a name stands for."""
    if name in TABLE:
        return page(name)
    if name.upper() in CODES:
        code = CODES[name.upper()]
        explained = "\n".join(filled(line, width()) for line in code.explanation.splitlines())
        return f"{filled(f'{code.code}: {code.title} ({code.severity})', width())}\n\n{explained}\n"
    if name in session.variables:
        value = session.variables[name]
        return f"{name} is a variable: {type_name(value)}\n{_shown(value)}"
    if name in session.procedures:
        return f"{name} is a procedure: {session.procedures[name].usage()}\n"
    if name.lstrip("@") in session.state.concepts:
        return _shown(concepts.describe(session, session.state.concepts[name.lstrip("@")]))
    reference = parse_reference(name)
    if isinstance(reference, BasinRef) and session.has_model:
        check_layer(session.model, reference.layer)
        centre_of(session, reference)
        registry = session.staged(reference.layer).registry
        basin = registry.get(reference.basin)
        assert basin is not None
        tokens = f"{basin.tokens} tokens, " if session.staged(reference.layer).registry.token_states else ""
        return (
            f"{name}: energy {basin.energy:.4f}, {tokens}{registry.counted(basin)}, "
            f"stability {stable(basin.stability)}, "
            f"drift {basin.drift:.2g}\n"
        )
    known = [*TABLE, *session.variables, *session.procedures, *session.state.concepts]
    raise ElError(f"nothing is called `{name}`", code="EL101", hint=suggestion(name, known))


def _shown(value: Any) -> str:
    from rich.console import Console

    from energylang.render.gallery import render

    out = io.StringIO()
    with redirect_stdout(out):
        Console(file=out, width=width(), color_system=None).print(render(value))
    return out.getvalue()


def _path(text: str, engine: Engine) -> Path:
    given = text.strip('"')
    if not given:
        raise ElError("a path is missing", code="EL202", hint=":save-session work.session")
    return located(given, engine.base)


def _save(text: str, engine: Engine) -> str:
    session = engine.session()
    target = _path(text, engine)
    write_atomic(target, read_bytes(engine.journal.path, MAX_JSON_BYTES))
    if session.has_model:
        with suppress(TypeError):  # a variable that cannot be kept: the lines are run again
            saved.write(saved.beside(target), session, engine.journal.content)
    return f"✓ {target}: `:load-session` takes it up again\n"


def _load(text: str, engine: Engine) -> str:
    path = _path(text, engine)
    if path.resolve() != engine.journal.path.resolve() and journal.is_running(path):
        raise ElError(f"{path} is in use by {journal.holder(path)}", code="EL543")
    events = journal.read(path)
    session = engine.replace(events, saved.beside(path))
    engine.journal.copy_from(events)
    engine.keep(0.0, now=True)
    notes = "".join(f"note: {note}\n" for note in engine.notes)
    return f"✓ {path}: {in_force(session)}: {engine.taken}\n{notes}"

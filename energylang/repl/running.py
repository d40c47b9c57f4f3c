"""One line that was typed: checked, written into the journal, run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .journal import is_secret

if TYPE_CHECKING:
    from energylang.diagnostics import Diagnostic
    from energylang.syntax import ast

    from .engine import Engine


def run_line(
    engine: Engine,
    text: str,
    show: Callable[[Any, ast.Statement, str], None],
    begin: Callable[[str | None], None],
    complain: Callable[[list[Diagnostic]], None],
    count: Callable[[int, int, str], None] | None = None,
) -> bool:
    """Run a text in the engine's session; was it run to its end?

    ``show`` is given what it displays, ``begin`` every operation before it runs, ``complain`` what is wrong with it,
    ``count`` how many steps of an operation are done. An interrupt passes through, after the journal has noted it.
    """
    from energylang.diagnostics.source import Source
    from energylang.ops.spelling import operation_named
    from energylang.run.doors import ScriptError, check_in, run_checked
    from energylang.syntax.legacy import as_typed

    session = engine.session()
    if text.partition(" ")[0] not in session.variables:
        text = as_typed(text, lambda word: operation_named(word) is not None)
    checked = check_in(session, Source(text, "<prompt>", session.base))
    if checked.diagnostics:
        complain(checked.diagnostics)
    if not checked.ok:
        return False
    engine.journal.begin(text)
    how, session.watcher, began = "interrupted", count, time.monotonic()
    try:
        run_checked(session, checked, show, begin)
        how = "done"
    except ScriptError as error:
        how = "failed"
        complain(error.diagnostics)
    finally:
        session.watcher = None
        engine.journal.end(how)
        engine.keep(time.monotonic() - began, now=is_secret(text))
    return how == "done"

"""``%el`` and ``%%el``: the language in a notebook, in one session with Python.

The session is the notebook's variable ``session``. ``%load_ext energylang`` makes one if there is none; where there
is a ``surgeon``, it is the surgeon's. Assign another ``Session`` to it, and the magics work on that one. Where the
notebook uses that name for something else, it is left alone, and the magics go on with the session they had. Braces
and dollars belong to the language: IPython puts no Python value in their place.

    %el survey L2               the result is displayed, and is the value of the line
    %el survey L0; print "two"  several statements: each is displayed, and the last is the value
    found = %el survey L2       the same, as a Python value
    %%el                        a whole script; every result is displayed as it comes
    %el let e = survey L2       a variable of both: ``e`` is the same in Python

A name that the notebook uses already, or that Python has itself, stays the notebook's: that is said, once, and the
script's variable is found in ``session.variables``.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import HTML, display

from energylang.compat import BasinSurgeon
from energylang.diagnostics.source import Source
from energylang.errors import ElError
from energylang.render.bundle import metadata, of_result
from energylang.render.html import problems_to_html, to_html
from energylang.repl.suggest import suggest
from energylang.run.doors import ScriptError, check_in, run_checked
from energylang.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from energylang.checker import Checked
    from energylang.syntax import ast

NAME = "session"
#: The session that the magics of a shell used last, and the shells that were told that it has no name there.
_LAST: WeakKeyDictionary[InteractiveShell, Session] = WeakKeyDictionary()
_TOLD: WeakSet[InteractiveShell] = WeakSet()
#: By shell, the variables of scripts that were handed to Python, as they were then; and names that stayed Python's.
_SHARED: WeakKeyDictionary[InteractiveShell, dict[str, Any]] = WeakKeyDictionary()
_KEPT: WeakKeyDictionary[InteractiveShell, set[str]] = WeakKeyDictionary()


def session_of(shell: InteractiveShell) -> Session:
    """The notebook's session; a new one where there is none."""
    space = shell.user_ns
    found = space.get(NAME)
    if isinstance(found, Session):
        _LAST[shell] = found
        _TOLD.discard(shell)
        return found
    surgeon = space.get("surgeon")
    taken = NAME in space
    nameless = shell in _TOLD  # the session that is in use has had no name of the notebook's
    if isinstance(surgeon, BasinSurgeon):
        made = surgeon.session
    else:
        made = (_LAST.get(shell) if taken or nameless else None) or Session()
    if not taken:
        shell.push({NAME: made})
        _TOLD.discard(shell)
    elif not nameless:
        goes = "goes on with the session it had" if made is _LAST.get(shell) else "has a session of its own"
        print(f"`{NAME}` is a {type(found).__name__} of yours and stays so: %el {goes}")
        _TOLD.add(shell)
    _LAST[shell] = made
    return made


def share(shell: InteractiveShell, variables: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Hand the variables that a script has set since ``before`` to Python, under their names, where these are free."""
    space = shell.user_ns
    shared, kept = _SHARED.setdefault(shell, {}), _KEPT.setdefault(shell, set())
    for name, value in variables.items():
        if name in before and before[name] is value:
            continue
        ours = name in shared and name in space and space[name] is shared[name]
        if not ours and (name in space or hasattr(builtins, name) or keyword.iskeyword(name)):
            if name not in kept:
                print(f"`{name}` in Python stays what it is: session.variables[{name!r}] is the script's")
                kept.add(name)
            continue
        kept.discard(name)
        space[name] = shared[name] = value


@magics_class
class EnergyMagics(Magics):  # type: ignore[misc]
    """The magics of Energy Language."""

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_cell_magic  # type: ignore[untyped-decorator]
    def el(self, line: str, cell: str | None = None) -> Any:
        """Run Energy Language in the notebook's session: a line, or a cell with the line as its first."""
        session = session_of(self.shell)
        source = Source(line if cell is None else f"{line}\n{cell}", "<cell>", session.base)
        before = dict(session.variables)
        try:
            checked = check_in(session, source)
            if not checked.ok:
                raise ScriptError(checked.diagnostics, checked=False)
            warnings = [found for found in checked.diagnostics if not found.is_error]
            if warnings and cell is not None:
                display(HTML(problems_to_html(warnings)))
            if cell is None:
                return _line(session, checked)
            run_checked(session, checked, _show)
        except ScriptError as error:
            display(HTML(problems_to_html(error.diagnostics)))
            raise _Reported(str(error)) from None
        finally:
            share(self.shell, session.variables, before)
        return None


def _line(session: Session, checked: Checked) -> Any:
    """Run a line. What its last statement shows is the line's value, which the notebook displays; what was shown before
    it, and texts that are printed, are displayed here."""
    shown: list[tuple[Any, Any, str]] = []
    value = run_checked(
        session, checked, lambda value, statement, said: shown.append((value, statement, said))
    )
    if shown and shown[-1][0] is value:
        shown.pop()
    for one, statement, said in shown:
        _show(one, statement, said)
    return value


class _Reported(ElError):
    """An error whose picture has been shown: the notebook stops, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [self.message]


def _show(value: Any, statement: ast.Statement, line: str) -> None:
    head, figure = (
        f'<div style="font-family:monospace;opacity:.65">▸ {_escaped(line)}</div>',
        of_result(value),
    )
    if figure is None:
        display(HTML(head + to_html(value)))
    else:
        display(HTML(head))
        display(figure, raw=True, metadata=metadata())


def _escaped(text: str) -> str:
    from html import escape

    from energylang.diagnostics.visible import in_line

    return escape(in_line(text))


@context_matcher()  # type: ignore[untyped-decorator]
def complete(context: Any) -> dict[str, Any]:
    """Completions inside ``%el`` and ``%%el``."""
    before = context.full_text[: _offset(context)]
    line = before.rsplit("\n", 1)[-1]
    if before.lstrip().startswith("%%el"):
        text = before.lstrip().removeprefix("%%el")
    elif "%el " in line:
        text = line.rsplit("%el ", 1)[1]
    else:
        return {"completions": [], "suppress": False}
    shell = _shell()
    found = suggest(text, session_of(shell) if shell is not None else None)
    length = found[0].length if found else 0
    token = context.token
    lead = token[: max(0, len(token) - length)]
    words = [SimpleCompletion(text=lead + item.text, type=item.note[:40] or "el") for item in found]
    return {"completions": words, "suppress": True, "ordered": True}


def _offset(context: Any) -> int:
    lines = context.full_text.split("\n")[: context.cursor_line]
    return sum(len(line) + 1 for line in lines) + int(context.cursor_position)


def _shell() -> InteractiveShell | None:
    from IPython import get_ipython

    found: InteractiveShell | None = get_ipython()
    return found


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext energylang``."""
    shell.register_magics(EnergyMagics)
    completer = getattr(shell, "Completer", None)
    if completer is not None and complete not in completer.custom_matchers:
        completer.custom_matchers.append(complete)
    session_of(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext energylang``: the session stays."""
    _LAST.pop(shell, None)
    _TOLD.discard(shell)
    _SHARED.pop(shell, None)
    _KEPT.pop(shell, None)
    with suppress(AttributeError, ValueError):
        shell.Completer.custom_matchers.remove(complete)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("el", None)

"""The prompt itself: read a line, run it, show what it gives, until the user leaves.

The prompt appears at once; torch is imported and the model loaded in the background (``engine``), and the first line
that needs them waits. Everything that completes is in the journal before the next prompt. Ctrl-C while something
runs ends that statement, which leaves no trace; at the prompt it drops the line.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import DynamicCompleter
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import DynamicLexer
from prompt_toolkit.patch_stdout import patch_stdout

from energylang.diagnostics.visible import escaped, in_line
from energylang.errors import ElError
from energylang.version import __version__

from . import journal, saved
from .engine import Engine, in_force
from .keys import bindings
from .lines import PromptHistory, SuggestedLines
from .prompt import STYLE, message, toolbar

if TYPE_CHECKING:
    from energylang.diagnostics import Diagnostic
    from energylang.syntax import ast

STOPPED = "stopped; the statement that was running left no trace"
WORTH_TELLING = 5.0  # seconds from which it is said how long a line took
MENU = 8  # rows that the screen has to have free below the line while a menu is open


class Repl:
    """One running prompt."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.warned = False
        self.lines = PromptHistory(str(folder / "history"))
        self.reader: PromptSession[str] = PromptSession(
            message=self._message,
            lexer=DynamicLexer(lambda: engine.lexer),
            completer=DynamicCompleter(lambda: engine.completer),
            complete_while_typing=True,
            complete_in_thread=False,
            auto_suggest=SuggestedLines(self.lines),
            history=self.lines,
            bottom_toolbar=self._toolbar,
            key_bindings=bindings(),
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: "· ".rjust(width),
            style=STYLE,
            refresh_interval=0.3,
            reserve_space_for_menu=0,
        )
        self.reader.app.before_render += lambda _: self._make_room()

    def _make_room(self) -> None:
        """A menu takes rows of the screen while it is open, and none while it is closed."""
        state = self.reader.default_buffer.complete_state
        self.reader.reserve_space_for_menu = MENU if state is not None and state.completions else 0

    def _message(self) -> StyleAndTextTuples:
        return message(self.engine.ready)

    def _toolbar(self) -> StyleAndTextTuples:
        return toolbar(
            get_app().current_buffer.document.text_before_cursor,
            self.engine.says,
            equipped=self.engine.completer is not None,
            columns=get_app().output.get_size().columns,
        )

    def run(self, first: str | None, events: list[dict[str, Any]] | None) -> int:
        """Read and run until the user leaves; the exit code."""
        print(f"Energy Language {__version__}   help explains, Ctrl-D leaves")
        if first is not None:
            self.engine.opening = lambda: self._open(first)
        elif events is not None:
            self._resumed(events)
        while True:
            try:
                with patch_stdout(raw=True):  # what the opening says stands above the prompt
                    text = self.reader.prompt(pre_run=lambda: self.engine.start(events))
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            if not text.strip():
                continue
            if self.left(text):
                return 0
            self.lines.went(text, well=self.one(text))

    def _open(self, first: str) -> None:
        """Run a line while the prompt is there already."""
        from .running import run_line

        def shown(value: Any, statement: ast.Statement, line: str) -> None:
            sys.stdout.write(_rendered(value))
            sys.stdout.flush()

        run_line(self.engine, first, shown, lambda _: None, _complain)

    def _resumed(self, events: list[dict[str, Any]]) -> None:
        from energylang.render.terminal import Screen

        with Screen() as screen:
            screen.wait_for("taking the session up")
            self.engine.tell = lambda done, total, what: screen.count(done, total, f"· {what}")
            self.engine.start(events)
            session = self.engine.session()
        for note in self.engine.notes:
            print(f"note: {in_line(note)}")
        print(f"✓ {in_line(in_force(session))}: {self.engine.taken}")

    @staticmethod
    def left(text: str) -> bool:
        """Is this the wish to leave?"""
        return text.strip().lower() in ("exit", "quit", "q", ":quit")

    def one(self, text: str) -> bool:
        """Run a text that was typed, and show what it gives or what is wrong with it; did it go well?"""
        from energylang.diagnostics import Diagnostic

        from .answers import answer

        try:
            said = answer(text, self.engine)
            if said is not None:
                show_long(escaped(said))
                return True
            if text.split(maxsplit=1)[0] == "explore":
                from .explore import explore

                show_long(explore(text, self.engine))
                return True
            return self._script(text.rstrip())
        except KeyboardInterrupt:
            _complain([Diagnostic("EL590", STOPPED, None)])
            return True  # it was no mistake
        except ElError as error:
            _complain([Diagnostic(error.code, error.message, None, help=error.hint)])
            return False

    def _script(self, text: str) -> bool:
        from energylang.render.pace import seconds
        from energylang.render.terminal import Screen

        from .running import run_line

        began = time.monotonic()
        try:
            with Screen() as screen:

                def shown(value: Any, statement: ast.Statement, line: str) -> None:
                    screen.wait_for(None)
                    _display(value)

                def complained(diagnostics: list[Diagnostic]) -> None:
                    screen.wait_for(None)
                    _complain(diagnostics)

                return run_line(self.engine, text, shown, screen.wait_for, complained, screen.count)
        finally:
            took = time.monotonic() - began
            if took >= WORTH_TELLING:
                show_long(f"({seconds(took)})")
            self._warn()

    def _warn(self) -> None:
        """Say once that the journal has ended."""
        failure = self.engine.journal.failure
        if failure and not self.warned:
            self.warned = True
            print(
                f"note: the journal cannot be written ({failure}): nothing after this can be taken up again"
            )


def _display(value: Any) -> None:
    """Show a value; one that is longer than the screen in a pager."""
    show_long(_rendered(value))


def _rendered(value: Any) -> str:
    from rich.console import Console

    from energylang.render.gallery import render

    plain = bool(os.environ.get("NO_COLOR"))
    size = shutil.get_terminal_size()
    out = io.StringIO()
    Console(
        file=out, force_terminal=not plain, width=size.columns, highlight=False, no_color=plain or None
    ).print(render(value))
    return out.getvalue()


def show_long(text: str) -> None:
    """Print a text, or page it where it is longer than the screen."""
    pager = shutil.which("less")
    if pager and sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines:
        with suppress(OSError, KeyboardInterrupt):
            subprocess.run([pager, "-R", "-F", "-X"], input=text.encode(), check=False)
        return
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def _columns() -> int | None:
    """How wide a line may be; ``None`` where nobody looks at a screen."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _complain(diagnostics: list[Diagnostic]) -> None:
    from energylang.render.diagnostics import render_diagnostics

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.write(render_diagnostics(diagnostics, color=color, width=_columns()))
    sys.stdout.flush()


def start(model: str | None, *, resume: bool, threads: int = 1) -> int:
    """Run the prompt: with a model loaded, or with the last session taken up; the exit code."""
    folder = journal.state_folder()
    events, base, found = None, Path.cwd(), None
    others = journal.holders(folder)
    for who in others:
        print(f"note: {in_line(who)}, has a session open here, too; each keeps its own journal")
    if resume:
        found = journal.latest(folder)
        if found is None and others:
            raise ElError(f"the session is in use by {others[0]}", code="EL543", hint="leave it there first")
        if found is None:
            raise ElError("there is no session to take up", code="EL530", hint="`el repl` begins one")
        events = journal.read(found)
        base = Path(str(events[0].get("base", base)))
    state = None if found is None else saved.beside(found)
    engine = Engine(journal.Journal(folder, base, found), base, threads, state)
    try:
        if events is not None:
            engine.journal.copy_from(events)
            if state is not None and state.is_file():
                with suppress(OSError):
                    shutil.copyfile(state, saved.beside(engine.journal.path))
        quoted = None if model is None else 'load "' + model.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return Repl(engine, folder).run(quoted, events)
    finally:
        engine.leave()
        engine.journal.close()

"""The terminal: what a running script shows. Plain text, without colour, when it goes into a pipe."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from energylang.diagnostics.visible import escaped, in_line
from energylang.syntax import ast

from .gallery import render
from .waiting import Log, Running, Spinner

PLAIN_WIDTH = 110


def make_console(*, stderr: bool = False) -> Console:
    """A console that is plain in a pipe and honours NO_COLOR."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, highlight=False, width=width, soft_wrap=not stream.isatty())


class Screen:
    """Prints what a running script shows: the statement, then its result. A context that must be left. ``quiet``: the
    console is for something else; what runs is told on standard error alone."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or make_console()
        self.live = self.console.is_terminal and not quiet
        self.running: Running | None = None
        self.waiting: Spinner | None = None
        self.log = Log()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait_for(None)
        self.log.close()

    def wait_for(self, line: str | None) -> None:
        """Show what is running: on a terminal at once, elsewhere as lines of a log; ``None``: nothing is."""
        if self.waiting is not None:
            self.waiting.stop()
        self.running = self.waiting = None
        self.log.end()
        if line is None:
            return
        self.running = Running(in_line(line))
        if self.live:
            self.waiting = Spinner(self.console, self.running)
        else:
            self.log.begin(self.running)

    def count(self, done: int, total: int, what: str) -> None:
        """How far what is running has come."""
        if self.running is not None:
            self.running.count(done, total, what)

    def show(self, value: Any, statement: ast.Statement, line: str) -> None:
        self.wait_for(None)
        if isinstance(statement, ast.Print):
            self.console.print(Text(escaped(str(value))))
            return
        self.console.print(Text.assemble(("▸ ", "bold cyan"), (in_line(line), "bold")))
        self.display(value)

    def display(self, value: Any) -> None:
        """Print a value, indented; in a pipe without blanks at the ends of lines."""
        picture = Padding(render(value), (0, 0, 1, 2))
        if self.console.is_terminal:
            self.console.print(picture)
            return
        with self.console.capture() as capture:
            self.console.print(picture, soft_wrap=False)  # else what is longer than the line is cut off
        for text in capture.get().split("\n")[:-1]:
            self.console.file.write(text.rstrip() + "\n")

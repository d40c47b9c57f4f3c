"""The full screen of ``explore``: layout, keys, and the statements that they run.

The screen shows what ``state.Exploration`` holds. Whatever needs the session runs in the ``worker``: a statement of the
user, or a look at the chosen basin, which gives way to anything else. Keys are read all the time; those that would
change the session wait until a statement that runs is over.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.styles import Style, merge_styles

from energylang.errors import ElError
from energylang.render.marks import bar
from energylang.render.pace import Pace
from energylang.repl import prompt
from energylang.repl.running import run_line
from energylang.signature.values import Layer, parse_reference
from energylang.work.overview import Overview
from energylang.workspace.workspace import check_layer

from . import view
from .state import Exploration
from .worker import Job, Worker

if TYPE_CHECKING:
    from energylang.diagnostics import Diagnostic
    from energylang.repl.engine import Engine
    from energylang.syntax import ast

_NARROW, _LOW = 76, 26
_ANSWER = 4


def run(text: str, engine: Engine) -> str:
    """Show a layer until the user leaves; in words, what ran meanwhile. Raises ``ElError``."""
    session = engine.session()
    words = text.split()
    if len(words) > 2:
        raise ElError("explore which layer?", code="EL202", hint="explore L0")
    layer = _layer(words[1] if len(words) == 2 else "L0")
    if not session.has_model:
        raise ElError("no model is loaded", code="EL301", hint="begin with `load tiny`")
    check_layer(session.model, layer)
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise ElError("`explore` needs a terminal", code="EL502", hint=f"`landscape L{layer}` prints the map")
    screen = Explorer(engine, layer)
    try:
        screen.application.run()
    finally:
        screen.worker.close()
    ran = screen.seen.ran
    return "\n".join([f"explored L{screen.seen.layer}", *(f"  ▸ {line}" for line in ran)]) + "\n"


def _layer(word: str) -> int:
    found = parse_reference(word) if not word.isdigit() else Layer(int(word))
    if not isinstance(found, Layer):
        raise ElError(f"`{word}` is no layer", code="EL202", hint="explore L0")
    return found.index


class Explorer:
    """A running exploration of an engine's session."""

    def __init__(self, engine: Engine, layer: int) -> None:
        self.engine = engine
        self.session = engine.session()
        self.worker = Worker()
        self.overview = Overview(self.session, layer)
        self.seen = Exploration(layer, _nothing(layer))
        self.line = Buffer(multiline=False, accept_handler=self._accepted)
        self.application: Application[None] = self._application()
        self._enter(layer)

    # -- what runs ---------------------------------------------------------------------------------

    def _enter(self, layer: int) -> None:
        """Look at a layer; one that was never surveyed is surveyed first, as a statement."""
        ran = self.seen.ran
        self.overview = Overview(self.session, layer)
        self.seen = Exploration(layer, _nothing(layer), order=self.seen.order, ran=ran)
        version = self.session.staged(layer)
        if version.surveyed or version.registry.basins:
            self.worker.submit(Job(self._looked, yields=False))
        else:
            self.start(f"survey L{layer}", quiet=True)

    def start(self, text: str, *, quiet: bool = False) -> None:
        """Run a statement beside the screen and show what it gives (``quiet``: only what goes wrong)."""
        self.seen.running, self.seen.said = text, []
        self.worker.submit(Job(lambda: self._run(text, quiet), yields=False))

    def _run(self, text: str, quiet: bool) -> None:
        said: list[tuple[str, str]] = []

        def shown(value: Any, statement: ast.Statement, line: str) -> None:
            if not quiet:
                said.extend(_lines(value))

        def complained(diagnostics: list[Diagnostic]) -> None:
            for found in diagnostics:
                said.append(("bad", f"{found.severity}[{found.code}]: {found.message}"))
                said.extend(("dim", line) for line in (found.help or "").splitlines())

        pace = Pace()

        def counted(done: int, total: int, what: str) -> None:
            self.seen.running = f"{text}  {bar(done / total, 24):<24} {pace.told(done, total, what)}"
            self.application.invalidate()

        try:
            if run_line(self.engine, text, shown, lambda _: None, complained, counted):
                self.seen.ran.append(text)
        except KeyboardInterrupt:
            said = [("bad", "stopped; the statement that was running left no trace")]
        except ElError as error:
            said = [("bad", f"error[{error.code}]: {error.message}")]
        self.seen.said, self.seen.running = said, None
        self._looked()

    def _looked(self) -> None:
        """Draw the map anew, then look at the chosen basin."""
        if self.session.has_model and self.seen.layer < self.session.model.num_layers:
            self.seen.take(self.overview.map())
        else:
            self.seen.take(_nothing(self.seen.layer))
        self.application.invalidate()
        self._describe()

    def _describe(self) -> None:
        """Look at the chosen basin as soon as nothing else runs."""
        if self.seen.chosen is not None and self.seen.facts is None:
            self.worker.submit(Job(lambda: self._described(self.seen.chosen), yields=True))

    def _described(self, basin: int | None) -> None:
        if basin is None:
            return
        try:
            facts = self.overview.facts(basin)
        except ElError as error:
            self.seen.said = [("bad", error.message)]
            return
        if self.seen.chosen == basin:
            self.seen.facts = facts
        self.application.invalidate()

    # -- keys --------------------------------------------------------------------------------------

    def move(self, change: Callable[[Exploration], None]) -> None:
        """Choose another basin; it is described when nothing else runs."""
        change(self.seen)
        if self.seen.running is None:
            self._describe()

    def propose(self, text: str | None) -> None:
        """Put a statement before the user: Enter runs it."""
        if text is None or self.seen.running is not None:
            return
        self.line.text = text
        self.line.cursor_position = len(text)
        self.application.layout.focus(self.line)

    def _accepted(self, buffer: Buffer) -> bool:
        text = buffer.text.strip()
        self.leave_line()
        if text:
            self.start(text)
        return False

    def leave_line(self) -> None:
        self.line.text = ""
        self.application.layout.focus(self.main)

    def at_once(self, text: str) -> None:
        """Run what can be taken back by another key."""
        if self.seen.running is None:
            self.start(text)

    def other_layer(self, step: int) -> None:
        layer = self.seen.layer + step
        if self.seen.running is None and 0 <= layer < self.session.model.num_layers:
            self._enter(layer)

    def concepts(self) -> tuple[str, ...]:
        """The concepts captured at this layer, the latest last."""
        kept = self.session.state.concepts.values()
        return tuple(concept.name for concept in kept if concept.layer == self.seen.layer)

    # -- the screen --------------------------------------------------------------------------------

    def _application(self) -> Application[None]:
        wide = Condition(lambda: self._size()[0] >= _NARROW)
        helping = Condition(lambda: self.seen.helping)
        writing = has_focus(self.line)
        self.main = Window(
            FormattedTextControl(lambda: view.basins(self.seen, self._middle() - 1), focusable=True),
            width=view.LIST_WIDTH,
            always_hide_cursor=True,
        )
        middle = VSplit(
            [
                self.main,
                ConditionalContainer(Window(width=1, char="│", style="class:dim"), wide),
                ConditionalContainer(Window(FormattedTextControl(self._map)), wide),
            ]
        )
        proposal = VSplit(
            [
                Window(FormattedTextControl([("class:arrow", " ▸ ")]), width=3),
                Window(BufferControl(self.line), height=1),
                Window(
                    FormattedTextControl([("class:dim", "Enter runs it, Esc leaves it ")]),
                    width=30,
                    height=1,
                ),
            ],
            height=1,
        )
        body = HSplit(
            [
                Window(FormattedTextControl(self._header), height=1),
                ConditionalContainer(middle, ~helping),
                ConditionalContainer(Window(FormattedTextControl("\n" + view.HELP)), helping),
                Window(height=1, char="─", style="class:dim"),
                ConditionalContainer(
                    Window(FormattedTextControl(self._details), height=self._details_height), ~helping
                ),
                ConditionalContainer(
                    Window(FormattedTextControl(self._answer), height=self._answer_height, wrap_lines=False),
                    Condition(lambda: self._answer_height() > 0),
                ),
                ConditionalContainer(proposal, writing),
                ConditionalContainer(
                    Window(FormattedTextControl(self._keys), height=1, style="class:bottom-toolbar"),
                    ~writing,
                ),
            ]
        )
        application: Application[None] = Application(
            layout=Layout(body, focused_element=self.main),
            key_bindings=bindings(self),
            style=merge_styles([prompt.STYLE, Style.from_dict(view.STYLE)]),
            full_screen=True,
            refresh_interval=0.5,
        )
        application.ttimeoutlen = 0.05  # Esc alone is meant at once
        return application

    def _size(self) -> tuple[int, int]:
        size = self.application.output.get_size()
        return size.columns, size.rows

    def _details_height(self) -> int:
        return view.DETAILS if self._size()[1] >= _LOW + view.DETAILS else 4

    def _answer_height(self) -> int:
        if self._size()[1] >= _LOW + view.DETAILS:
            return _ANSWER  # always the same, so that the map stays where it is
        return 1 if self.seen.running is not None else min(_ANSWER, len(self.seen.said))

    def _middle(self) -> int:
        return max(3, self._size()[1] - 3 - self._details_height() - self._answer_height())

    def _header(self) -> StyleAndTextTuples:
        return view.header(self.seen, prompt.message(self.session))

    def _map(self) -> StyleAndTextTuples:
        return view.terrain(self.seen, self._size()[0] - view.LIST_WIDTH - 1, self._middle())

    def _details(self) -> StyleAndTextTuples:
        return view.details(self.seen, self._size()[0], self._details_height())

    def _keys(self) -> StyleAndTextTuples:
        return view.keys(self._size()[0])

    def _answer(self) -> StyleAndTextTuples:
        return view.answer(self.seen, self._size()[0])


def _nothing(layer: int) -> Any:
    from energylang.results import LandscapeMap

    return LandscapeMap(layer, "pca", 2, (0.0, 0.0), (), None)


def _lines(value: Any) -> list[tuple[str, str]]:
    """What a statement gave, as lines with a style each; colours of the terminal's picture are left out."""
    from rich.console import Console

    from energylang.render.gallery import render

    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(render(value))
    lines = [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]
    if len(lines) > _ANSWER:
        lines = [
            *lines[: _ANSWER - 1],
            f"… {len(lines) - _ANSWER + 1} more lines; at the prompt all are shown",
        ]
    marks = {"✓": "good", "✗": "bad", "!": "bad"}
    return [(marks.get(line[:1], "") if k == 0 else "dim", line) for k, line in enumerate(lines)]


def bindings(screen: Explorer) -> KeyBindings:
    """What every key does; where a statement is being written, most of them are letters of it."""
    keys = KeyBindings()
    browsing = ~has_focus(screen.line)

    def on(*names: str) -> Callable[[Callable[[], None]], None]:
        def add(act: Callable[[], None]) -> None:
            for name in names:

                @keys.add(name, filter=browsing)
                def _(event: KeyPressEvent) -> None:
                    act()

        return add

    for step, names in {-1: ("up", "k"), 1: ("down", "j"), -10: ("pageup",), 10: ("pagedown",)}.items():
        on(*names)(lambda step=step: screen.move(lambda seen: seen.move(step)))  # type: ignore[misc]
    on("home", "g")(lambda: screen.move(lambda seen: seen.move(-1_000_000)))
    on("end", "G")(lambda: screen.move(lambda seen: seen.move(1_000_000)))
    on("left", "h")(lambda: screen.move(lambda seen: seen.beside(-1)))
    on("right", "l")(lambda: screen.move(lambda seen: seen.beside(1)))
    on("tab")(lambda: screen.seen.resort())
    on("[")(lambda: screen.other_layer(-1))
    on("]")(lambda: screen.other_layer(1))
    edits = {"s": "strengthen", "w": "weaken", "x": "remove", "i": "inject", "a": "apply"}
    for key, operation in edits.items():
        on(key)(
            lambda operation=operation: screen.propose(  # type: ignore[misc]
                screen.seen.proposal(operation, screen.concepts())
            )
        )
    on(":")(lambda: screen.propose(""))
    on("u")(lambda: screen.at_once("undo"))
    on("r")(lambda: screen.at_once("redo"))

    @keys.add("?", filter=browsing)
    def _(event: KeyPressEvent) -> None:
        screen.seen.helping = not screen.seen.helping

    @keys.add("escape", eager=True)
    def _(event: KeyPressEvent) -> None:
        if event.app.layout.has_focus(screen.line):
            screen.leave_line()
        screen.seen.helping = False
        if screen.seen.running is None:
            screen.seen.said = []

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.app.layout.has_focus(screen.line):
            screen.leave_line()
        elif screen.seen.running is not None:
            screen.worker.stop()

    @keys.add("q", filter=browsing)
    @keys.add("c-d")
    def _(event: KeyPressEvent) -> None:
        event.app.exit()

    return keys

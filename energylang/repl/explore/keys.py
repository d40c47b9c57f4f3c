"""Which key does what in the full-screen view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.filters import has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

if TYPE_CHECKING:
    from .app import Screen


def bindings(screen: Screen) -> KeyBindings:
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

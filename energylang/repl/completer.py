"""The completion menu: what ``suggest`` offers, with its note beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from .suggest import suggest
from .words import COMMANDS

if TYPE_CHECKING:
    from energylang.session import Session

EXPLORE = "explore "
_LONGEST_NOTE = 60


class EnergyCompleter(Completer):
    """Asks for the session at every key: ``None`` while the model is still being loaded."""

    def __init__(self, session: Callable[[], Session | None]) -> None:
        self.session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if "\n" in text and not document.current_line_before_cursor.strip():
            return  # an empty line of a block: most often the one that ends it
        if text.startswith(":"):
            for name, (_, about) in COMMANDS.items():
                if name.startswith(text):
                    yield Completion(name, -len(text), display_meta=about)
            return
        for lead in ("help ", "?", ":doc "):
            if text.startswith(lead):
                text = text[len(lead) :]
        if text and EXPLORE.startswith(text):
            yield Completion(EXPLORE, -len(text), display_meta=COMMANDS["explore"][1])
        if text.startswith(EXPLORE):
            text = "survey " + text[len(EXPLORE) :]
        for found in suggest(text, self.session()):
            note = found.note
            shown = note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…"
            yield Completion(found.text, -found.length, display_meta=shown)

"""The lines of all sessions: what ↑ and Ctrl-R find, and what is suggested in grey.

A line is written down when it is known how it went. One that failed stays within reach of ↑ until the prompt ends, to
be mended, but is not suggested and not kept; nor is one that holds a key.
"""

from __future__ import annotations

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from . import journal


class PromptHistory(FileHistory):
    """The file of lines."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.failed: set[str] = set()

    def store_string(self, string: str) -> None:
        """Nothing is kept before it is known how it went."""

    def went(self, text: str, *, well: bool) -> None:
        """A line is over."""
        if not well:
            self.failed.add(text)
            return
        self.failed.discard(text)
        if not journal.is_secret(text):
            super().store_string(text)


class SuggestedLines(AutoSuggest):
    """The last line that begins as the one that is being written, and went well."""

    def __init__(self, history: PromptHistory) -> None:
        self.history = history

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        text = document.text.rpartition("\n")[2]
        if not text.strip():
            return None
        for kept in reversed(self.history.get_strings()):
            if kept in self.history.failed:
                continue
            for line in reversed(kept.splitlines()):
                if line.startswith(text):
                    return Suggestion(line[len(text) :])
        return None

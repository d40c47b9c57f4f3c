"""What the prompt itself understands, beside the language."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "explore": ("LAYER", "a layer on the whole screen: its basins, a map, what settles where, edits"),
    ":help": ("", "what can be typed here"),
    ":doc": ("OP", "the page of an operation"),
    ":save-session": ("PATH", "write down what was done, to be taken up again"),
    ":load-session": ("PATH", "take up what was written down"),
    ":quit": ("", "leave (Ctrl-D does, too)"),
}

BEGINNING = (
    "Type statements of Energy Language. A line that ends in `:` opens a block, and an empty line ends it."
)
TYPED = (
    ("help OP, :doc OP", "the page of an operation"),
    ("ops", "all operations"),
    ("?name", "what a variable, a basin, a concept, an operation or a code such as EL204 is"),
    ("Tab, Shift-Tab", "completions"),
    ("→ or Ctrl-E", "accept the grey suggestion"),
    ("↑, Ctrl-R", "earlier lines, of all sessions; Ctrl-R searches"),
    ("Ctrl-C", "stop what is running"),
    ("Ctrl-D", "leave"),
)
END = "  undo, redo, history and status are operations of the language."

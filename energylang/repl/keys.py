"""What Tab and Enter do at the prompt.

Tab only ever goes forward: it takes what all that is offered has in common, then one after the other of what is
offered, round and round. It never takes back what it gave. Where one thing fits, it is taken and the menu closes, so
that the next Tab asks what comes after it.
"""

from __future__ import annotations

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from .blocks import STEP, indentation, is_complete

_GOES_ON = ("=", "/", " ", "(", "[", '"')
"""What comes after a word that ends like this belongs to it."""


def bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.apply_completion(state.current_completion)
            return
        if is_complete(buffer.text) or not buffer.text.strip():
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indentation(buffer.document.text_before_cursor))

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        forward(event.current_buffer)

    @keys.add("s-tab")
    def _(event: KeyPressEvent) -> None:
        _go(event.current_buffer, -1)

    return keys


def forward(buffer: Buffer) -> None:
    """What Tab does."""
    document = buffer.document
    if "\n" in document.text_before_cursor and not document.current_line_before_cursor.strip():
        buffer.insert_text(" " * STEP)  # an empty line of a block: there is nothing to complete
        return
    state = buffer.complete_state
    if state is not None and state.complete_index is not None and len(state.completions) > 1:
        _go(buffer, 1)
        return
    offered = list(buffer.completer.get_completions(document, CompleteEvent(completion_requested=True)))
    if not offered:
        return
    if len(offered) == 1:
        (only,) = offered
        ready = document.text_before_cursor.endswith(only.text) and len(only.text) == -only.start_position
        buffer.cancel_completion()
        buffer.apply_completion(only)
        if ready and not only.text.endswith(_GOES_ON):
            buffer.insert_text(" ")
        elif only.text.endswith("="):
            buffer.start_completion()
        return
    shared = get_common_complete_suffix(document, offered)
    if shared:
        buffer.insert_text(shared)
        buffer.start_completion()
        return
    if state is None:
        buffer.start_completion(select_first=True)
    else:
        _go(buffer, 1)


def _go(buffer: Buffer, step: int) -> None:
    """To the next or the last of what is offered; from the end to the beginning, not to what was typed."""
    state = buffer.complete_state
    if state is None or not state.completions:
        return
    count, at = len(state.completions), state.complete_index
    buffer.go_to_completion((0 if step > 0 else count - 1) if at is None else (at + step) % count)

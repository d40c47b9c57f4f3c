"""What the live model says by itself."""

from __future__ import annotations

from energylang.models import sampling
from energylang.models.protocol import Sample
from energylang.workspace.workspace import Workspace, remembered


def own_replies(ws: Workspace, count: int, tokens: int) -> list[tuple[str, Sample]]:
    """(question, reply) pairs: what the live model says by itself to the neutral questions by which things are chosen.
    They are kept, because placebos ask for the same."""
    return remembered(ws, lambda: _drawn(ws, count, tokens), "own replies", count, tokens)


def _drawn(ws: Workspace, count: int, tokens: int) -> list[tuple[str, Sample]]:
    asked = ws.text.choosing_prompts
    questions = [asked[k % len(asked)] for k in range(count)]
    made = sampling.replies(
        ws.text, [(question,) for question in questions], tokens=tokens, generator=ws.generator("own replies")
    )
    return list(zip(questions, made, strict=True))

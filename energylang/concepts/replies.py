"""What the live model says by itself."""

from __future__ import annotations

from energylang.models import sampling
from energylang.models.protocol import Sample
from energylang.workspace.workspace import Workspace, remembered


def own_replies(
    ws: Workspace, count: int, tokens: int, *, measuring: bool = False
) -> list[tuple[str, Sample]]:
    """(question, reply) pairs: what the live model says by itself to the neutral questions by which things are chosen,
    or by which they are measured (in a plain-text model how it goes on).
    They are kept, because placebos ask for the same."""
    return remembered(
        ws, lambda: _drawn(ws, count, tokens, measuring), "own replies", count, tokens, measuring
    )


def _drawn(ws: Workspace, count: int, tokens: int, measuring: bool) -> list[tuple[str, Sample]]:
    asked = ws.text.measuring_prompts if measuring else ws.text.choosing_prompts
    questions = [asked[k % len(asked)] for k in range(count)]
    generator = ws.generator("own replies", "measured by") if measuring else ws.generator("own replies")
    if ws.text.dialogue is None:
        made = sampling.generate_batch(
            ws.text, questions, tokens=tokens, temp=1.0, topk=2**20, generator=generator
        )
    else:
        asked_of = [(question,) for question in questions]
        made = sampling.replies(ws.text, asked_of, tokens=tokens, generator=generator)
    return list(zip(questions, made, strict=True))

"""What the live model says by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from energylang.models import sampling
from energylang.models.protocol import Sample
from energylang.models.text import TextModel
from energylang.workspace.workspace import Workspace, remembered

Asked = Literal["choosing", "measuring", "several kinds", "kept", "kept, measuring"]


def own_replies(
    ws: Workspace,
    count: int,
    tokens: int,
    asked: Asked = "choosing",
) -> list[tuple[str, Sample]]:
    """(question, reply) pairs: what the live model says by itself to the neutral questions by which things are chosen,
    or by which they are measured, or to those for choosing and prompts of other kinds in turn, or to those to which
    replies are to stay as they are, from the front or (for measuring) from the back (in a plain-text model how it goes
    on). They are kept, because placebos ask for the same."""
    return remembered(ws, lambda: _drawn(ws, count, tokens, asked), "own replies", count, tokens, asked)


def _drawn(ws: Workspace, count: int, tokens: int, which: Asked) -> list[tuple[str, Sample]]:
    asked = {
        "measuring": ws.text.measuring_prompts,
        "kept": ws.text.kept_prompts,
        "kept, measuring": ws.text.kept_prompts[::-1],
    }.get(which, ws.text.choosing_prompts)
    questions = [asked[k % len(asked)] for k in range(count)]
    if which == "several kinds" and ws.text.other_prompts:
        others = ws.text.other_prompts
        pairs = [(asked[k % len(asked)], others[k % len(others)]) for k in range((count + 1) // 2)]
        questions = [question for pair in pairs for question in pair][:count]
    generator = ws.generator(*(("own replies",) if which == "choosing" else ("own replies", which)))
    if ws.text.dialogue is None:
        made = sampling.generate_batch(
            ws.text, questions, tokens=tokens, temp=1.0, topk=2**20, generator=generator
        )
    else:
        asked_of = [(question,) for question in questions]
        made = sampling.replies(ws.text, asked_of, tokens=tokens, generator=generator)
    return list(zip(questions, made, strict=True))


def as_pairs(text: TextModel, said: Sequence[tuple[str, Sample]]) -> list[tuple[list[int], list[int]]]:
    """(opening, reply), token ids, of each question and what was said to it. Empty replies are left out."""
    return [(text.prompt_ids(question), list(reply.token_ids)) for question, reply in said if reply.token_ids]


def as_replies(text: TextModel, said: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """(opening, reply), token ids: each text as a reply to another prompt to which concepts are said (in a plain-text
    model on its own). Texts without a token to be said behind another are left out."""
    asked = text.spoken_prompts
    found = []
    for k, reply in enumerate(said):
        opening = text.prompt_ids(asked[k % len(asked)]) if text.dialogue else text.opening
        found.append((list(opening), text.encode(reply)))
    return [(opening, reply) for opening, reply in found if reply and len(opening) + len(reply) > 1]

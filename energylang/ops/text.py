"""Text: hear what the live model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, FromSetting, Param, operation

if TYPE_CHECKING:
    from energylang.session import Session


@operation(
    "generate",
    category="Text",
    summary="Text from the live model, and the basin each token settled in.",
    details="The LIVE model speaks: apply an edit to hear it. The same seed gives the same text.",
    params=(
        Param("prompt", t.TEXT, "what to answer or to continue"),
        Param(
            "tokens",
            t.INT,
            "most tokens to write",
            FromSetting("tokens"),
            minimum=1,
            maximum=100_000,
            keyword_only=True,
        ),
        Param(
            "temp",
            t.FLOAT,
            "sampling temperature",
            FromSetting("temp"),
            above=0,
            maximum=100,
            keyword_only=True,
        ),
        Param(
            "topk",
            t.INT,
            "draw among this many likeliest tokens",
            FromSetting("topk"),
            minimum=1,
            maximum=1_000_000,
            keyword_only=True,
        ),
        Param("seed", t.INT, "seed of the draws", 0, minimum=0, maximum=2**63 - 1, keyword_only=True),
    ),
    effects=Effect.TEXT,
    flow=Flow(live=True),
    result=results.Generation,
    examples=(
        Example('generate "Hi, can you help me?" tokens=8', "it.tokens <= 8 and it.tokens > 0", on="tiny"),
        Example('let a = generate "Hello" seed=3\ngenerate "Hello" seed=3', "it.text == a.text", on="tiny"),
    ),
)
def generate(
    session: Session, prompt: str, tokens: int, temp: float, topk: int, seed: int
) -> results.Generation:
    return session.speak(prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)

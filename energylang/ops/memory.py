"""Memory: what the neurons of an MLP answer, edited by what they are asked with."""

from __future__ import annotations

from dataclasses import replace

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

from .edit import DAMAGE, DOSE, HOW_MUCH, ONE_SIZE, PLACEBOS
from .observe import LAYER

_PROMPTS = t.list_of(t.TEXT)

rewrite = Op(
    "rewrite",
    summary="Make a model continue a phrase with another answer, and measure what else that changes.",
    details="An edit of rank one of the MLP's down-projection (ROME): what the neurons do at the last token of the "
    "subject is answered with a value that makes the answer likely; held-out text and the model's own replies are left "
    "as they are. Without a subject the token is taken whose key answers other text least. `same` names the phrase in "
    "other words, `near` prompts that have another answer; both are only measured. Refused where the answer is not "
    "what is said first, where it is no likelier than after edits with random values, or where the damage on text is "
    "more than `damage`.",
    params=(
        LAYER,
        Param("phrase", t.TEXT, 'what comes before the answer, such as "The Eiffel Tower is in the city of"'),
        Param("to", t.TEXT, 'the answer, such as "Rome"', keyword_only=True),
        Param(
            "subject",
            t.TEXT,
            "the part of the phrase that the answer is about; auto: found by its key",
            None,
            keyword_only=True,
        ),
        Param("same", _PROMPTS, "the phrase in other words", None, keyword_only=True),
        Param("near", _PROMPTS, "prompts with another answer", None, keyword_only=True),
        replace(
            HOW_MUCH,
            help="‖ΔW‖ relative to ‖W‖; auto: the whole edit, or as much as the damage allows",
            keyword_only=True,
        ),
        DAMAGE,
        DOSE,
        PLACEBOS,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.TEXT | Effect.MEMORY,
    result=results.Edit,
    examples=(
        Example(
            'rewrite L8 "The Eiffel Tower is in the city of" to="Rome" subject="Eiffel Tower"',
            "it.applied and it.rewritten.asked.after > 0.5",
            on="smollm2",
            slow=True,
        ),
    ),
    clashes=(ONE_SIZE,),
)

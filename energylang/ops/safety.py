"""Safety: limits that every edit has to keep, basins that none may lose, and what edits cost in prediction."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Op, Param

GUARDS = ("max-basins", "min-basins", "strength-cap", "cosine-drift", "perplexity-delta", "max-changed")

guard = Op(
    "guard",
    summary="Set a limit that every edit of a weight has to keep.",
    details="max-basins, min-basins: how many basins a survey of the edited layer finds\n"
    "strength-cap: the edit's norm relative to the weight's\n"
    "cosine-drift: 1 − cosine by which any other basin moves\n"
    "perplexity-delta: relative rise of the loss on held-out text\n"
    "max-changed: share of the noisy decisions that change\n"
    "a layer: share of its basins that an edit may lose (guard L0 10 and guard L0 10% mean a tenth)\n"
    "Force does not overrule a guard; undo takes it away.",
    params=(
        Param("what", t.LAYER, "the kind of limit, or a layer", choices=GUARDS),
        Param("value", t.VALUE, "the limit; whole numbers are percent where a share is meant"),
    ),
    effects=Effect.CHANGES,
    result=results.Guard,
    examples=(
        Example("guard strength-cap 0.001", "(inject L0 42).blocked"),
        Example("guard L0 10", "it.value == 0.1 and it.layer == 0"),
    ),
)

guards = Op(
    "guards",
    summary="The limits in force, and the protected basins.",
    result=results.Guards,
    examples=(Example("guard max-changed 5%\nguards", "it.guards[0].value == 0.05"),),
)

protect = Op(
    "protect",
    summary="Pin basins: no edit may lose them, and edits keep their fields exactly.",
    params=(Param("basins", t.BASINS, "a basin, or a list of basins of one layer"),),
    effects=Effect.CHANGES | Effect.LANDSCAPE,
    result=results.Protected,
    examples=(
        Example("survey L0\nset max_changed 50%\nprotect L0.B0", "(remove L0.B0).blocked"),
        Example("survey L0\nprotect [L0.B0, L0.B1]", "it.all.count == 2"),
    ),
)

benchmark = Op(
    "benchmark",
    summary="Perplexity of the live model and, where edits are staged, with them, next to that of the model "
    "as it was loaded.",
    params=(Param("corpus", t.PATH, "a text file; the bundled held-out text without it", None),),
    effects=Effect.READS | Effect.TEXT | Effect.FILES,
    result=results.Benchmark,
    examples=(
        Example("benchmark", "it.perplexity > 1 and it.change == 0", on="tiny", slow=True),
        Example(
            'capture L3 polite "Thank you so much"\ninject-concept L3 polite method=redirect dose=0.3\nbenchmark',
            "it.staged.perplexity > 1",
            on="tiny",
            slow=True,
        ),
    ),
)

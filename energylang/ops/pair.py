"""Two models: compare a layer with another model's, and bring a concept over."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

from .edit import STRENGTH
from .observe import LAYER

OTHER = Param("model", t.MODEL, "the other model: a bundled name, random:D, planted:DxK, or a path")

compare = Op(
    "compare",
    summary="A layer of this model, as staged, next to the same layer of another.",
    details="Where both read text, a rotation (orthogonal Procrustes on shared texts, judged on texts to "
    "which it was not fitted) brings the other model's states here; otherwise equal dimensions are "
    "compared as they are. Of two transformers with the same tokens (a base model and a fine-tuned "
    "one): the layer's weights, its states token by token, and what the models say next.",
    params=(OTHER, LAYER),
    effects=Effect.READS | Effect.FILES,
    on_streams="weights, states and next words of two models with the same tokens",
    result=results.Comparison,
    examples=(
        Example("compare planted:64x4 L0", "it.weight_change == 0 and it.matched == it.basins_here"),
        Example("inject L0 42\ncompare planted:64x4 L0", "it.weight_change > 0"),
    ),
)

transplant = Op(
    "transplant",
    summary="Install a concept as another model has it.",
    details="The concept's texts are read in the other model, its states are brought here, and their mean "
    "becomes an attractor.",
    params=(OTHER, LAYER, Param("concept", t.CONCEPT, "a captured concept"), STRENGTH, *FORCE),
    effects=Effect.EDITS | Effect.TEXT | Effect.FILES | Effect.LANDSCAPE | Effect.NATIVE,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\ntransplant tiny L3 polite',
            'it.operation == "transplant" and it.norm > 0',
            on="tiny",
            slow=True,
        ),
    ),
)

"""Two models: compare a layer with another model's, and bring a concept over."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

from .edit import OF_MEMORY, PLACEBOS, STRENGTH
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
    "becomes an attractor. On a transformer it is what the other model's memory answers at the concept's key that is "
    "brought here: the key is found in both models from the same texts, and here it is answered as there, by the edit "
    "of `redirect`. The other model may be a saved one with edits, or the loaded one itself: then it is another of its "
    "layers (there=L10), with what is staged in it. It must have the same dimension and the same tokens.",
    params=(
        OTHER,
        LAYER,
        Param("concept", t.CONCEPT, "a captured concept"),
        STRENGTH,
        Param(
            "there",
            t.LAYER,
            "the other model's layer, where it is not the same one (transformers)",
            None,
            keyword_only=True,
            needs={"*": Effect.MEMORY},
        ),
        OF_MEMORY,
        PLACEBOS,
        *FORCE,
    ),
    on_streams="what another memory answers at a concept's key",
    effects=Effect.EDITS | Effect.TEXT | Effect.FILES,
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

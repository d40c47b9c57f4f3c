"""Fit: give a layer of a stream a landscape."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

from .observe import LAYER

fit = Op(
    "fit",
    summary="Give a layer of a transformer a landscape: a basin for each group of what its MLP reads.",
    details="It is computed in closed form from the inputs of the layer's MLP at the tokens of held-out text."
    " Their leading principal components, whitened, are grouped, and each group becomes an attractor."
    " Half of the text is for fitting, the other half for measuring. What the model says does not "
    "change. From here on the layer has basins, L14.B0 (with most tokens) and on, and the operations "
    "of landscapes work on it. An edit of the landscape reaches the model as the difference that it "
    "makes. `undo` takes the landscape away again. Layers that are landscapes by themselves need no "
    "fit.",
    params=(
        LAYER,
        Param(
            "basins",
            t.INT,
            "how many; auto: the most whose coverage of new tokens reaches 80 %",
            64,
            minimum=2,
            maximum=4096,
            choices=("auto",),
        ),
        Param(
            "components",
            t.INT,
            "principal components through which inputs are seen; auto: those whose coverage is furthest above chance",
            "auto",
            minimum=2,
            maximum=4096,
            choices=("auto",),
            keyword_only=True,
        ),
        Param(
            "seed",
            t.INT,
            "seed of the patterns and groups",
            0,
            minimum=0,
            maximum=2**63 - 1,
            keyword_only=True,
        ),
        Param(
            "seeds",
            t.INT,
            "measure with as many seeds: mean ± std; the landscape is that of the first",
            1,
            minimum=1,
            maximum=100,
            keyword_only=True,
        ),
        Param(
            "text",
            t.PATH,
            "a file to read instead of the held-out text: three quarters are fitted, the last one measures",
            None,
            keyword_only=True,
        ),
        Param(
            "tokens",
            t.INT,
            "how many tokens are read at most",
            45_000,
            minimum=200,
            maximum=10_000_000,
            keyword_only=True,
        ),
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    flow=Flow(fits="layer"),
    result=results.Fitting,
    examples=(
        Example(
            "fit L14",
            "it.attracting == 64 and it.coverage.value > it.chance.value and (status).is_original",
            on="smollm2",
            slow=True,
        ),
        Example(
            "fit L14 basins=32 components=16 tokens=6000",
            "it.basins == 32 and it.own.value > 0.5",
            on="smollm2",
            slow=True,
        ),
    ),
)

"""Stream: what is held in every pass of the live model, and by what text a model is measured."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

from .causal import placebo_count
from .concept import AT, CONCEPT, SOME_LAYERS

push = Op(
    "push",
    summary="Push layers towards a concept, or away from it, in everything the live model says.",
    details="The concept's direction, times the strength, is added to the layer's state in every pass (to the"
    " drive of a landscape), at the positions `at`. A push stays until it is undone, or lasts for a "
    "block in with push L14 sad 1.0: …  `steer` measures what it does, next to random pushes.",
    params=(
        SOME_LAYERS,
        CONCEPT,
        Param(
            "strength",
            t.FLOAT,
            "multiple of the distance from neutral to the concept; negative: away from it",
            minimum=-1e6,
            maximum=1e6,
        ),
        AT,
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    result=results.Held,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\npush L3 polite 0.5',
            "it.touched > 0 and it.touched == it.seen",
            on="tiny",
        ),
        Example(
            'capture L3 polite "Thank you so much"\npush L3 polite -0.5 at=last',
            "it.touched < it.seen and it.active.count == 1",
            on="tiny",
        ),
    ),
)

scale = Op(
    "scale",
    summary="Multiply what neurons or heads write, or a concept's part of the state, in everything the model says.",
    details="A factor of 0 silences them, 2 doubles them, at the positions `at`, until it is undone or for a "
    "block in with scale L2.H1 0: …  Parts are neurons (L14.N345), heads (L14.H3) and concepts, or a "
    "list of them.",
    params=(
        Param("parts", t.PARTS, "a neuron, a head, a concept, or a list of them"),
        Param("factor", t.FLOAT, "what is left of them", minimum=-1000, maximum=1000),
        AT,
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    result=results.Held,
    examples=(
        Example("scale L1.H1 0", "it.touched == it.seen", on="tiny"),
        Example(
            'capture L3 polite "Thank you so much"\nscale [@polite, L2.H0] 0.5 at=last',
            'it.at == "last" and it.touched > 0',
            on="tiny",
        ),
    ),
)

prompts = Op(
    "prompts",
    summary="Measure with the neutral prompts of a file, one a line, instead of those that came with the model.",
    details='Every second one is for choosing, the others are for measuring. `prompts ""` takes the model\'s own '
    "again. "
    "Undoable, like every setting.",
    params=(
        Param(
            "path", t.PATH, "a text file with a prompt a line, or a .json, .jsonl, .csv or .tsv with column="
        ),
        Param("column", t.TEXT, "the field that holds the text", None, keyword_only=True),
    ),
    effects=Effect.CHANGES | Effect.TEXT | Effect.FILES,
    result=results.Measured,
    examples=(Example('prompts ""', 'it.name == "its own" and it.count > 10', on="tiny"),),
)

heldout = Op(
    "heldout",
    summary="Measure with the text of a file instead of the held-out text that came with the model.",
    details='Its first half is for choosing, the second for measuring. `heldout ""` takes the model\'s own again. '
    "Undoable, like every setting.",
    params=(Param("path", t.PATH, "a text file"),),
    effects=Effect.CHANGES | Effect.TEXT | Effect.FILES,
    flow=Flow(),
    result=results.Measured,
    examples=(Example('heldout ""', 'it.name == "its own" and it.count > 1000', on="tiny"),),
)

patch = Op(
    "patch",
    summary="Which layers carry the difference between two prompts? Activation patching, layer by layer.",
    details="Where the model is about to answer `instead`, the layer's state is replaced by the one it has at"
    " that place after `text` (at=last), or the states at all places where the prompts differ "
    "(at=differing), or at all (at=all; both need prompts with the same number of tokens). recovered "
    "is how much of the difference in the log-probability of `says` that brings back: 0 nothing, 1 "
    "all of it. Controls put in the states of neutral prompts.",
    params=(
        Param("layer", t.LAYERS, "a layer, a range such as L4..L20, or layers for all"),
        Param("text", t.TEXT, "the prompt whose states are put in", keyword_only=True),
        Param("instead", t.TEXT, "the prompt that is asked", keyword_only=True),
        Param("says", t.TEXT, "what the first prompt is answered with", keyword_only=True),
        Param(
            "at",
            t.CHOICE,
            "where states are put in",
            "last",
            choices=("last", "differing", "all"),
            keyword_only=True,
        ),
        placebo_count(10),
    ),
    effects=Effect.READS | Effect.TEXT,
    result=results.Patching,
    examples=(
        Example(
            'patch layers text="Thank you so much" instead="Go away" says="you" placebos=3',
            "it.layers.count == 4 and it.layers[0].layer == 0",
            on="tiny",
        ),
    ),
)

"""Modify: propose an edit of a layer's landscape. Every edit goes through the gate and can be undone."""

from __future__ import annotations

from dataclasses import replace

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Clash, Effect, Example, Flow, FromSetting, Op, Param

from .observe import LAYER, TARGET

STRENGTH = Param(
    "strength",
    t.STRENGTH,
    "‖ΔW‖ relative to ‖W‖; auto: the smallest edit that does it",
    FromSetting("strength"),
    above=0,
    maximum=1e6,
    choices=("auto",),
)

inject = Op(
    "inject",
    summary="Install an attractor.",
    details="The smallest change of the weight that makes the signs of the direction an attractor and leaves "
    "the field of the protected basins alone. Kept only if a basin is there afterwards (as `verify` looks for it), "
    "every other known basin stays, and at most 2 % of noisy decisions change. A larger noise= "
    "asks for a wider basin, which takes a larger change and costs more decisions.",
    params=(
        LAYER,
        TARGET,
        STRENGTH,
        Param(
            "noise",
            t.FLOAT,
            "with strength=auto: the noise, relative to the state's norm, from which the attractor shall return (30%)",
            None,
            above=0,
            maximum=2,
            keyword_only=True,
        ),
        Param(
            "radius",
            t.BOOL,
            "also measure how far the new basin reaches, and its neighbours before and after",
            False,
            keyword_only=True,
        ),
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example("inject L0 42", "it.applied and (verify L0 42).is_basin"),
        Example(
            "set max_changed 100%\nlet wide = inject L0 42 noise=80%\nundo\nprint wide.applied\ninject L0 42 noise=20%",
            "it.norm < wide.norm",
        ),
        Example("inject L0 seed 42 strength=0.01", "it.relative_norm < 0.0101"),
        Example(
            "set max_changed 100%\ninject L0 42 radius=true",
            "it.reach.radius > 0 and it.neighbours.count > 0 and it.neighbours[0].before.radius_low > 0",
        ),
    ),
    clashes=(
        Clash(
            "noise",
            "strength",
            "the strength is given: there is none to be found for a noise",
            "leave the strength or the noise out",
        ),
    ),
)

remove = Op(
    "remove",
    summary="Remove a basin: the one named, or the one a direction settles in.",
    details="Drives the field at the basin to zero. The mirror basin shares its weights and goes too.",
    params=(LAYER, TARGET, STRENGTH, *FORCE),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    flow=Flow(ends="target"),
    result=results.Edit,
    examples=(
        Example("survey L0\nset max_changed 10%\nremove L0.B0", "it.applied and it.lost[0] == 0"),
        Example("inject L0 42\nremove L0 42", "it.applied and not (verify L0 42).is_basin"),
    ),
)

move = Op(
    "move",
    summary="Relocate a basin: remove it and install one elsewhere, as one edit.",
    details="Without a destination it is drawn from the basin's number.",
    params=(
        LAYER,
        TARGET,
        Param("to", t.DIRECTION, "where to; a seeded direction without it", None, keyword_only=True),
        STRENGTH,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    flow=Flow(ends="target", said="moved"),
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nmove L0.B0 to=77",
            "it.applied and it.lost[0] == 0 and (verify L0 77).is_basin",
        ),
        Example("inject L0 42\nset max_changed 20%\nmove L0 42 to=43", "not (verify L0 42).is_basin"),
    ),
)

HOW_MUCH = replace(
    STRENGTH,
    help="‖ΔW‖ relative to ‖W‖; auto: the smallest edit that holds (attractor, basin), the largest within the damage "
    "(redirect, aimed, memory)",
)

DOSE = Param(
    "dose",
    t.FLOAT,
    "how much of the change of a redirect, an aimed or a memory edit is made: 1 is the whole of it; instead of a "
    "strength",
    None,
    above=0,
    maximum=1e6,
    keyword_only=True,
)

ONE_SIZE = Clash(
    "dose", "strength", "the dose and the strength both say how much is changed", "leave one of them out"
)

DAMAGE = Param(
    "damage", t.FLOAT, "by how much the loss may rise", 0.02, minimum=0, maximum=1, keyword_only=True
)

PLACEBOS = Param(
    "placebos",
    t.INT,
    "edits with random values, of equal norm, to set beside (10)",
    None,
    minimum=1,
    maximum=1000,
    keyword_only=True,
)

FACTOR = Param(
    "factor",
    t.FLOAT,
    "what the field at the basin, or the memory's answer at the key, is multiplied by",
    2.0,
    above=0,
    maximum=1000,
)

_MEMORY = Effect.MEMORY | Effect.TEXT
_OF_MEMORY = {"Neuron": _MEMORY, "Text": _MEMORY, "Concept": Effect.NONE, "Any": Effect.NONE}
KEY = replace(
    TARGET,
    type=t.KEY,
    help="a basin, a concept or a seed; of a transformer a neuron (L14.N345), a concept or a phrase in quotes",
    instead=_OF_MEMORY,
)
BY = Param(
    "method",
    t.CHOICE,
    "memory: a basin's tokens are a key of the MLP's memory; auto: a basin is one of the landscape",
    "auto",
    choices=("auto", "memory"),
    keyword_only=True,
    needs={"memory": _MEMORY},
)
OF_MEMORY = replace(DAMAGE, help="by how much the loss may rise (edits of a memory)")
KEYS = (
    "On a transformer it is the MLP's memory that is edited. Its down-projection W answers what the neurons do, a key "
    "k: that of a neuron is the neuron alone, of a concept what the neurons do where its texts are said, of a phrase "
    "what they do at its last token, of a basin of a fitted layer (method=memory) what they do where tokens settle in "
    "it. "
)

strengthen = Op(
    "strengthen",
    summary="Make a basin deeper: multiply the field at it. On a transformer: make what its memory answers at a key "
    "louder.",
    details=KEYS
    + "The answer Wk is multiplied by the factor, by an edit of rank one that other text hardly asks: "
    "(factor − 1)·Wk qᵀ, where q is the key whitened by that text (of a neuron it is the neuron: `scale`, made a "
    "weight). Where the whole costs more than `damage`, it is as much of it as does not; `factor` says how much. The "
    "result has the answer at places of text by which the key was not made, and how far the next token's distribution "
    "moves there and elsewhere, beside random values. Written: strengthen L14.N345 2, strengthen L14 sad 1.5, "
    'strengthen L8 "The Eiffel Tower" 1.5.',
    on_streams="by key: a neuron, a concept, a phrase, a basin's tokens",
    params=(LAYER, KEY, FACTOR, BY, OF_MEMORY, PLACEBOS, *FORCE),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nlet before = (energy L0.B0).energy\nprint before\nstrengthen L0.B0 1.2",
            "it.applied and (energy L0.B0).energy < before",
        ),
    ),
)

weaken = Op(
    "weaken",
    summary="Make a basin shallower: multiply the field at it by less than one. On a transformer: make what its memory "
    "answers at a key softer.",
    details=KEYS + "The answer Wk is multiplied by the factor, as `strengthen` does it.",
    on_streams="by key: a neuron, a concept, a phrase, a basin's tokens",
    params=(LAYER, KEY, replace(FACTOR, default=0.5), BY, OF_MEMORY, PLACEBOS, *FORCE),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nlet before = (energy L0.B0).energy\nprint before\nweaken L0.B0 0.8",
            "it.applied and (energy L0.B0).energy > before",
        ),
    ),
)

redirect = Op(
    "redirect",
    summary="Send what settles in a basin to another basin, or to a concept's. On a transformer: let its memory answer "
    "a key as it answers another.",
    on_streams="by key: a neuron, a concept, a phrase, a basin's tokens",
    details="On a landscape it is an edit of rank one. In a text model the dose is the largest within the damage on "
    "held-out text (1 in a landscape that `fit` gave a layer). Elsewhere it is the smallest at which nine tenths of"
    " the basin's states arrive, and the gate judges it. `arrived` is the share of them that settle "
    "at the destination afterwards. "
    + KEYS
    + "(Wk' − Wk) qᵀ is added, so that k is answered as k' is: the whole of it, "
    "or as much as the damage allows, or the `dose` that is given. Written: "
    'redirect L8 "The Eiffel Tower" to="The Colosseum", redirect L14.N345 to=L14.N12.',
    params=(
        LAYER,
        Param(
            "basin",
            t.SOURCE,
            "what to divert: a basin, such as L0.B3; of a transformer also a neuron, a concept or a phrase in quotes",
            instead=_OF_MEMORY,
        ),
        Param(
            "to",
            t.KEY,
            "where to: a basin or a concept; of a transformer also a neuron or a phrase",
            keyword_only=True,
            instead=_OF_MEMORY,
        ),
        replace(HOW_MUCH, help="‖ΔW‖ relative to ‖W‖; auto: the largest that is allowed"),
        DAMAGE,
        DOSE,
        BY,
        PLACEBOS,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example("survey L0\nredirect L0.B0 to=L0.B2", "it.arrived >= 0.9"),
        Example("survey L3\nredirect L3.B0 to=L3.B2", "it.dose > 0", on="tiny", slow=True),
    ),
    clashes=(ONE_SIZE,),
)

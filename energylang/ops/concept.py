"""Concept: capture what a text does to a layer's state, write it into the landscape, take it out, and measure
what that does to what is said."""

from __future__ import annotations

from dataclasses import replace

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Clash, Effect, Example, Flow, Op, Param

from .causal import placebo_count
from .edit import DAMAGE, DOSE, HOW_MUCH, ONE_SIZE, PLACEBOS
from .observe import LAYER

ANY_LAYER = replace(LAYER, help="the layer, such as L0, or auto", choices=("auto",))

CONCEPT = Param("concept", t.CONCEPT, "the concept's name")
CONCEPTS = Param("concept", t.CONCEPTS, "the concepts' names")
SOME_LAYERS = Param("layer", t.LAYERS, "a layer, a range, or layers for all of them", choices=("auto",))
DIRECTION = Param(
    "direction",
    t.CHOICE,
    "how the direction is found: mean (the difference of means) or pca (of pairs of text and contrast)",
    None,
    choices=("mean", "pca"),
    keyword_only=True,
)
AT = Param(
    "at",
    t.AT,
    'at which positions: all, reply (where the model speaks), last, a "word", or places such as 3..7',
    "all",
    keyword_only=True,
)
CONTROLS = Param(
    "controls",
    t.CHOICE,
    "what it is set beside: random (random values alone), or all: other concepts and shuffled labels, too",
    None,
    choices=("random", "all"),
    keyword_only=True,
)

VALUE = Param(
    "value",
    t.CHOICE,
    "what a transformer's memory answers: best (the concept's direction, made better until its texts are likelier), or "
    "mean (the direction as it was captured)",
    None,
    choices=("best", "mean"),
    needs={"*": Effect.MEMORY},
    keyword_only=True,
)


EDITED = Param(
    "layer",
    t.LAYERS,
    "the layer, such as L0, or auto: the concept's own; of a transformer also a range such as L12..L16, or a list, "
    "whose memories are edited together",
    choices=("auto",),
    needs={"several": Effect.MEMORY},
)

capture = Op(
    "capture",
    summary="Add an example text to a concept.",
    details="The state that is kept is, by default, the one from which the model is about to speak after "
    "reading the text. With layer auto every layer is asked how well it separates the concept and how"
    " much of it it carries to the next word, and the one that carries most is taken.",
    params=(
        ANY_LAYER,
        CONCEPT,
        Param("text", t.TEXT, "a text that is an example of the concept"),
        Param("contrast", t.TEXT, "a text that is not the concept", None, keyword_only=True),
        Param(
            "position",
            t.TEXT,
            "where the state is read: decision (the default; mean for a pretrained model), last, mean, a token of the "
            "text, or tokens such as 3..7",
            None,
            keyword_only=True,
        ),
        DIRECTION,
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    flow=Flow(creates="concept", at="layer"),
    result=results.ConceptInfo,
    examples=(
        Example('capture L1 polite "Thank you so much"', "it.samples == 1", on="tiny"),
        Example(
            "capture L1 polite Thank you\ncapture L1 polite I appreciate it", "it.samples == 2", on="tiny"
        ),
        Example('capture auto polite "Thank you so much"', "it.layer == 3 and it.fits[3].chosen", on="tiny"),
        Example('capture L3 moon "the moon" position="moon"', 'it.position == "moon"', on="tiny"),
    ),
)

concepts = Op(
    "concepts",
    summary="The captured concepts.",
    result=results.Concepts,
    examples=(
        Example('capture L1 polite "Thank you"\nconcepts', 'it.concepts[0].name == "polite"', on="tiny"),
    ),
)

inject_concept = Op(
    "inject-concept",
    summary="Write a concept into its layer and say what that does to text.",
    details="On layers that are landscapes there are four methods. redirect: neutral prompts flow into the "
    "concept's basin, by one edit of rank one. aimed: an edit optimised for what is said. attractor: "
    "the concept's state becomes a basin of its own. auto: with a strength an attractor, otherwise "
    "the one of the three after which most replies are the concept, within the damage. On a layer of "
    "a transformer there is memory (auto means the same there): the MLP's down-projection answers the "
    "neurons' mean activation in the concept's texts with a value that makes them likelier, as "
    "strongly as the damage allows. (value=mean takes the difference of means as it is: quicker, and far weaker.) "
    "The concept is said in answer to remarks and requests to talk. The damage is the "
    "worst of that on the model's own replies to questions of fact and instructions, on held-out text, and on another "
    "one where `heldout` gave it. Every other text is for writing, the rest for measuring. The result has the share of "
    "replies that are the concept, the log-probability of its texts and the loss on held-out text, each before and "
    "after. Next to them are placebo edits of equal norm: ten with random values (five on a stream; `placebos=`), and "
    "on landscapes the same method aimed at other concepts and at shuffled labels. On a stream controls=all adds "
    "these, as values at the same key, which are directions as they are found, without the steps that made the edit's "
    "value better.",
    params=(
        EDITED,
        CONCEPT,
        HOW_MUCH,
        Param(
            "method",
            t.CHOICE,
            "how",
            "auto",
            choices=("auto", "redirect", "aimed", "attractor", "memory"),
            needs=dict.fromkeys(("redirect", "aimed", "attractor"), Effect.LANDSCAPE),
        ),
        DAMAGE,
        DOSE,
        VALUE,
        PLACEBOS,
        CONTROLS,
        *FORCE,
    ),
    on_streams="method memory: an edit of the MLP's down-projection",
    effects=Effect.EDITS | Effect.TEXT,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 polite "Thank you so much, I am happy to help."\ninject-concept L3 polite method=redirect',
            'it.method == "redirect" and it.effect.placebos == 10',
            on="tiny",
            slow=True,
        ),
    ),
    clashes=(
        ONE_SIZE,
        Clash(
            "dose",
            "method",
            "a dose belongs to a method: a redirect, an aimed edit or a memory edit",
            "add method=redirect, method=aimed or (on a stream) method=memory",
            ("auto", "attractor"),
        ),
    ),
)

remove_concept = Op(
    "remove-concept",
    summary="Make a concept less likely to be said, or remove the basin in which it settles.",
    details="aimed: an edit optimised so that what is said stays as it is, without the concept. basin: the "
    "basin in which the concept settles is removed, judged by the gate. These are two different "
    "findings: a basin can go and the behaviour stay. auto: with a strength the basin, otherwise "
    "aimed. On a layer of a transformer, memory (auto means the same there): the edit of "
    "`inject-concept` in the opposite direction. The result has the effect on text and its placebos "
    "(aimed, memory).",
    params=(
        EDITED,
        CONCEPT,
        HOW_MUCH,
        Param(
            "method",
            t.CHOICE,
            "what is removed",
            "auto",
            choices=("auto", "aimed", "basin", "memory"),
            needs={"aimed": Effect.LANDSCAPE, "basin": Effect.LANDSCAPE},
        ),
        DAMAGE,
        DOSE,
        VALUE,
        PLACEBOS,
        CONTROLS,
        *FORCE,
    ),
    on_streams="method memory: an edit of the MLP's down-projection",
    effects=Effect.EDITS | Effect.TEXT,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 rude "Go away, you fool."\nremove-concept L3 rude placebos=4 controls=random',
            'it.applied and it.method == "aimed" and it.effect.placebos == 4',
            on="tiny",
            slow=True,
        ),
    ),
    clashes=(
        ONE_SIZE,
        Clash(
            "dose",
            "method",
            "the removal of a basin has a strength, no dose",
            "leave method=basin out",
            ("basin",),
        ),
    ),
)

steer = Op(
    "steer",
    summary="What is said under a push of growing strength towards a concept, or (negative) away from it.",
    details="A field along the concept is added to the layer's drive (in a transformer: to the residual "
    "stream itself) in every pass, at the positions `at`. The model is not changed. Next to every "
    "strength are random fields of the same norm. In a range of layers (L12..L18) every layer is "
    "pushed along its own direction; several concepts are added up. `push` keeps such a push in what "
    "the model says.",
    params=(
        replace(
            SOME_LAYERS, help="a layer, a range such as L12..L18, layers for all, or auto: the concept's own"
        ),
        replace(CONCEPTS, help="a concept, or a list of them"),
        Param(
            "strengths",
            t.NUMBERS,
            "multiples of the distance from neutral to the concept; auto: a row that ends where the damage is spent",
            "auto",
            minimum=-1e6,
            maximum=1e6,
            choices=("auto",),
        ),
        DAMAGE,
        AT,
        replace(placebo_count(10), keyword_only=True),
    ),
    effects=Effect.READS | Effect.TEXT,
    result=results.Steering,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\nsteer L3 polite strengths=[0.2]',
            "it.placebos == 10 and it.steps[0].strength == 0.2",
            on="tiny",
            slow=True,
        ),
    ),
)

effect = Op(
    "effect",
    summary="What everything staged in a layer, or in several of a transformer, does to a concept, against placebos.",
    details="Where nothing is staged and pushes are held (`push`): what they do, next to other pushes of the"
    " same norms at the same positions. On a stream the controls are random values (or pushes), the directions of up "
    "to three other concepts that are captured at the layer, and three of the concept's own texts and contrasts with "
    "their labels shuffled (controls=all, the default there; controls=random leaves the last two out). They are the "
    "plain differences of means, of the norm of what is measured; the result says which kind could not be had. On a "
    "layer that is a landscape there are random ones.",
    params=(
        replace(
            EDITED,
            help="the layer, such as L0, or auto: the concept's own; of a transformer also a range, or a list",
        ),
        CONCEPT,
        PLACEBOS,
        CONTROLS,
    ),
    effects=Effect.READS | Effect.TEXT,
    result=results.Effect,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\ninject-concept L3 polite method=redirect dose=0.2\n'
            "effect L3 polite",
            "it.placebos == 10 and it.prompts > 0",
            on="tiny",
            slow=True,
        ),
    ),
)

"""Text: hear what the live model says."""

from __future__ import annotations

from dataclasses import replace

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Clash, Effect, Example, Flow, FromSetting, Op, Param

from .causal import placebo_count
from .concept import AT
from .observe import BASIN, LAYER, TARGET

probe = Op(
    "probe",
    summary="What a basin means: the tokens it says, the tokens it holds, and real contexts.",
    details="says: the tokens that its centre makes likely through the output head alone; holds: the tokens that are "
    "read where the model settles in it, most often first, in the held-out text that `survey` and `usage` read too.",
    params=(
        LAYER,
        replace(BASIN, default=0),
        Param("top", t.INT, "how many tokens and contexts", 20, minimum=1, maximum=1000),
    ),
    effects=Effect.READS | Effect.TEXT | Effect.LANDSCAPE,
    result=results.Probe,
    examples=(Example("survey L3\nprobe L3.B0 top=4", "it.says.count == 4", on="tiny"),),
)

trace = Op(
    "trace",
    summary="The convergence path of every token of a text: energies, iterations, and the basin it reaches.",
    details="The model takes a few steps only and reads the state it has then: the cosine says how near that "
    "is to the centre of the basin in which it would settle. In a transformer: the norm of every "
    "token's state, what it would say next through the head alone, and how far it leans to the "
    "concepts captured in the layer (0 neutral, 1 the concept).",
    params=(LAYER, Param("text", t.TEXT, "a text")),
    effects=Effect.READS | Effect.TEXT,
    on_streams="norms, the next word and leanings to concepts instead of basins",
    result=results.Trace,
    examples=(
        Example(
            'trace L3 "Thank you so much"',
            "it.tokens.count >= 4 and it.tokens[0].iterations > 0 and it.to_zero == 0",
            on="tiny",
        ),
    ),
)

generate = Op(
    "generate",
    summary="Text from the live model, and the basin each token settled in.",
    details="The LIVE model speaks: apply an edit to see what it does. The same seed gives the same text.",
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
    on_streams="the text, without basins",
    flow=Flow(live=True),
    result=results.Generation,
    examples=(
        Example('generate "Hi, can you help me?" tokens=8', "it.tokens <= 8 and it.tokens > 0", on="tiny"),
        Example(
            'let a = generate "Hello" seed=3\nprint a.text\ngenerate "Hello" seed=3',
            "it.text == a.text",
            on="tiny",
        ),
    ),
)

TOP = Param("top", t.INT, "how many to show", 5, minimum=1, maximum=1000)

SAMPLING = (
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
        "temp", t.FLOAT, "sampling temperature", FromSetting("temp"), above=0, maximum=100, keyword_only=True
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
)

neighbours = Op(
    "neighbours",
    summary="The basins nearest to a direction, each with a text that settles in it.",
    details="In a transformer: the tokens that the direction makes likelier through the head, the MLP neurons"
    " of the layer that write along it, and the other concepts captured there. A concept's direction "
    "is the one in which `steer` pushes.",
    params=(LAYER, TARGET, TOP),
    effects=Effect.READS,
    on_streams="tokens, neurons and concepts instead of basins",
    result=results.Neighbours,
    examples=(
        Example(
            "survey L0\nneighbours L0.B0 top=3",
            "it.neighbours.count == 3 and it.neighbours[0].cosine_similarity >= it.neighbours[1].cosine_similarity",
        ),
        Example('capture L3 polite "Thank you"\nneighbours L3 polite', "it.neighbours.count == 5", on="tiny"),
    ),
)

intervene = Op(
    "intervene",
    summary="Change what forward passes read where a token is in a basin.",
    details="zero: the state loses its component along the basin's centre\n"
    "boost: that component is multiplied by the amount (2)\n"
    "clamp: every state of the layer gets that component, amount (1) times the centre's norm\n"
    "swap=B: the component is laid along another basin's centre\n"
    "It acts in what the live model says and visits, stays until it is undone, and lasts for a block in "
    "with intervene L2.B4 zero: …",
    params=(
        LAYER,
        BASIN,
        Param("kind", t.CHOICE, "what is done", "zero", choices=("zero", "clamp", "boost")),
        Param("swap", t.BASIN, "the other basin of a swap", None, keyword_only=True),
        Param("amount", t.FLOAT, "of clamp and boost", None, minimum=0, maximum=1000, keyword_only=True),
    ),
    effects=Effect.CHANGES | Effect.TEXT | Effect.LANDSCAPE,
    result=results.Intervened,
    examples=(
        Example("survey L3\nintervene L3.B0 zero", "it.active.count == 1 and it.tokens > 0", on="tiny"),
        Example("survey L3\nintervene L3.B0 swap=L3.B1", "it.to == 1", on="tiny"),
    ),
    clashes=(
        Clash(
            "swap",
            "kind",
            "a basin cannot be swapped and held at a level at once",
            "leave the kind out",
            ("clamp", "boost"),
        ),
        Clash(
            "amount", "kind", "only clamp and boost have an amount", "add kind=clamp or kind=boost", ("zero",)
        ),
    ),
)

usage = Op(
    "usage",
    summary="Which basins real text visits, how evenly, and how selective they are.",
    details="By default of the held-out text, the same tokens as in `survey` and `contexts`. concept=C reads "
    "the texts of a captured concept as what the model itself says (in a dialogue the bot's turn "
    "after neutral questions), text=… reads a text as `trace` does. Both are compared with the "
    "held-out text, and with passages of it of the same length.",
    params=(
        LAYER,
        Param("concept", t.CONCEPT, "a captured concept, whose texts are read", None, keyword_only=True),
        Param("text", t.TEXT, "a text to read", None, keyword_only=True),
    ),
    effects=Effect.READS | Effect.TEXT | Effect.LANDSCAPE,
    flow=Flow(reads=True),
    result=results.Usage,
    examples=(
        Example("usage L3", "it.visited > 0 and it.selectivity > it.selectivity_shuffled", on="tiny"),
        Example(
            'usage L3 text="Thank you so much"', "it.tokens >= 4 and it.basins[0].reference >= 0.0", on="tiny"
        ),
        Example(
            'capture L3 polite "Thank you so much"\nusage L3 concept=polite',
            'it.of == "concept polite" and it.distance > 0.0',
            on="tiny",
        ),
    ),
)

contexts = Op(
    "contexts",
    summary="Where in real text a basin is visited, the most active place first.",
    params=(LAYER, BASIN, TOP),
    effects=Effect.READS | Effect.TEXT | Effect.LANDSCAPE,
    result=results.BasinContexts,
    examples=(
        Example(
            "let used = usage L3\nlet b = used.basins[0].basin\ncontexts L3 b top=2",
            "it.contexts.count == 2 and it.visits >= 2",
            on="tiny",
        ),
    ),
)

trace_generation = Op(
    "trace-generation",
    summary="A reply of the live model, and the basin of a layer in which each of its tokens settled.",
    details="In a transformer: what `trace` says of every token of the reply, of the state from which it was "
    "chosen.",
    params=(LAYER, Param("prompt", t.TEXT, "what to answer or to continue"), *SAMPLING),
    effects=Effect.TEXT | Effect.READS,
    on_streams="as `trace`",
    result=results.Trajectory,
    examples=(
        Example('trace-generation L3 "Hi, can you help me?" tokens=6', "it.tokens.count > 0", on="tiny"),
    ),
)

classify = Op(
    "classify",
    summary="How much does the basin in which a token settles tell about the token, or about the next one?",
    details="A linear probe on the identity of the basin is fitted on one half of the held-out text and "
    "judged on the other, next to the same probe fitted to shuffled basins. labels= names a file of "
    "texts and labels of your own (.json: {label: [texts]}; .csv, .tsv, .jsonl: the fields that "
    "column= and label= name). Then a linear probe on the texts' states tells the label of texts to "
    "which it was not fitted, next to the same with shuffled labels. This works on every layer.",
    params=(
        LAYER,
        Param("of", t.CHOICE, "what is told", "token", choices=("token", "next")),
        Param("labels", t.PATH, "a file of texts and labels", None, keyword_only=True),
        Param("column", t.TEXT, "the field that holds the text", "text", keyword_only=True),
        Param("label", t.TEXT, "the field that holds the label", "label", keyword_only=True),
    ),
    effects=Effect.READS | Effect.TEXT | Effect.FILES,
    on_streams="with `labels=` alone",
    result=results.Classification,
    examples=(
        Example("classify L3", "it.accuracy > it.shuffled", on="tiny"),
        Example("classify L3 of=next", 'it.of == "next" and it.tested_on > 0', on="tiny"),
    ),
)

ablate = Op(
    "ablate",
    summary="The loss without some basins, neurons, heads or concepts, next to random others taken out.",
    details="The subspace of basins or of concepts is projected out of the layer's state; neurons (L14.N345) "
    "and heads (L14.H3) are silenced, at the positions `at`. All parts are of one kind. `scale` keeps"
    " such a change in what the model says.",
    params=(
        Param("parts", t.PARTS, "a basin, a neuron, a head or a concept, or a list of them"),
        placebo_count(10),
        AT,
    ),
    effects=Effect.READS | Effect.TEXT,
    on_streams="neurons, heads and concepts; no basins",
    result=results.Ablation,
    examples=(
        Example("ablate L1.H1 placebos=3", 'it.parts[0] == "L1.H1" and it.touched > 0', on="tiny"),
        Example(
            'capture L3 polite "Thank you"\nablate polite placebos=2 at=reply', "it.rank == 1", on="tiny"
        ),
        Example("survey L3\nablate L3.B0 placebos=3", "it.loss_after > 0 and it.placebos == 3", on="tiny"),
        Example("survey L3\nablate [L3.B0, L3.B1] placebos=2", "it.basins.count == 2", on="tiny"),
    ),
)

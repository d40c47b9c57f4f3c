"""Pictures: what basins mean, and text that passes through them."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import bar, distance, facts, how_read, number, percent, percents, table
from .stream import near_stream, stream_tokens, touched


@render.register
def generate(made: results.Generation) -> RenderableType:
    said = Text.assemble(("“", "dim"), (made.text, "bold"), ("”", "dim"))
    known = [
        (step.token.strip(), step.basins[-1], step.cosines[-1] if step.cosines else None)
        for step in made.steps
        if step.basins
    ]
    named = [
        f"{token} B{basin}" + ("" if cosine is None else f" ({cosine:.2f})")
        for token, basin, cosine in known
        if basin is not None
    ]
    missing = sum(basin is None for _, basin, _ in known)
    held: list[RenderableType] = []
    if made.held:
        held.append(Text("under " + ", ".join(made.held), style="yellow"))
    if made.seen:
        held.append(touched(made.touched, made.seen, "prompt and reply"))
    held += how_read(made, "the prompt")
    if not named:
        return Group(said, *held) if held else said
    layer = len(made.steps[0].basins) - 1
    shown = ", ".join(named[:8]) + (" …" if len(named) > 8 else "")
    none = f"; {missing} of {len(known)} in none" if missing else ""
    words = f"basins of L{layer} (cosine of the state held to the centre): {shown}{none}"
    return Group(said, Text(words, style="dim"), *held)


_SHOWN = 12


_NAMED = 6  # parts of an ablation
_SPARKS = "▁▂▃▄▅▆▇█"


def _tokens(scores: tuple[results.TokenScore, ...]) -> str:
    return "  ".join(f"{_seen(item.token)} {100 * item.score:.0f} %" for item in scores[:8]) or "nothing"


def _seen(token: str) -> str:
    return token.strip() or "⏎"


def _contexts(contexts: tuple[results.Context, ...]) -> RenderableType:
    rows = table("", "", "", "", right=(0, 3), wrap=(0, 2))
    for context in contexts[:_SHOWN]:
        rows.add_row(
            Text(context.before, style="dim"),
            Text(context.token, style="bold"),
            Text(context.after, style="dim"),
            f"{context.activation:.2f}",
        )
    return rows


@render.register
def probe(probe: results.Probe) -> RenderableType:
    return Group(
        Text.assemble(
            (f"L{probe.layer}.B{probe.basin}", "bold"),
            f"  {probe.visits} visits, {percent(probe.share)} of the tokens",
        ),
        Text.assemble(("says   ", "dim"), _tokens(probe.says)),
        Text.assemble(("holds  ", "dim"), _tokens(probe.holds)),
        _contexts(probe.contexts),
    )


@render.register
def contexts(found: results.BasinContexts) -> RenderableType:
    head = Text(
        f"L{found.layer}.B{found.basin}: {found.visits} of {found.tokens:,} tokens, the nearest to the centre first"
    )
    return Group(head, _contexts(found.contexts))


@render.register
def usage(usage: results.Usage) -> RenderableType:
    beside = usage.reference_tokens is not None
    names = ["basin", "visits", "", "share", *(["held-out"] if beside else []), "commonest", "of its visits"]
    rows = table(*names, right=(1, 3, 4, 6) if beside else (1, 3, 5))
    most = max((basin.visits for basin in usage.basins), default=1)
    for basin in usage.basins[:_SHOWN]:
        cells = [
            Text(f"B{basin.basin}", style="cyan"),
            Text(str(basin.visits)),
            Text(bar(basin.visits / most), style="blue"),
            Text(percent(basin.share)),
            Text(_seen(basin.token)),
            Text(percent(basin.purity)),
        ]
        if beside:
            cells.insert(4, Text(percent(basin.reference or 0.0)))
        rows.add_row(*cells)
    parts: list[RenderableType] = [
        Text.assemble(
            (f"L{usage.layer}", "bold"),
            f"  {usage.tokens:,} tokens of the {usage.of} visit {usage.visited} of {usage.known} known basins",
        ),
        facts(
            entropy=f"{usage.entropy_nats:.2f} nats",
            selectivity=f"{percent(usage.selectivity)} (shuffled {percent(usage.selectivity_shuffled)})",
            without_a_basin=_without(usage.to_zero, usage.unsettled),
        ),
    ]
    if usage.distance is not None:
        parts.append(_distance(usage))
    parts.append(rows)
    hidden = len(usage.basins) - _SHOWN
    if hidden > 0:
        held = sum(basin.share for basin in usage.basins[:_SHOWN])
        parts.append(
            Text(f"the {_SHOWN} shown hold {100 * held:.0f} % of the tokens; {hidden} more", style="dim")
        )
    return Group(*parts)


def _without(to_zero: int, unsettled: int) -> str:
    """How many tokens have no basin, and why."""
    why = [f"{to_zero} decay to zero"] * (to_zero > 0) + [f"{unsettled} never settle"] * (unsettled > 0)
    return ", ".join(why) or "none"


def _distance(usage: results.Usage) -> Text:
    """How far a text's usage is from that of the held-out text, and what chance makes of its length."""
    values = {"distance_to_held_out_text": f"{usage.distance:.2f}"}
    if usage.distance_chance is not None and usage.distance_chance_std is not None:
        values["passages_as_long"] = f"{usage.distance_chance:.2f} ± {usage.distance_chance_std:.2f}"
    if usage.p is not None:
        values["p"] = f"{usage.p:.3f}"
    return facts(**values)


@render.register
def neighbours(found: results.Neighbours) -> RenderableType:
    if found.says:
        return near_stream(found)
    if not found.neighbours:
        return Text(f"no other basin is known in L{found.layer}", style="dim")
    rows = table("basin", "cosine", "", "starts", "for example", right=(1, 3), wrap=(4,))
    for basin in found.neighbours:
        rows.add_row(
            Text(f"B{basin.id}", style="cyan"),
            f"{basin.cosine_similarity:.3f}",
            Text(bar(basin.cosine_similarity, 8), style="blue"),
            str(basin.population),
            Text(basin.example_probe or "–"),
        )
    return rows


@render.register
def intervene(done: results.Intervened) -> RenderableType:
    parts = [
        Text.assemble(
            ("✓ ", "green"), (done.active[-1], "bold"), f"  {done.reach} of {done.tokens} tokens are in reach"
        )
    ]
    if len(done.active) > 1:
        parts.append(Text("active: " + ", ".join(done.active), style="dim"))
    return Group(*parts)


def _spark(energies: tuple[float | None, ...], width: int = 16) -> str:
    """A row of small columns, the first value highest of all as a rule."""
    values = [energy for energy in energies if energy is not None]
    if not values:
        return ""
    step = max(1, -(-len(values) // width))
    shown = list(values[::step])
    if shown[-1] != values[-1]:
        shown.append(values[-1])
    low, high = min(shown), max(shown)
    reach = (high - low) or 1.0
    return "".join(_SPARKS[round(7 * (value - low) / reach)] for value in shown)


def _traced(tokens: tuple[results.TracedToken, ...]) -> RenderableType:
    rows = table("token", "basin", "cosine", "steps", "energy", "", right=(2, 3, 4))
    for token in tokens[:24]:
        energies = token.path.energies
        rows.add_row(
            Text(_seen(token.token)),
            Text(f"B{token.basin}", style="cyan") if token.basin is not None else Text("–", style="dim"),
            f"{token.cosine:.2f}" if token.cosine is not None else "",
            str(token.iterations) + ("" if token.settled else "+"),
            number(token.path.rest) if math.isfinite(token.path.rest) else "",
            Text(_spark(energies), style="blue"),
        )
    return rows


@render.register
def trace(trace: results.Trace) -> RenderableType:
    if trace.stream:
        head = Text(f"L{trace.layer}  “{trace.text}”", style="bold")
        return Group(head, stream_tokens(trace.stream), *how_read(trace, "the text"))
    note = "the energy never rises" if trace.rises == 0 else f"the energy rises at {trace.rises} steps"
    return Group(
        Text.assemble((f"L{trace.layer}", "bold"), f"  {trace.mean_iterations:.1f} steps on average, {note}"),
        _traced(trace.tokens),
        *_missing(trace),
        *how_read(trace, "the text"),
    )


def _missing(found: results.Trace | results.Trajectory) -> list[RenderableType]:
    """What the cosines are, and how many tokens have no basin."""
    words = "cosine: of the state that the model holds, after its few steps, to the basin's centre"
    if found.to_zero or found.unsettled:
        words += f"; no basin: {_without(found.to_zero, found.unsettled)}"
    return [Text(words, style="dim")]


@render.register
def trace_generation(made: results.Trajectory) -> RenderableType:
    parts: list[RenderableType] = [Text.assemble(("“", "dim"), (made.text, "bold"), ("”", "dim"))]
    if made.stream:
        parts += [Text(f"L{made.layer}", style="bold"), stream_tokens(made.stream)]
    else:
        parts += [
            Text.assemble(
                (f"L{made.layer}  ", "bold"),
                " → ".join(f"B{basin}" for basin in made.basins) or "no known basin",
            ),
            _traced(made.tokens),
            *_missing(made),
        ]
    if made.interventions:
        parts.append(Text("under " + ", ".join(made.interventions), style="yellow"))
    return Group(*parts, *how_read(made, "the prompt"))


@render.register
def classify(found: results.Classification) -> RenderableType:
    if found.labels:
        return Group(
            Text.assemble(
                f"the state in L{found.layer} tells {len(found.labels)} labels in ",
                (percents(found.accuracy, found.error), "bold"),
                f" of {found.tested_on} texts, each judged by a probe that was fitted without it",
            ),
            facts(
                shuffled_labels=percents(found.shuffled, found.shuffled_std),
                z=distance(found.z),
                always_the_commonest=percent(found.majority),
                labels=", ".join(found.labels),
            ),
        )
    what = "the token" if found.of == "token" else "the next token"
    return Group(
        Text.assemble(
            f"the basin in L{found.layer} tells {what} in ",
            (percent(found.accuracy), "bold"),
            " of the cases",
        ),
        facts(
            shuffled_basins=percents(found.shuffled, found.shuffled_std),
            z=distance(found.z),
            always_the_commonest=percent(found.majority),
            basins=str(found.basins),
        ),
    )


@render.register
def ablate(found: results.Ablation) -> RenderableType:
    names = ", ".join(found.parts[:_NAMED])
    names += f" and {len(found.parts) - _NAMED} more" if len(found.parts) > _NAMED else ""
    where = "" if found.at == "all" else f" at={found.at}"
    return Group(
        Text.assemble(
            f"without {names}{where} the loss is ",
            (f"{found.loss_after:.4f}", "bold"),
            f" instead of {found.loss_before:.4f}",
        ),
        facts(
            change=percents(found.loss_change, found.loss_change_error, 2, "+"),
            random_others=percents(found.placebo, found.placebo_std, 2, "+"),
            z=distance(found.z if found.placebos > 2 else None),
        ),
        touched(found.touched, found.seen, "the held-out text"),
    )

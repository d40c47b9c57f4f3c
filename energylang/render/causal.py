"""Pictures: what depends on a basin."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import NONE, bar, chance, distance, facts, give_or_take, number, percent, percents, table

_SHOWN = 12
_WITHIN = "an MLP reads before it answers: within a layer no basin depends on another; `causal across` looks further"


@render.register
def causal_scan(graph: results.CausalGraph) -> RenderableType:
    head = Text.assemble(
        (f"L{graph.layer}", "bold"),
        f"  {len(graph.basins)} basins, ",
        (f"{graph.num_edges} edges", "bold green" if graph.num_edges else "bold"),
        f" (drift above {graph.threshold:g})",
    )
    parts: list[RenderableType] = [
        head,
        facts(
            mirrors_folded=f"{graph.edges_folded} of {graph.tested} pairs",
            at_most_by_chance=percent(graph.level),
            not_specific=str(graph.unspecific),
        ),
        facts(
            random_edits_move=f"{graph.placebo_edges:.1f} pairs",
            drift=give_or_take(graph.placebo_drift, graph.placebo_drift_std, 3),
            placebos=str(graph.placebos),
        ),
    ]
    if graph.edges:
        rows = table("knocked out", "moves", "drift", "", "q", "z", "", right=(2, 4, 5))
        for edge in graph.edges[:_SHOWN]:
            rows.add_row(
                Text(f"B{edge.source}", style="cyan"),
                f"→ B{edge.target}",
                f"{edge.drift:.2f}",
                Text(bar(edge.drift / 2), style="blue"),
                chance(edge.q),
                distance(edge.z),
                "" if edge.survived else Text("lost", style="red"),
            )
        parts.append(rows)
    if len(graph.edges) > _SHOWN:
        parts.append(Text(f"… and {len(graph.edges) - _SHOWN} more", style="dim"))
    if graph.fitted and not graph.edges:
        parts.append(Text(_WITHIN, style="dim"))
    if graph.path:
        parts.append(Text(f"written to {graph.path}", style="dim"))
    return Group(*parts)


@render.register
def causal_compare(found: results.CausalComparison) -> RenderableType:
    head = Text.assemble(
        (f"L{found.layer}", "bold"),
        f" here and in {found.other}: {found.matched} of {found.basins_here} and {found.basins_there} basins match by "
        f"{found.matched_by} ({found.pairs} without mirrors)",
    )
    if not found.pairs:
        return Group(head, Text("no basin to compare the graphs on", style="yellow"))
    rows = table("", "real", "shuffled", "p", right=(1, 2, 3))
    for name, real, mean, spread, p in (
        (
            "overlap of edges",
            found.overlap,
            found.overlap_shuffled,
            found.overlap_shuffled_std,
            found.overlap_p,
        ),
        (
            "correlation of drifts",
            found.drift_correlation,
            found.drift_shuffled,
            found.drift_shuffled_std,
            found.drift_p,
        ),
    ):
        cells = (
            (NONE, NONE) if real is None or mean is None else (f"{real:.2f}", give_or_take(mean, spread, 2))
        )
        rows.add_row(name, *cells, chance(p))
    placebo = "" if found.overlap_placebo is None else f"; with random edits {found.overlap_placebo:.2f}"
    return Group(
        head,
        Text(
            f"{found.edges_here} edges here, {found.edges_there} there, {found.both} in both{placebo}",
            style="dim",
        ),
        rows,
    )


def _drifts(others: tuple[results.Drifted, ...]) -> RenderableType:
    rows = table("moves", "drift", "", "random edits", "p", "z", "", right=(1, 4, 5))
    for row in others[:_SHOWN]:
        rows.add_row(
            f"B{row.basin}",
            f"{row.drift:.3f}",
            Text(bar(row.drift / 2, 8), style="blue"),
            give_or_take(row.placebo, row.placebo_std, 3),
            chance(row.p),
            distance(row.z),
            "" if row.survived else Text("lost", style="red"),
        )
    return rows


def _mean(effect: results.CausalEffect | results.CounterfactualEffect) -> Text:
    edits = "a random edit" if effect.placebos == 1 else f"{effect.placebos} random edits"
    return Text(
        f"mean drift {effect.mean_drift:.3f}; {edits} of equal norm: "
        f"{give_or_take(effect.placebo_drift, effect.placebo_drift_std, 3)} (p {chance(effect.p)})",
        style="dim",
    )


@render.register
def causal_intervene(effect: results.CausalEffect) -> RenderableType:
    name = f"L{effect.layer}.B{effect.basin}"
    if effect.blocked:
        head = Text.assemble(("✗ blocked", "bold red"), f"  do({effect.op} {name}): {effect.reason}")
    elif effect.forced:
        head = Text.assemble(("! kept by force", "bold yellow"), f"  do({effect.op} {name})")
    elif effect.applied:
        head = Text.assemble(("✓ staged", "bold green"), f"  do({effect.op} {name})")
    else:
        head = Text.assemble(("✗ refused", "bold red"), f"  do({effect.op} {name}): {effect.reason}")
    lost = ", ".join(f"B{id}" for id in effect.lost[:8]) or "none"
    return Group(
        head,
        facts(change=f"{number(effect.norm)} ({percent(effect.relative_norm)} of the weight)", lost=lost),
        _drifts(effect.others),
        _mean(effect),
    )


@render.register
def causal_counterfactual(effect: results.CounterfactualEffect) -> RenderableType:
    head = Text.assemble(
        ("if ", "dim"),
        (f"L{effect.layer}.B{effect.basin}", "bold"),
        {"invert": " held the opposite", "weaken": " held half", "shift": " lay elsewhere"}[effect.mod],
        f": it would move by {effect.own_drift:.2f}" + ("" if effect.survives else " and be gone"),
    )
    return Group(
        head,
        _drifts(effect.others),
        _mean(effect),
    )


@render.register
def causal_across(effect: results.CrossEffect) -> RenderableType:
    return Group(
        Text.assemble(
            (f"L{effect.layer}.B{effect.basin}", "bold"),
            f" held at zero in {effect.held} of {effect.tokens} tokens; in L{effect.to_layer} ",
            (percent(effect.moved), "bold"),
            " of the tokens settle elsewhere",
        ),
        facts(
            random_directions=percents(effect.moved_placebo, effect.moved_placebo_std),
            p=chance(effect.moved_p),
            z=distance(effect.moved_z),
            usage_changes_by=f"{percent(effect.usage_change)} "
            f"(random {percents(effect.usage_placebo, effect.usage_placebo_std)})",
        ),
    )

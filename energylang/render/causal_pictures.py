"""Pictures of causes: who moves whom, beside what random edits do."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import bar, facts, number, percent, table

_SHOWN = 12


@render.register
def _(graph: results.CausalGraph) -> RenderableType:
    head = Text.assemble(
        (f"L{graph.layer}", "bold"),
        f"  {len(graph.basins)} basins, ",
        (f"{graph.num_edges} edges", "bold green" if graph.num_edges else "bold"),
        f" (drift above {graph.threshold:g})",
    )
    parts: list[RenderableType] = [
        head,
        facts(
            placebo=f"{graph.placebo_edges:.1f} pairs, drift {graph.placebo_drift:.3f} ± {graph.placebo_drift_std:.3f}",
            not_specific=str(graph.unspecific),
        ),
    ]
    if graph.edges:
        rows = table("knocked out", "moves", "drift", "", "z", "", right=(2, 4))
        for edge in graph.edges[:_SHOWN]:
            rows.add_row(
                Text(f"B{edge.source}", style="cyan"),
                f"→ B{edge.target}",
                f"{edge.drift:.2f}",
                Text(bar(edge.drift / 2), style="blue"),
                f"{edge.z:+.1f}",
                "" if edge.survived else Text("lost", style="red"),
            )
        parts.append(rows)
    if len(graph.edges) > _SHOWN:
        parts.append(Text(f"… and {len(graph.edges) - _SHOWN} more", style="dim"))
    if graph.path:
        parts.append(Text(f"written to {graph.path}", style="dim"))
    return Group(*parts)


def _drifts(others: tuple[results.Drifted, ...]) -> RenderableType:
    rows = table("moves", "drift", "", "random edits", "z", "", right=(1, 4))
    for row in others[:_SHOWN]:
        rows.add_row(
            f"B{row.basin}",
            f"{row.drift:.3f}",
            Text(bar(row.drift / 2, 8), style="blue"),
            f"{row.placebo:.3f} ± {row.placebo_std:.3f}",
            f"{row.z:+.1f}",
            "" if row.survived else Text("lost", style="red"),
        )
    return rows


def _mean(mean: float, placebo: float, spread: float, count: int) -> Text:
    return Text(
        f"mean drift {mean:.3f}; {count} random edits of equal norm: {placebo:.3f} ± {spread:.3f}",
        style="dim",
    )


@render.register
def _(effect: results.CausalEffect) -> RenderableType:
    name = f"L{effect.layer}.B{effect.basin}"
    if effect.forced:
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
        _mean(effect.mean_drift, effect.placebo_drift, effect.placebo_drift_std, effect.placebos),
    )


@render.register
def _(effect: results.CounterfactualEffect) -> RenderableType:
    head = Text.assemble(
        ("if ", "dim"),
        (f"L{effect.layer}.B{effect.basin}", "bold"),
        {"invert": " held the opposite", "weaken": " held half", "shift": " lay elsewhere"}[effect.mod],
        f": it would move by {effect.own_drift:.2f}" + ("" if effect.survives else " and be gone"),
    )
    return Group(
        head,
        _drifts(effect.others),
        _mean(effect.mean_drift, effect.placebo_drift, effect.placebo_drift_std, effect.placebos),
    )


@render.register
def _(effect: results.CrossEffect) -> RenderableType:
    return Group(
        Text.assemble(
            (f"L{effect.layer}.B{effect.basin}", "bold"),
            f" held at zero in {effect.held} of {effect.tokens} tokens; in L{effect.to_layer} ",
            (percent(effect.moved), "bold"),
            " of the tokens settle elsewhere",
        ),
        facts(
            random_directions=f"{percent(effect.moved_placebo)} ± {percent(effect.moved_placebo_std)}",
            z=f"{effect.moved_z:+.1f}",
            usage_changes_by=f"{percent(effect.usage_change)} (random {percent(effect.usage_placebo)})",
        ),
    )

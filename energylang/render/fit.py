"""Pictures of the family fit: the landscape that a layer was given, with what it was measured by."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, percent, percents, stable, table

COVERED, OWN = 0.75, 0.9
"""What a landscape is asked for: see docs/howto/fit.md."""


def _row(ok: bool, name: str, value: str, beside: str) -> tuple[Text, str, str, Text]:
    return Text("✓" if ok else "✗", style="green" if ok else "red"), name, value, Text(beside, style="dim")


@render.register
def fitting(found: results.Fitting) -> RenderableType:
    title = Text.assemble(
        (f"L{found.layer}", "bold"),
        "  has a landscape of ",
        (str(found.basins), "bold green"),
        f" basins  {'(another than before)' if found.replaced else ''}",
    )
    rows = table("", "measured", "", "", right=(2,), wrap=(3,))
    rows.add_row(
        *_row(
            found.all_attract,
            "basins that attract",
            f"{found.attracting} of {found.basins}",
            f"stability at most {stable(found.stability)}; below 1 it attracts",
        )
    )
    above = found.coverage.value > found.chance.value
    rows.add_row(
        *_row(
            found.coverage.value >= COVERED and above,
            "new tokens that settle in one",
            percents(found.coverage.value, found.coverage.error),
            f"{percents(found.chance.value, found.chance.error)} of random directions do; {COVERED:.0%} is asked for",
        )
    )
    rows.add_row(
        *_row(
            found.own.value >= OWN,
            "of these in their own group's",
            percents(found.own.value, found.own.error),
            f"{OWN:.0%} is asked for",
        )
    )
    parts: list[RenderableType] = [title, rows]
    parts.append(
        facts(
            explained=f"{percents(found.explained.value, found.explained.error)} of what the MLP answers (an edit is "
            "spliced in: it need not be more)",
        )
    )
    parts.append(
        facts(
            fitted=f"{found.tokens:,} tokens of {found.of}",
            measured=f"{found.unseen:,} others",
            components=f"{found.components}, {percent(found.components_explained)} of the inputs' variance",
            seconds=f"{found.seconds:.1f}",
        )
    )
    if found.empty:
        parts.append(Text(f"{found.empty} basins hold none of the fitted tokens", style="yellow"))
    if found.over_seeds is not None:
        seeds = found.over_seeds
        parts.append(
            facts(
                seeds=str(seeds.seeds),
                settle=percents(seeds.coverage_mean, seeds.coverage_std),
                own_group=percents(seeds.own_mean, seeds.own_std),
                chance=percents(seeds.chance_mean, seeds.chance_std),
            )
        )
    if found.tried:
        tried = table("components", "basins", "settle", "chance", "", right=(0, 1, 2, 3))
        for size in found.tried:
            here = (size.components, size.basins) == (found.components, found.basins)
            tried.add_row(
                str(size.components),
                str(size.basins),
                percent(size.coverage),
                percent(size.chance),
                "◂ chosen" if here else "",
            )
        parts.append(tried)
    parts.append(
        Text(
            f"what the model says is unchanged; `survey L{found.layer}` shows the basins, `undo` takes them away",
            style="dim",
        )
    )
    return Group(*parts)

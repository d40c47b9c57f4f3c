"""Pictures: watermarks."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, percent, table


@render.register
def watermark_verify(found: results.Watermark) -> RenderableType:
    head = (
        ("✓ the marks are there", "bold green")
        if found.present
        else ("✗ no watermark of this key", "bold red")
    )
    return Group(
        Text.assemble(head, f"  {found.found} of {found.marks} in L{found.layer}"),
        facts(
            wrong_keys_that_score_as_high=f"{percent(found.false_positive_rate)} of {found.wrong_keys}",
            their_mean=percent(found.wrong_score),
        ),
    )


@render.register
def watermark_strip_test(found: results.Stripped) -> RenderableType:
    rows = table("attack", "strength", "marks left", "", "basins left", right=(1, 2, 4))
    for attack in found.attacks:
        rows.add_row(
            attack.name,
            f"{attack.strength:g}",
            percent(attack.score),
            Text("found" if attack.present else "gone", style="green" if attack.present else "red"),
            percent(attack.basins_kept),
        )
    end = (
        Text("every attack that leaves the basins alone leaves the watermark", style="green")
        if found.survives
        else Text("an attack that leaves the basins alone removes it, or it was not there", style="red")
    )
    return Group(rows, end)

"""Pictures: records and replays."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, short, table


@render.register
def record(made: results.Recorded) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"),
        f"{made.path}   {made.operations} operations, {made.bytes:,} bytes   ",
        ("checkpoint ", "dim"),
        short(made.checkpoint_hash),
        ("  end ", "dim"),
        short(made.final_hash),
    )


@render.register
def replay(found: results.Replay) -> RenderableType:
    same, rounded = sum(step.same for step in found.steps), sum(bool(step.rounding) for step in found.steps)
    head = (
        Text.assemble(("✓ identical", "bold green"), f"  {found.operations} operations, digest by digest")
        if found.identical
        else Text.assemble(
            ("✓ equal within rounding", "bold green"),
            f"  {found.operations} operations, {rounded} of them not digit by digit",
        )
        if found.equal
        else Text.assemble(("✗ not the same", "bold red"), f"  {same} of {found.operations} operations agree")
    )
    parts: list[RenderableType] = [
        head,
        facts(weights=f"{short(found.recorded_hash)} → {short(found.final_hash)}"),
    ]
    if found.equal and not found.identical:
        if found.final_hash != found.recorded_hash and found.weights_apart is not None:
            parts.append(facts(**{"changes of the weights apart": f"{found.weights_apart:.0e}"}))
        if found.largest:
            parts.append(facts(**{"largest deviation": found.largest}))
    differing = [step for step in found.steps if not step.same]
    if differing:
        rows = table("", "operation", "difference", right=(0,), wrap=(1, 2))
        for step in differing[:8]:
            rows.add_row(str(step.number), Text(step.statement), Text(step.difference, style="red"))
        parts.append(rows)
    if not found.intact:
        parts.append(
            Text("the record was changed after it was written: its checksum does not hold", style="red")
        )
    if found.versions_differ:
        parts.append(Text("made with other versions: " + "; ".join(found.versions_differ), style="yellow"))
    return Group(*parts)

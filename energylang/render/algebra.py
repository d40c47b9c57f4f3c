"""Pictures: arithmetic on concepts, and concepts in files."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, table


@render.register
def similarity(found: results.Similarity) -> RenderableType:
    return Group(
        Text.assemble(f"{found.first} and {found.second}: cosine ", (f"{found.cosine:.3f}", "bold")),
        facts(without_what_all_states_share=f"{found.centred:.3f}", angle=f"{found.angle_degrees:.1f}°"),
    )


@render.register
def interpolate(found: results.Interpolation) -> RenderableType:
    rows = table("t", f"to {found.first}", f"to {found.second}", "settles in", right=(0, 1, 2))
    for point in found.points:
        rows.add_row(
            f"{point.t:.2f}",
            f"{point.to_first:.3f}",
            f"{point.to_second:.3f}",
            f"B{point.basin}" if point.basin is not None else "–",
        )
    return rows


@render.register
def export_concept(stored: results.Stored) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"),
        f"{stored.path}   {stored.name}: {stored.samples} texts at L{stored.layer}, {stored.bytes:,} bytes",
    )

"""Pictures: what became of the answer of a layer's memory at a key, where it occurs and elsewhere."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import distance, give_or_take, table

_WHERE = {
    "neuron": "where the neuron is loudest",
    "concept": "where other texts of it are said",
    "phrase": "at its last token, behind other text",
    "basin": "at other tokens that settle there",
}


@render.register
def keyed(found: results.Keyed) -> RenderableType:
    where = _WHERE[found.kind] if found.places else "at the key itself"
    name = f"likeness to the answer of {found.to}" if found.to else "its answer (1: as at the key)"
    rows = table(f"{where} ({found.places} places)", "before", "after", right=(1, 2))
    rows.add_row(name, f"{found.before:.3f}", Text(f"{found.after:.3f}", style="bold"))
    rows.add_row("how much the places are the key (1: all)", f"{found.heard:.3f}", "")
    rows.add_row("… elsewhere, root mean square", f"{found.elsewhere:.3f}", "")
    parts: list[RenderableType] = [rows]
    if found.kl is not None:
        moves = f"the next token moves by {found.kl:.4f} nats there, {found.kl_elsewhere:.4f} elsewhere"
        if found.kl_random is not None:
            z = distance(found.kl_z if found.placebos > 2 else None)
            moves += f"; with random values {give_or_take(found.kl_random, found.kl_random_std, 4)} (z {z})"
        parts.append(Text(moves))
    costs = [("held-out text", found.loss_change, found.loss_change_error)]
    if found.own_change is not None:
        costs.insert(0, ("its own replies", found.own_change, found.own_change_error))
    told = ", ".join(
        f"{name} {change:+.4f}" + ("" if error is None else f" ± {error:.4f}")
        for name, change, error in costs
    )
    parts.append(Text(f"loss in nats: {told}", style="dim"))
    return Group(*parts)

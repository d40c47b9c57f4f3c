"""Pictures: what became of the answer to a phrase, of other words for it, and of its neighbours."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import percent, table


@render.register
def rewritten(found: results.Rewritten) -> RenderableType:
    rows = table("prompt", f"P({_short(found.answer)})", "after", "says", "after", right=(1, 2))
    asked = [
        ("", found.asked),
        *(("same", one) for one in found.same),
        *(("near", one) for one in found.near),
    ]
    for kind, one in asked:
        said, now = _short(one.first_before), _short(one.first_after)
        wrong = kind == "near" and one.first_before != one.first_after
        rows.add_row(
            Text.assemble((f"{kind} " if kind else "", "dim"), one.prompt),
            _chance(one.before),
            Text(_chance(one.after), style="bold"),
            said,
            Text(now, style="yellow" if wrong else ""),
        )
    random = f"random values at the same key: {_chance(found.random)} on average, {_chance(found.random_max)} at most"
    parts: list[RenderableType] = [rows, Text(f"asked at {_short(found.place)}; {random}")]
    if found.same_after is not None:
        parts.append(Text(f"in other words {_chance(found.same_after)} on average"))
    if found.near_kept is not None:
        parts.append(Text(f"{percent(found.near_kept)} of {len(found.near)} neighbours begin as before"))
    costs = [("held-out text", found.loss_change, found.loss_change_error)]
    if found.own_change is not None:
        costs.insert(0, ("its own replies", found.own_change, found.own_change_error))
    told = ", ".join(
        f"{name} {change:+.4f}" + ("" if error is None else f" ± {error:.4f}")
        for name, change, error in costs
    )
    parts.append(Text(f"loss in nats: {told}", style="dim"))
    return Group(*parts)


def _chance(value: float) -> str:
    return f"{value:.3f}"


def _short(token: str) -> str:
    shown = token.strip() or token
    return shown if len(shown) <= 16 else shown[:15] + "…"

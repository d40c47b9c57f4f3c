"""Pictures: edits: what was asked, what was done, what became of the other basins."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, number, percent, reach_of, table
from .observe import _ids


@render.register
def edit(edit: results.Edit) -> RenderableType:
    place = ", ".join(f"L{layer}" for layer in edit.layers or (edit.layer,))
    where = edit.target if edit.target == place else f"{edit.target} in {place}"
    if edit.forced:
        head = Text.assemble(("! kept by force", "bold yellow"), f"  {where}")
    elif edit.applied:
        head = Text.assemble(("✓ staged", "bold green"), f"  {where}{_became(edit)}")
    else:
        head = Text.assemble(("✗ refused", "bold red"), f"  {where}: {edit.reason}")
    strength = "–" if edit.strength is None else number(edit.strength)
    values = {
        "change": f"{number(edit.norm)} ({percent(edit.relative_norm)} of the weight{'s' * bool(edit.layers)})",
        "rank": f"{edit.rank} in {len(edit.layers)} layers" if edit.layers else str(edit.rank),
        "strength": strength,
    }
    parameters = {"margin": edit.margin, "factor": edit.factor, "dose": edit.dose}
    values |= {name: number(value) for name, value in parameters.items() if value is not None}
    if edit.method:
        values["method"] = edit.method
    parts: list[RenderableType] = [head, facts(**values)]
    failing = [condition for condition in edit.conditions if not condition.ok]
    if len(failing) > 1:  # the reason names the first
        parts += [Text(f"✗ {_condition(condition)}", style="red") for condition in failing]
    if edit.forced:
        parts.append(Text(edit.reason, style="yellow"))
    if edit.norm:
        parts += _asked(edit)
        parts += _others(edit)
    if edit.effect is not None:
        parts.append(render(edit.effect))
    if edit.rewritten is not None:
        parts.append(render(edit.rewritten))
    if edit.keyed is not None:
        parts.append(render(edit.keyed))
    if edit.reach is not None:
        parts.append(Text(f"radius of the new basin {reach_of(edit.reach)}"))
    if edit.neighbours:
        parts.append(_neighbours(edit))
    parts += [Text(f"note: {note}", style="dim") for note in edit.notes]
    return Group(*parts)


def _neighbours(edit: results.Edit) -> Table:
    """The basins beside a new one, with their radii before and after."""
    rows = table("beside it", "cosine", "radius before", "after", "", right=(1, 2, 3))
    for near in edit.neighbours:
        rows.add_row(
            Text(f"B{near.basin}", style="cyan"),
            f"{near.cosine:.2f}",
            reach_of(near.before),
            reach_of(near.after),
            Text(near.change, style="yellow" if near.change == "shrank" else ""),
        )
    return rows


def _condition(found: results.Condition) -> str:
    """What was measured, and its limit."""
    return f"{found.name}: {number(found.value)}, {'at least' if found.at_least else 'at most'} {number(found.limit)}"


def _became(edit: results.Edit) -> str:
    """What the target of an edit that was kept is now."""
    if edit.basin is None or f".B{edit.basin}" in edit.target:
        return ""
    if edit.operation in ("remove", "remove-concept"):
        return f" was L{edit.layer}.B{edit.basin}"
    if edit.judged_by == "damage":
        return f" settles in L{edit.layer}.B{edit.basin}"
    if edit.merged:
        return f" is L{edit.layer}.B{edit.basin}, which was there before"
    return f" is now L{edit.layer}.B{edit.basin}"


def _asked(edit: results.Edit) -> list[RenderableType]:
    """Was what was asked for done? The numbers by which that was judged."""
    parts: list[RenderableType] = []
    if edit.cosine is not None and edit.returned is not None:
        parts.append(
            Text(
                f"cosine {edit.cosine:.2f} to what was asked for, returns from 10 % noise {percent(edit.returned)}"
            )
        )
    if edit.energy_before is not None and edit.energy_after is not None:
        way = "shallower" if edit.energy_after > edit.energy_before else "deeper"
        parts.append(Text(f"still a basin, {way}: energy {edit.energy_before:.3f} → {edit.energy_after:.3f}"))
    if edit.field_before is not None and edit.field_after is not None:
        ratio = edit.field_after / edit.field_before if edit.field_before else 1.0
        parts.append(
            Text(f"field where it rests {edit.field_before:.3f} → {edit.field_after:.3f} ({ratio:.2f} times)")
        )
    if edit.arrived is not None:
        parts.append(Text(f"{percent(edit.arrived)} of what was diverted arrives"))
    return parts


def _others(edit: results.Edit) -> list[RenderableType]:
    """What became of the other basins, by the one count that the gate, the registry and ``diff`` share."""
    parts: list[RenderableType] = []
    changed = f"{percent(edit.changed_fraction)} of noisy decisions change"
    unprotected = edit.known - edit.protected
    if edit.judged_by == "damage":
        if not edit.known and edit.method == "memory":
            return [Text("judged by its damage on text")]
        stay = edit.known - (len(edit.lost) or edit.would_lose)
        parts.append(
            Text(
                f"judged by its damage on text, not by the gate: {stay} of {edit.known} basins stay, {changed}"
            )
        )
    else:
        line = f"{edit.kept} of {edit.protected} protected basins stay, {changed}"
        if unprotected:
            own = unprotected - edit.minor
            kinds = [f"{own} of its own or built from it"] if own > 0 else []
            kinds += [f"{edit.minor} that hold hardly a token each"] if edit.minor else []
            line += f"; not protected: {' and '.join(kinds) or unprotected}"
        parts.append(Text(line))
    if edit.lost_on_purpose:
        parts.append(Text(f"lost on purpose: {_ids(edit.lost_on_purpose)}"))
    if edit.lost_beside:
        beside = Text(f"lost beside it: {_ids(edit.lost_beside)}", style="yellow")
        if edit.minor:
            main = edit.lost_main - len(edit.lost_on_purpose)
            beside.append(f" ({max(0, main)} of the main basins)")
        parts.append(beside)
    if edit.would_lose:
        parts.append(Text(f"it would have lost {edit.would_lose} of {edit.known} basins", style="dim"))
    return parts

"""A picture for every kind of result: what is printed when a statement shows it.

One function per result, chosen by its type; each returns something that rich can print. Nothing here
depends on time, so that two equal runs print the same.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from energylang import results

from . import counting
from .dispatch import render
from .marks import bar, facts, number, percent, short, small, table

SHOWN_BASINS = 12


# --------------------------------------------------------------------------------------- observing


@render.register
def _(survey: results.Survey) -> RenderableType:
    shape = "symmetric" if survey.symmetric else f"asymmetry {survey.asymmetry:.2f}"
    if survey.definite:
        shape += ", positive semi-definite"
    starts = f"{survey.inits} random"
    starts += f" + {survey.token_starts} tokens" if survey.token_starts else ""
    starts += f" + {survey.installed_starts} installed" if survey.installed_starts else ""
    count = f"{survey.num_basins}"
    title = Text.assemble((f"L{survey.layer}", "bold"), "  ", (count, "bold green"), " basins found")
    seeds = counting.over_seeds(survey)
    parts: list[RenderableType] = [
        title,
        counting.sampled(survey),
        *([seeds] if seeds is not None else []),
        facts(
            d=str(survey.dim),
            beta=f"{survey.beta:.2f}",
            starts=starts,
            usage=f"{survey.usage_entropy_nats:.2f} nats",
            iterations=f"{survey.mean_iters:.1f}",
            norm=f"{survey.spectral_norm:.2f}",
        ),
        facts(weight=shape, to_zero=str(survey.origin_population), unsettled=str(survey.unsettled)),
    ]
    if survey.basins:
        parts.append(_basins(survey))
    hidden = survey.num_basins - SHOWN_BASINS
    if hidden > 0:
        rest = sum(basin.population for basin in survey.basins[SHOWN_BASINS:])
        parts.append(Text(f"… and {hidden} more, with {rest} of the starts", style="dim"))
    return Group(*parts)


def _basins(survey: results.Survey) -> Table:
    shown = survey.basins[:SHOWN_BASINS]
    most = max(basin.population for basin in shown)
    with_radius = any(basin.radius is not None for basin in shown)
    names = ["basin", "starts", "", "share", "energy", "residual", "stability", "mirror"]
    rows = table(*names, *(["radius"] if with_radius else []), right=(1, 3, 4, 5, 6, 8))
    for basin in shown:
        cells: list[RenderableType] = [
            Text(str(basin), style="cyan" if basin.is_fixed_point else "yellow"),
            Text(str(basin.population)),
            Text(bar(basin.population / most), style="blue"),
            Text(percent(basin.fraction)),
            Text(f"{basin.energy:.3f}"),
            Text(small(basin.residual), style="" if basin.is_fixed_point else "yellow"),
            Text(f"{basin.stability:.2f}"),
            Text(f"B{basin.mirror}" if basin.mirror is not None else "–", style="dim"),
        ]
        if with_radius:
            cells.append(Text(f"{basin.radius:.2f}" if basin.radius is not None else "–"))
        rows.add_row(*cells)
    return rows


@render.register
def _(survey: results.SurveyAll) -> RenderableType:
    most = max((layer.num_basins for layer in survey.layers), default=1) or 1
    rows = table(
        "layer",
        "found",
        "",
        "coverage",
        "in all",
        "d",
        "beta",
        "usage",
        "norm",
        "fixed",
        "unsettled",
        right=(1, 3, 4, 5, 6, 7, 8, 9, 10),
    )
    for layer in survey.layers:
        fixed = sum(basin.is_fixed_point for basin in layer.basins)
        rows.add_row(
            Text(f"L{layer.layer}", style="cyan"),
            str(layer.num_basins),
            Text(bar(layer.num_basins / most), style="blue"),
            counting.coverage(layer),
            counting.short_total(layer),
            str(layer.dim),
            f"{layer.beta:.2f}",
            f"{layer.usage_entropy_nats:.2f} nats",
            f"{layer.spectral_norm:.2f}",
            str(fixed),
            str(layer.unsettled),
        )
    return rows


@render.register
def _(verdict: results.Verdict) -> RenderableType:
    if verdict.is_basin:
        name = f" L{verdict.layer}.B{verdict.basin}" if verdict.basin is not None else ""
        head = Text.assemble(("✓ a basin", "bold green"), name)
    else:
        head = Text.assemble(("✗ not a basin", "bold red"), f" at {verdict.target} in L{verdict.layer}")
    place = facts(
        cosine=f"{verdict.cosine:.3f}",
        residual=small(verdict.residual),
        stability=f"{verdict.stability:.2f}",
        energy=f"{verdict.energy:.3f}",
    )
    if not verdict.is_basin:
        name = f"L{verdict.layer}.B{verdict.basin}" if verdict.basin is not None else "elsewhere"
        return Group(
            head, Text.assemble("it settles ", f"in {name}" if name != "elsewhere" else name, "   ", place)
        )
    return Group(
        head,
        place,
        facts(
            returns_from_noise_of="",
            **{
                "10 %": percent(verdict.return_10),
                "20 %": percent(verdict.return_20),
                "30 %": percent(verdict.return_30),
            },
        ),
    )


@render.register
def _(energy: results.Energy) -> RenderableType:
    rows = table("", "energy", "published formula", right=(1, 2))
    name = f"L{energy.layer}.B{energy.basin}" if energy.basin is not None else "where it settles"
    rows.add_row(escape(energy.target), f"{energy.energy:.4f}", f"{energy.energy_reference:.4f}")
    rows.add_row(name, f"{energy.basin_energy:.4f}", f"{energy.basin_energy_reference:.4f}")
    rows.add_row("gap", f"{energy.gap:.4f}", "")
    if not energy.symmetric:
        return Group(
            rows,
            Text("the weight is not symmetric: energies are those of its symmetric part", style="yellow"),
        )
    return rows


# --------------------------------------------------------------------------------------- modifying


@render.register
def _(edit: results.Edit) -> RenderableType:
    if edit.forced:
        head = Text.assemble(("! kept by force", "bold yellow"), f"  {edit.target} in L{edit.layer}")
    elif edit.applied:
        head = Text.assemble(("✓ staged", "bold green"), f"  {edit.target} in L{edit.layer}")
        if (
            edit.basin is not None
            and edit.operation not in ("remove", "remove-concept")
            and f".B{edit.basin}" not in edit.target
        ):
            head.append(f" is now L{edit.layer}.B{edit.basin}", style="bold")
    else:
        head = Text.assemble(("✗ refused", "bold red"), f"  {edit.target} in L{edit.layer}: {edit.reason}")
    strength = "–" if edit.strength is None else number(edit.strength)
    values = {
        "change": f"{number(edit.norm)} ({percent(edit.relative_norm)} of the weight)",
        "rank": str(edit.rank),
        "strength": strength,
    }
    if edit.method:
        values["method"] = edit.method
    parts: list[RenderableType] = [head, facts(**values)]
    if edit.forced:
        parts.append(Text(edit.reason, style="yellow"))
    if edit.norm:
        text = f"{edit.kept} of {edit.protected} protected basins stay, "
        parts.append(Text(text + f"{percent(edit.changed_fraction)} of decisions change"))
        if edit.arrived is not None:
            parts.append(Text(f"{percent(edit.arrived)} of what was diverted arrives"))
        if edit.lost:
            shown = ", ".join(f"B{id}" for id in edit.lost[:8]) + (" …" if len(edit.lost) > 8 else "")
            parts.append(Text(f"lost: {shown}"))
    if edit.effect is not None:
        parts.append(render(edit.effect))
    parts += [Text(f"note: {note}", style="dim") for note in edit.notes]
    return Group(*parts)


@render.register
def _(diff: results.Diff) -> RenderableType:
    if not diff.changed:
        then = "as it was loaded" if diff.since is None else f"as it was at {diff.since}"
        return Text(f"L{diff.layer} is {then}", style="green")
    parts: list[RenderableType] = [
        facts(
            change=f"{number(diff.norm)} ({percent(diff.relative_norm)} of the weight)",
            rank=str(diff.rank),
            edits=str(diff.edits),
            spectral_norm=f"{diff.spectral_before:.4f} → {diff.spectral_after:.4f}",
        ),
    ]
    rows = table("largest changes", "", right=(1,))
    for entry in diff.largest:
        rows.add_row(f"W[{entry.row}, {entry.column}]", f"{entry.change:+.5f}")
    parts.append(rows)
    parts.append(
        facts(
            basins_kept=str(len(diff.basins_kept)),
            lost=_ids(diff.basins_lost),
            gained=_ids(diff.basins_gained),
            largest_drift=small(diff.max_drift),
        )
    )
    if diff.basins_met:
        count = len(diff.basins_met)
        parts.append(Text(f"{count} more known now {'was' if count == 1 else 'were'} there before, not met"))
    if diff.null_met is not None:
        parts.append(
            Text(
                f"the same weight surveyed again, with another seed: {diff.null_gained} gained, {diff.null_lost} lost, "
                f"{diff.null_met} met for the first time",
                style="dim",
            )
        )
    return Group(*parts)


def _ids(ids: tuple[int, ...]) -> str:
    if not ids:
        return "none"
    return ", ".join(f"B{id}" for id in ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


# --------------------------------------------------------------------------------- concepts, control


@render.register
def _(info: results.Info) -> RenderableType:
    dims = ", ".join(str(d) for d in dict.fromkeys(info.dims))
    parts: list[RenderableType] = [
        Text.assemble(
            (info.model, "bold"),
            f"  {info.kind}, {info.num_layers} Hopfield layer" + ("" if info.num_layers == 1 else "s"),
        ),
        facts(
            d=dims,
            degree=str(info.degree),
            beta=", ".join(f"{beta:.2f}" for beta in info.betas),
            parameters=f"{info.parameters:,}",
        ),
        facts(can=", ".join(info.capabilities), hash=short(info.hash)),
    ]
    return Group(*parts)


@render.register
def _(applied: results.Applied) -> RenderableType:
    layers = ", ".join(f"L{layer}" for layer in applied.layers)
    return Text.assemble(
        ("✓ " if applied.changed else "= ", "green"),
        f"{layers} {'changed' if applied.changed else 'unchanged'}   ",
        ("live ", "dim"),
        short(applied.hash),
    )


@render.register
def _(status: results.Status) -> RenderableType:
    rows = table(
        "layer", "state", "edits", "refused", "known basins", "lost", "change", right=(2, 3, 4, 5, 6)
    )
    for layer in status.layers:
        style = "green" if layer.state == "original" else "yellow"
        rows.add_row(
            f"L{layer.layer}",
            Text(layer.state, style=style),
            str(layer.edits),
            str(layer.refused),
            str(layer.basins),
            str(layer.lost),
            percent(layer.relative_norm),
        )
    return Group(
        Text.assemble(
            (status.model, "bold"),
            f"  {status.concepts} concepts, {status.undoable} change{'' if status.undoable == 1 else 's'} to undo",
        ),
        rows,
        facts(
            original=short(status.original_hash),
            live=short(status.live_hash),
            staged=short(status.staged_hash),
        ),
    )


@render.register
def _(setting: results.Setting) -> RenderableType:
    return Text.assemble(
        f"{setting.name} ", (str(setting.before), "dim"), " → ", (str(setting.value), "bold")
    )


@render.register
def _(saved: results.Saved) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"), f"{saved.path}   {saved.bytes:,} bytes   ", ("hash ", "dim"), short(saved.hash)
    )


@render.register
def _(undone: results.Undone) -> RenderableType:
    lines = [Text.assemble(("↶ ", "cyan"), f"undone: {statement}") for statement in undone.statements]
    lines += [Text.assemble(("↷ ", "cyan"), f"done again: {statement}") for statement in undone.again]
    if not lines:
        lines = [Text("the session stands there already", style="dim")]
    if undone.refused:
        one = undone.refused == 1
        words = "one of these was an edit" if one else f"{undone.refused} of these were edits"
        lines.append(Text(f"{words} that had been refused and had changed nothing", style="dim"))
    end = "identical to the original" if undone.is_original else "differs from the original"
    style = "bold green" if undone.is_original else "yellow"
    return Group(*lines, Text.assemble(("weights ", "dim"), short(undone.hash), "  ", (end, style)))


@render.register
def _(history: results.History) -> RenderableType:
    if history.tree:
        return _tree(history)
    if not history.entries:
        return Text("nothing has been changed", style="dim")
    rows = table("", "state", "statement", "", right=(0,), wrap=(2, 3))
    for entry in history.entries:
        rows.add_row(
            str(entry.id),
            Text(entry.state, style=STATES.get(entry.state, "")),
            Text(entry.statement),
            Text("   ".join(filter(None, (_names(entry.checkpoints), entry.detail))), style="dim"),
        )
    return rows


STATES = {
    "OK": "green",
    "REFUSED": "red",
    "BLOCKED": "red",
    "FORCED": "yellow",
    "FAILED": "red",
    "UNDONE": "dim",
}


def _names(checkpoints: tuple[str, ...]) -> str:
    return f"⚑ {', '.join(checkpoints)}" if checkpoints else ""


def _tree(history: results.History) -> RenderableType:
    """What follows on each other stands under each other; where ways part, each has a branch."""
    children: dict[int, list[results.HistoryEntry]] = {}
    for entry in history.entries:
        children.setdefault(entry.parent, []).append(entry)
    lines = [
        _place("●" if history.at == 0 else "○", 0, "the beginning", "", history.beginning, history.at == 0)
    ]
    pending: list[tuple[results.HistoryEntry, str, str]] = []  # entry, stem, indentation of what follows it

    def grow(parent: int, indent: str) -> None:
        grown = children.get(parent, [])
        if len(grown) == 1:
            pending.append((grown[0], indent, indent))
            return
        for position, entry in enumerate(reversed(grown)):
            last = position == 0
            pending.append((entry, indent + ("└─" if last else "├─"), indent + ("  " if last else "│ ")))

    grow(0, "")
    while pending:
        entry, stem, indent = pending.pop()
        sign = "●" if entry.here else "○" if entry.state in ("OK", "FORCED", "UNDONE") else "×"
        said = _place(sign, entry.id, entry.statement, entry.state, entry.checkpoints, entry.here)
        lines.append(Text.assemble((stem, "dim"), said))
        grow(entry.id, indent)
    return Group(*lines)


def _place(sign: str, id: int, statement: str, state: str, checkpoints: tuple[str, ...], here: bool) -> Text:
    said = Text.assemble(
        (f"{sign} ", "bold cyan" if here else "dim"), (f"{id} ", "dim"), (statement, "bold" if here else "")
    )
    if state not in ("", "OK"):
        said.append(f"  {state}", style=STATES.get(state, ""))
    if checkpoints:
        said.append(f"  {_names(checkpoints)}", style="magenta")
    if here:
        said.append("  ← here", style="bold cyan")
    return said


@render.register
def _(attempt: results.Attempted) -> RenderableType:
    count = {0: "nothing had been changed", 1: "one change was undone"}.get(
        attempt.undone, f"{attempt.undone} changes were undone"
    )
    return Group(
        Text.assemble(
            ("↶ ", "cyan"), f"failed in line {attempt.line}: {attempt.error} ", (f"[{attempt.code}]", "dim")
        ),
        Text(count, style="dim"),
    )


@render.register
def _(checkpoint: results.Checkpoint) -> RenderableType:
    moved = f", no longer at {checkpoint.moved_from}" if checkpoint.moved_from is not None else ""
    return Text.assemble(("⚑ ", "magenta"), (checkpoint.name, "bold"), f"  at {checkpoint.at}{moved}")


# --------------------------------------------------------------------------------------------- text


@render.register
def _(made: results.Generation) -> RenderableType:
    said = Text.assemble(("“", "dim"), (made.text, "bold"), ("”", "dim"))
    known = [(step.token.strip(), step.basins[-1]) for step in made.steps if step.basins]
    named = [f"{token} B{basin}" for token, basin in known if token.isalpha() and basin is not None]
    if not named:
        return said
    layer = len(made.steps[0].basins) - 1
    shown = ", ".join(named[:8]) + (" …" if len(named) > 8 else "")
    return Group(said, Text(f"in known basins of L{layer}: {shown}", style="dim"))

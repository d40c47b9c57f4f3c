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
from .marks import bar, facts, number, percent, reach_of, short, small, stable, table

SHOWN_BASINS = 12
NOT_SYMMETRIC = (
    "the weight is not symmetric: energies are those of its symmetric part, and may rise along the way"
)


# --------------------------------------------------------------------------------------- observing


@render.register
def _(survey: results.Survey) -> RenderableType:
    shape = "symmetric" if survey.symmetric else f"asymmetry {survey.asymmetry:.2f}"
    if survey.definite:
        shape += ", positive semi-definite"
    starts = f"{survey.inits} random"
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
    if survey.token_states:
        parts.append(_token_facts(survey))
    if survey.basins:
        parts.append(_token_basins(survey) if survey.token_states else _basins(survey))
    if survey.basins and not survey.symmetric:
        parts.append(Text(NOT_SYMMETRIC, style="yellow"))
    hidden = survey.num_basins - SHOWN_BASINS
    if hidden > 0 and survey.token_states:
        shown = survey.basins[:SHOWN_BASINS]
        share = sum(basin.tokens for basin in shown) / survey.token_states
        words = f"the {len(shown)} shown hold {100 * share:.0f} % of the token states; {hidden} more basins"
        parts.append(Text(words, style="dim"))
    elif hidden > 0:
        rest = sum(basin.population for basin in survey.basins[SHOWN_BASINS:])
        parts.append(Text(f"… and {hidden} more, with {rest} of the starts", style="dim"))
    return Group(*parts)


def _token_facts(survey: results.Survey) -> Text:
    lost = survey.tokens_to_zero + survey.tokens_unsettled
    by_starts = sum(basin.population > 0 for basin in survey.basins)
    values = {
        "tokens": f"{survey.token_states:,} in {survey.token_basins:,} basins",
        "starts": f"in {by_starts:,}",
    }
    if survey.token_coverage is not None:
        values["coverage_of_tokens"] = percent(survey.token_coverage)
    if lost:
        values["without_a_basin"] = f"{survey.tokens_unsettled} never settle" + (
            f", {survey.tokens_to_zero} decay to zero" if survey.tokens_to_zero else ""
        )
    return facts(**values)


def _token_basins(survey: results.Survey) -> Table:
    """The basins by tokens: what is read there, and where."""
    shown = survey.basins[:SHOWN_BASINS]
    most = max(1, *(basin.tokens for basin in shown))
    with_radius = any(basin.radius is not None for basin in shown)
    names = ["basin", "tokens", "", "share", "starts", "energy"]
    names += ["radius"] if with_radius else []
    right = tuple(k for k in range(1, len(names)) if k != 2)
    rows = table(*names, "read there", "for example", right=right, wrap=(len(names), len(names) + 1))
    for basin in shown:
        cells: list[RenderableType] = [
            Text(str(basin), style="cyan" if basin.is_fixed_point else "yellow"),
            Text(str(basin.tokens)),
            Text(bar(basin.tokens / most, 8), style="blue"),
            Text(percent(basin.token_share or 0.0)),
            Text(str(basin.population)),
            Text(f"{basin.energy:.2f}"),
        ]
        if with_radius:
            cells.append(Text(reach_of(basin)))
        cells += [Text(_read_there(basin)), _example(basin.context)]
        rows.add_row(*cells)
    return rows


def _read_there(basin: results.Basin) -> str:
    """The token read there most often with its share, and the next one."""
    tokens = [item.token.replace("\n", "⏎").strip() or "␣" for item in basin.top_tokens[:2]]
    if not tokens:
        return "–"
    return " · ".join([f"{tokens[0]} {100 * basin.top_tokens[0].score:.0f} %", *tokens[1:]])


def _example(context: results.Context | None) -> Text:
    """The token in a few of its words."""
    if context is None:
        return Text("–", style="dim")
    before, after = context.before.split()[-2:], context.after.split()[:1]
    return Text.assemble(
        (" ".join([*before, ""]), "dim"), (context.token, "bold"), (" ".join(["", *after]), "dim")
    )


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
            Text(stable(basin.stability), style="" if basin.stability < 1 else "yellow"),
            Text(f"B{basin.mirror}" if basin.mirror is not None else "–", style="dim"),
        ]
        if with_radius:
            cells.append(Text(reach_of(basin)))
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
        stability=stable(verdict.stability),
        energy=f"{verdict.energy:.3f}" + ("" if verdict.symmetric else " (of the symmetric part)"),
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
            Text(NOT_SYMMETRIC, style="yellow"),
        )
    if energy.gap < 0:
        note = "it comes to rest higher than it began: large first steps may raise the energy of a weight that is not "
        return Group(rows, Text(note + "positive semi-definite", style="yellow"))
    return rows


# --------------------------------------------------------------------------------------- modifying


@render.register
def _(edit: results.Edit) -> RenderableType:
    place = f"L{edit.layer}"
    where = edit.target if edit.target == place else f"{edit.target} in {place}"
    if edit.forced:
        head = Text.assemble(("! kept by force", "bold yellow"), f"  {where}")
    elif edit.applied:
        head = Text.assemble(("✓ staged", "bold green"), f"  {where}{_became(edit)}")
    else:
        head = Text.assemble(("✗ refused", "bold red"), f"  {where}: {edit.reason}")
    strength = "–" if edit.strength is None else number(edit.strength)
    values = {
        "change": f"{number(edit.norm)} ({percent(edit.relative_norm)} of the weight)",
        "rank": str(edit.rank),
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
        "layer", "state", "edits", "refused", "known", "met", "lost", "change", right=(2, 3, 4, 5, 6, 7)
    )
    for layer in status.layers:
        style = "green" if layer.state == "original" else "yellow"
        rows.add_row(
            f"L{layer.layer}",
            Text(layer.state, style=style),
            str(layer.edits),
            str(layer.refused),
            str(layer.basins),
            "–" if layer.met is None else str(layer.met),
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
    if undone.missing:
        there = len(undone.statements) + len(undone.again)
        lines.append(
            Text(f"there were no more than {there} of the {there + undone.missing} steps", style="yellow")
        )
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
    known = [
        (step.token.strip(), step.basins[-1], step.cosines[-1] if step.cosines else None)
        for step in made.steps
        if step.basins
    ]
    named = [
        f"{token} B{basin}" + ("" if cosine is None else f" ({cosine:.2f})")
        for token, basin, cosine in known
        if basin is not None
    ]
    missing = sum(basin is None for _, basin, _ in known)
    if not named:
        return said
    layer = len(made.steps[0].basins) - 1
    shown = ", ".join(named[:8]) + (" …" if len(named) > 8 else "")
    none = f"; {missing} of {len(known)} in none" if missing else ""
    words = f"basins of L{layer} (cosine of the state held to the centre): {shown}{none}"
    return Group(said, Text(words, style="dim"))

"""Pictures: what a survey, a look in one direction, or a comparison of weights found."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from energylang import results

from . import counting
from .dispatch import render
from .marks import bar, facts, number, percent, reach_of, small, stable, table
from .terrain import terrain

SHOWN_BASINS = 12


NOT_SYMMETRIC = (
    "the weight is not symmetric: energies are those of its symmetric part, and may rise along the way"
)


@render.register
def survey(survey: results.Survey) -> RenderableType:
    shape = "symmetric" if survey.symmetric else f"asymmetry {survey.asymmetry:.2f}"
    if survey.definite:
        shape += ", positive semi-definite"
    starts = f"{survey.inits} random"
    starts += f" + {survey.installed_starts} installed" if survey.installed_starts else ""
    if not survey.inits:
        starts = f"{survey.token_states:,} tokens + {survey.installed_starts} known basins"
    count = f"{survey.num_basins}"
    title = Text.assemble((f"L{survey.layer}", "bold"), "  ", (count, "bold green"), " basins found")
    seeds = counting.over_seeds(survey)
    parts: list[RenderableType] = [
        title,
        *([counting.sampled(survey)] if survey.inits else []),
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
def survey_all(survey: results.SurveyAll) -> RenderableType:
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
def verify(verdict: results.Verdict) -> RenderableType:
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
def energy(energy: results.Energy) -> RenderableType:
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


@render.register
def diff(diff: results.Diff) -> RenderableType:
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
    if diff.basins_kept or diff.basins_lost or diff.basins_gained or diff.null_met is not None:
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


@render.register
def landscape(found: results.LandscapeMap) -> RenderableType:
    if not found.points:
        return Text(f"L{found.layer} has no basin to map", style="dim")
    return terrain(found)

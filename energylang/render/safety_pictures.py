"""Pictures of limits, perplexities, watermarks, other models, vectors and records."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, give_or_take, percent, percents, short, table


@render.register
def _(guard: results.Guard) -> RenderableType:
    before = "" if guard.before is None else f" (was {guard.before:g})"
    return Text.assemble(("✓ ", "green"), guard.says + before)


@render.register
def _(found: results.Guards) -> RenderableType:
    if not found.guards and not found.protected:
        return Text("no guard is set and no basin protected", style="dim")
    parts: list[RenderableType] = [Text(guard.says) for guard in found.guards]
    if found.protected:
        parts.append(Text("protected: " + ", ".join(found.protected)))
    return Group(*parts)


@render.register
def _(found: results.Protected) -> RenderableType:
    names = ", ".join(f"B{basin}" for basin in found.all)
    return Text.assemble(("✓ ", "green"), f"protected in L{found.layer}: {names}")


@render.register
def _(found: results.Benchmark) -> RenderableType:
    rows = table("", "perplexity", "loss (nats/token)", right=(1, 2))

    def row(name: str, value: results.Perplexity, style: str = "") -> None:
        rows.add_row(
            name,
            Text(give_or_take(value.perplexity, value.perplexity_error, 3), style=style),
            give_or_take(value.loss, value.loss_error, 4),
        )

    row("as it was loaded", found.original)
    row("live", found.live, "bold")
    if found.staged is not None:
        row("with what is staged", found.staged, "yellow")
    return Group(
        Text(f"{found.corpus}: {found.windows} windows, {found.tokens} tokens", style="dim"),
        rows,
        facts(change_of_the_loss=percents(found.change, found.change_error, 2, "+")),
    )


@render.register
def _(found: results.Watermark) -> RenderableType:
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
def _(found: results.Stripped) -> RenderableType:
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


@render.register
def _(found: results.Comparison) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble(
            (f"L{found.layer}", "bold"),
            f" beside {found.other}: {found.matched} of {found.basins_here} known basins were met there as well, "
            f"mean cosine {found.mean_cosine:.3f}",
        ),
        facts(
            known_basins=f"{found.basins_here} | {found.basins_there}",
            at_rest_in_the_other="–"
            if found.rest_there is None or found.rest_here is None
            else f"{found.rest_there} | {found.rest_here}",
            d=f"{found.dim_here} | {found.dim_there}",
            beta=f"{found.beta_here:.2f} | {found.beta_there:.2f}",
            weights_differ_by="–" if found.weight_change is None else percent(found.weight_change),
        ),
    ]
    if found.fit is not None:
        parts.append(
            Text(
                f"rotated by shared texts: fit {found.fit:.2f} on texts not fitted to "
                f"(shuffled {found.fit_shuffled or 0:.2f})",
                style="dim",
            )
        )
    if found.matches:
        rows = table("here", "there", "cosine", right=(2,))
        for match in found.matches[:8]:
            rows.add_row(f"B{match.here}", f"no. {match.there}", f"{match.cosine:.3f}")
        parts.append(rows)
    return Group(*parts)


@render.register
def _(found: results.Similarity) -> RenderableType:
    return Group(
        Text.assemble(f"{found.first} and {found.second}: cosine ", (f"{found.cosine:.3f}", "bold")),
        facts(without_what_all_states_share=f"{found.centred:.3f}", angle=f"{found.angle_degrees:.1f}°"),
    )


@render.register
def _(found: results.Interpolation) -> RenderableType:
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
def _(stored: results.Stored) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"),
        f"{stored.path}   {stored.name}: {stored.samples} texts at L{stored.layer}, {stored.bytes:,} bytes",
    )


@render.register
def _(made: results.Recorded) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"),
        f"{made.path}   {made.operations} operations, {made.bytes:,} bytes   ",
        ("checkpoint ", "dim"),
        short(made.checkpoint_hash),
        ("  end ", "dim"),
        short(made.final_hash),
    )


@render.register
def _(found: results.Replay) -> RenderableType:
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

"""Pictures: limits on edits, and how well text is predicted."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, give_or_take, how_read, percents, table


@render.register
def guard(guard: results.Guard) -> RenderableType:
    before = "" if guard.before is None else f" (was {guard.before:g})"
    return Text.assemble(("✓ ", "green"), guard.says + before)


@render.register
def guards(found: results.Guards) -> RenderableType:
    if not found.guards and not found.protected:
        return Text("no guard is set and no basin protected", style="dim")
    parts: list[RenderableType] = [Text(guard.says) for guard in found.guards]
    if found.protected:
        parts.append(Text("protected: " + ", ".join(found.protected)))
    return Group(*parts)


@render.register
def protect(found: results.Protected) -> RenderableType:
    names = ", ".join(f"B{basin}" for basin in found.all)
    return Text.assemble(("✓ ", "green"), f"protected in L{found.layer}: {names}")


@render.register
def benchmark(found: results.Benchmark) -> RenderableType:
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
        *(how_read(found, found.corpus, "the first") if found.corpus != "held-out text" else ()),
    )

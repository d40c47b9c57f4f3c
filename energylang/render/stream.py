"""Pictures of the family stream: pushes, scalings, what a model is measured by, and the tokens of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import bar, distance, facts, percent, percents, table

_ROWS = 40


def touched(count: int, seen: int, of: str) -> Text:
    """How many token positions a change touched; loudly where it touched none."""
    if count == 0:
        return Text(f"touched NONE of the {seen:,} token positions of {of}", style="bold red")
    return Text(f"touched {count:,} of the {seen:,} token positions of {of}", style="dim")


@render.register
def held(done: results.Held) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble(("✓ ", "green"), (done.what, "bold"), "  held until it is undone"),
        touched(done.touched, done.seen, "neutral prompts"),
    ]
    if len(done.active) > 1:
        parts.append(Text("active: " + ", ".join(done.active), style="dim"))
    return Group(*parts)


@render.register
def measured(now: results.Measured) -> RenderableType:
    unit = "prompts" if now.of == "prompts" else "tokens"
    return Text.assemble(f"measured by the {now.of} of ", (now.name, "bold"), f"  {now.count:,} {unit}")


def stream_tokens(tokens: Sequence[results.StreamToken]) -> RenderableType:
    """A row for every token."""
    names = [leaning.concept for leaning in tokens[0].leanings] if tokens else []
    rows = table("token", "norm", "says next", "", *names, right=(1, 3, *range(4, 4 + len(names))))
    for token in tokens[:_ROWS]:
        rows.add_row(
            Text(token.token.strip() or "⏎"),
            f"{token.norm:.1f}",
            Text(token.says.strip() or "⏎", style="cyan"),
            percent(token.probability),
            *("–" if leaning.amount is None else f"{leaning.amount:+.2f}" for leaning in token.leanings),
        )
    if len(tokens) <= _ROWS:
        return rows
    return Group(rows, Text(f"{len(tokens) - _ROWS} more", style="dim"))


def near_stream(found: results.Neighbours) -> RenderableType:
    """What a direction in a stream is near to."""
    neurons = table("neuron", "cosine", "makes likelier", right=(1,))
    for near in found.neurons:
        neurons.add_row(
            f"L{near.layer}.N{near.neuron}", f"{near.cosine:+.3f}", Text(near.says.strip() or "⏎")
        )
    said = "  ".join(token.token.strip() or "⏎" for token in found.says)
    parts: list[RenderableType] = [Text.assemble(("makes likelier  ", "dim"), said), neurons]
    if found.concepts:
        parts.append(facts(**{near.concept: f"{near.cosine:+.3f}" for near in found.concepts}))
    return Group(*parts)


@render.register
def patch(found: results.Patching) -> RenderableType:
    head = Text.assemble(
        "log-probability of ",
        (f"“{found.says}”", "bold"),
        f"  {found.log_prob_text:.3f} after “{found.text}”, {found.log_prob_instead:.3f} after “{found.instead}”",
    )
    rows = table("layer", "recovered", "", "neutral states", "z", "log-prob.", right=(1, 3, 4, 5))
    for layer in found.layers:
        rows.add_row(
            f"L{layer.layer}",
            percent(layer.recovered),
            Text(bar(min(1.0, max(0.0, layer.recovered)), 12), style="blue"),
            percents(layer.placebo, layer.placebo_std),
            distance(layer.z if found.placebos > 2 else None),
            f"{layer.log_prob:.3f}",
        )
    return Group(head, rows)

"""Pictures: the model, its weights and settings."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import facts, percent, short, table


@render.register
def info(info: results.Info) -> RenderableType:
    dims = ", ".join(str(d) for d in dict.fromkeys(info.dims))
    named, numbers = "layer", {"d": dims}
    if "landscape" in info.capabilities:
        betas = ", ".join(f"{beta:.2f}" for beta in info.betas)
        named, numbers = "Hopfield layer", {"d": dims, "degree": str(info.degree), "beta": betas}
    parts: list[RenderableType] = [
        Text.assemble(
            (info.model, "bold"),
            f"  {info.kind}, {info.num_layers} {named}" + ("" if info.num_layers == 1 else "s"),
        ),
        facts(**numbers, parameters=f"{info.parameters:,}"),
    ]
    if info.heads and "landscape" not in info.capabilities:
        counted = {"neurons": f"{info.neurons:,}"} if info.neurons else {}
        counted["memory"] = f"{4 * info.parameters / 1e6:,.0f} MB in float32"
        parts.append(facts(**counted, heads=str(info.heads), context=f"{info.context:,} tokens"))
    if info.blocks != tuple(range(len(info.blocks))):
        parts.append(facts(blocks=", ".join(map(str, info.blocks)), kept=", ".join(info.kept)))
    elif info.kept not in ((), ("float32",)):
        parts.append(facts(kept=", ".join(info.kept)))
    parts.append(
        facts(can=", ".join(info.capabilities), hash=short(info.hash) if info.hash else "(not loaded)")
    )
    return Group(*parts)


@render.register
def apply(applied: results.Applied) -> RenderableType:
    layers = ", ".join(f"L{layer}" for layer in applied.layers)
    return Text.assemble(
        ("✓ " if applied.changed else "= ", "green"),
        f"{layers} {'changed' if applied.changed else 'unchanged'}   ",
        ("live ", "dim"),
        short(applied.hash),
    )


@render.register
def status(status: results.Status) -> RenderableType:
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
    held = [Text("held in every pass: " + ", ".join(status.held), style="yellow")] if status.held else []
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
        *held,
    )


@render.register
def set_(setting: results.Setting) -> RenderableType:
    return Text.assemble(
        f"{setting.name} ", (str(setting.before), "dim"), " → ", (str(setting.value), "bold")
    )


@render.register
def save(saved: results.Saved) -> RenderableType:
    return Text.assemble(
        ("✓ ", "green"), f"{saved.path}   {saved.bytes:,} bytes   ", ("hash ", "dim"), short(saved.hash)
    )

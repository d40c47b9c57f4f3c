"""Pictures: concepts, and what changes do to what is said."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import bar, distance, facts, give_or_take, how_read, percent, percents, table
from .stream import touched

_KINDS = {"random": "random value", "other": "another concept", "shuffled": "shuffled label"}


@render.register
def capture(concept: results.ConceptInfo) -> RenderableType:
    where = "" if concept.position == "decision" else f", read at {concept.position}"
    parts: list[RenderableType] = [
        Text.assemble(
            (concept.name, "bold"),
            f" at L{concept.layer}, from {concept.samples} text"
            + ("" if concept.samples == 1 else "s")
            + where,
        ),
        facts(
            norm=f"{concept.norm:.2f}",
            agreement=f"{concept.coherence:.3f}",
            cosine_to_neutral=f"{concept.cosine_to_neutral:.3f}",
        ),
    ]
    if concept.fits:
        rows = table("layer", "separability", "told apart", "carried", "", right=(1, 2, 3))
        for fit in concept.fits:
            rows.add_row(
                f"L{fit.layer}",
                f"{fit.separability:.1f}",
                percent(fit.accuracy),
                percent(fit.carried) if fit.carried is not None else "–",
                "◂ chosen" if fit.chosen else "",
            )
        parts.append(rows)
    return Group(*parts, *how_read(concept, "the texts", "of each the last"))


@render.register
def concepts(concepts: results.Concepts) -> RenderableType:
    if not concepts.concepts:
        return Text("no concepts have been captured", style="dim")
    columns = ("concept", "layer", "texts", "norm", "agreement", "to neutral", "installed")
    rows = table(*columns, right=(2, 3, 4, 5), wrap=(0, 6))
    for concept in concepts.concepts:
        rows.add_row(
            escape(concept.name),
            f"L{concept.layer}",
            str(concept.samples),
            f"{concept.norm:.2f}",
            f"{concept.coherence:.3f}",
            f"{concept.cosine_to_neutral:.3f}",
            ", ".join(concept.installed) or "–",
        )
    return rows


def _beside(placebo: float | None) -> str:
    return "" if placebo is None else f"random values {placebo:+.3f}"


@render.register
def effect(effect: results.Effect) -> RenderableType:
    asked = f"  {effect.prompts} neutral prompts" if effect.prompts else ""
    rows = table("effect", "before", "after", right=(1, 2))
    if effect.share_before is not None and effect.share_after is not None:
        rows.add_row(
            "replies that are the concept",
            percent(effect.share_before),
            Text(percent(effect.share_after), style="bold"),
        )
    rows.add_row(
        "log-probability of its texts",
        f"{effect.log_prob_before:.3f}",
        Text(f"{effect.log_prob_after:.3f}", style="bold"),
    )
    rows.add_row("loss on held-out text", f"{effect.loss_before:.4f}", f"{effect.loss_after:.4f}")
    if effect.plain_change is not None:
        rise = effect.log_prob_after - effect.log_prob_before
        rows.add_row(
            "… its rise, and that of its contrasts", f"{rise:+.3f}", Text(f"{effect.plain_change:+.3f}")
        )
    if effect.own_change is not None:
        rows.add_row(
            "loss on its own replies here, nats",
            _beside(effect.own_change_placebo),
            f"{effect.own_change:+.3f}",
        )
    if effect.kept_change is not None:
        rows.add_row(
            "loss on its own replies to questions, nats",
            _beside(effect.kept_change_placebo),
            Text(f"{effect.kept_change:+.3f}", style="bold"),
        )
    if effect.replies_loss_before is not None and effect.replies_loss_after is not None:
        rows.add_row(
            "what it says, its loss without the edit",
            f"{effect.replies_loss_before:.2f}",
            f"{effect.replies_loss_after:.2f}",
        )
    if effect.distinct_before is not None and effect.distinct_after is not None:
        rows.add_row(
            "different pairs of tokens in it", percent(effect.distinct_before), percent(effect.distinct_after)
        )
    damage = f"damage {percents(effect.loss_change, effect.loss_change_error, 2, '+')}{asked}"
    parts: list[RenderableType] = [rows, Text(damage, style="dim")]
    with_share = effect.share_before is not None
    columns = ("placebos", "", *(("replies", "z") if with_share else ()), "log-probability", "z", "damage")
    controls = table(*columns, right=tuple(range(1, len(columns))))
    for control in effect.controls:
        shares = (
            (percents(control.share, control.share_std), _distance(control.share_z, control.count))
            if control.share is not None
            else ("–", "–")
        )  # fmt: skip
        controls.add_row(
            _KINDS.get(control.kind, control.kind),
            str(control.count),
            *(shares if with_share else ()),
            give_or_take(control.log_prob, control.log_prob_std, 3),
            _distance(control.log_prob_z, control.count),
            f"{100 * control.loss_change:+.2f} %",
        )
    return Group(*parts, controls, *(Text(why, style="dim") for why in effect.absent))


def _distance(z: float | None, count: int) -> str:
    return distance(z if count > 2 else None)


@render.register
def steer(steering: results.Steering) -> RenderableType:
    with_share = steering.share_before is not None
    title = Text.assemble(
        (_layers(steering), "bold"),
        " pushed towards ",
        (steering.concept, "bold"),
        "" if steering.at == "all" else f" at={steering.at}",
        f", beside {steering.placebos} random pushes of the same norm",
    )
    own = any(step.own_change is not None for step in steering.steps)
    bars = () if own else ("",)  # there is no room for both
    shares = ("replies", *bars, "random", "z") if with_share else ()
    columns = ("strength", *shares, "log-prob.", "random", "z", "damage", *(("own",) if own else ()))
    rows = table(*columns, right=tuple(i for i, name in enumerate(columns) if i and name))
    if with_share:
        before = steering.share_before or 0.0
        drawn = () if own else (bar(before, 8),)
        rows.add_row("0", percent(before), *drawn, "", "", f"{steering.log_prob_before:.3f}")
    else:
        rows.add_row("0", f"{steering.log_prob_before:.3f}")
    for step in steering.steps:
        cells: tuple[str, ...] = ()
        if with_share and step.share is not None:
            spread = percents(step.share_placebo or 0.0, step.share_placebo_std)
            drawn = () if own else (bar(step.share, 8),)
            cells = (percent(step.share), *drawn, spread, distance(step.share_z))
        rows.add_row(
            f"{step.strength:g}" + (" ◂" if step.strength == steering.best else ""),
            *cells,
            f"{step.log_prob:.3f}",
            give_or_take(step.log_prob_placebo, step.log_prob_placebo_std, 3),
            distance(step.log_prob_z),
            percents(step.loss_change, step.loss_change_error, 2, "+"),
            *((f"{step.own_change:+.3f}",) if step.own_change is not None else ()),
        )
    best = (
        f"◂ the largest strength within {percent(steering.damage)} damage"
        if steering.best is not None
        else f"no strength keeps within {percent(steering.damage)} damage"
    )
    words = [Text(best, style="dim")]
    if own:
        words.append(
            Text("own: rise of the loss on what the model says by itself, in nats a token", style="dim")
        )
    if steering.under:
        words.append(Text("all under " + ", ".join(steering.under), style="yellow"))
    if steering.seen:
        words.append(touched(steering.touched, steering.seen, "what was read and said"))
    return Group(title, rows, *words)


def _layers(steering: results.Steering) -> str:
    layers = steering.layers or (steering.layer,)
    return f"L{layers[0]}" if len(layers) == 1 else f"L{layers[0]}..L{layers[-1]}"

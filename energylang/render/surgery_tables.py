"""The tables of one model in the report of a surgery study, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energylang.diagnostics.visible import escaped

from .marks import short

NONE = "–"


def model_section(model: Mapping[str, Any]) -> Iterable[str]:
    """Everything that was found for one model, as Markdown blocks."""
    concepts: Mapping[str, Any] = model["concepts"]
    yield f"## {text(model['model'])}"
    line = f"`{short(model['hash'])}`, edited at L{model['layer']}, held-out loss "
    line += f"{number(model['loss'], '.4f')} nats per token"
    line += f"; {percent(model['labelled'])} of the replies have a label"
    if model.get("fluent") is not None:
        line += f", {percent(model['fluent'])} are sentences of the language it was taught"
    yield line + f". Undo is bit-identical: {yes(model['undo_bit_identical'])}."
    yield from _layers(model)
    yield "Shares before any edit:"
    shares = model["baseline"]
    yield table([text(name) for name in shares], [[percent(share) for share in shares.values()]])
    yield "### Installed"
    yield table(
        [
            "concept",
            "dose",
            "share",
            "factor",
            "random",
            "z",
            "other",
            "shuffled",
            "loss",
            "‖ΔW‖/‖W‖",
            "in budget",
        ],
        [_installed(name, found["install"]) for name, found in concepts.items()],
    )
    yield "### Doses"
    yield from _doses(concepts)
    yield "### Removed"
    yield table(
        ["concept", "dose", "share", "ratio", "random", "others, relative change", "loss", "in budget"],
        [_removed(name, found["remove"]) for name, found in concepts.items()],
    )
    yield "### Locality"
    yield "Rows: what is installed. Columns: how the conversation spoke before. Points, mean / largest."
    yield table(
        ["installed", *map(text, concepts)],
        [[text(name), *(_place(found, other) for other in concepts)] for name, found in concepts.items()],
    )
    if "transfer" in model:
        yield from _transfer(model["transfer"])


def _layers(model: Mapping[str, Any]) -> Iterable[str]:
    report = model.get("report")
    layers = report.get("layers") if isinstance(report, Mapping) else None
    rows = []
    for at in layers or []:
        carried = [fit["carried"] for fit in model["fits"] if fit["layer"] == at.get("layer")]
        rows.append(
            [
                f"L{at.get('layer')}",
                number(at.get("dim"), ".0f"),
                number(at.get("beta"), ".2f"),
                number(at.get("basins_visited"), ".0f"),
                number(at.get("basins_random"), ".0f"),
                percent(at.get("settled")),
                number(at.get("residual"), ".1e"),
                percent(sum(carried) / len(carried)) if carried else NONE,
            ]
        )
    if rows:
        yield table(
            [
                "layer",
                "d",
                "β",
                "met: by tokens",
                "met: by random starts",
                "settled",
                "residual",
                "carries the concepts",
            ],
            rows,
        )


def _installed(name: str, found: Mapping[str, Any]) -> list[str]:
    placebos = found["placebos"]
    random = placebos.get("random")
    return [
        text(name),
        number(found["dose"], "g"),
        f"{percent(found['share_before'])} → {percent(found['share_after'])}",
        times(found["factor"]),
        spread(random),
        plain(random["z"]) if random and random["std"] else NONE,
        spread(placebos.get("other")),
        spread(placebos.get("shuffled")),
        damage(found),
        percent(found["relative_norm"]),
        yes(found["within_budget"]),
    ]


def _doses(concepts: Mapping[str, Any]) -> Iterable[str]:
    yield "Share of the concept (random edits of the same norm) and change of the loss."
    doses = [step["dose"] for step in next(iter(concepts.values()))["install"]["doses"]]
    rows = []
    for name, found in concepts.items():
        steps = found["install"]["doses"]
        rows.append(
            [text(name)]
            + [
                f"{percent(step['share'])} ({percent(step['placebo_mean'])}); {change(step['loss_change'])}"
                for step in steps
            ]
        )
    yield table(["concept", *(f"dose {dose:g}" for dose in doses)], rows)


def _removed(name: str, found: Mapping[str, Any]) -> list[str]:
    before, after = found["share_before"], found["share_after"]
    others = (
        f"{text(other)} {_relative(value, found['others_error'].get(other))}"
        for other, value in found["others_relative"].items()
    )
    return [
        text(name),
        number(found["dose"], "g"),
        f"{percent(before)} → {percent(after)}",
        times(after / before if before else None),
        spread(found["placebo"]),
        ", ".join(others),
        damage(found),
        yes(found["within_budget"]),
    ]


def _relative(value: float | None, error: float | None) -> str:
    return NONE if value is None else f"{100 * value:+.0f} %" + (f" ± {100 * error:.0f}" if error else "")


def _place(found: Mapping[str, Any], other: str) -> str:
    at = found["install"]["locality"].get(other)
    return NONE if at is None else f"{points(at['mean'])} / {points(at['largest'])}"


def _transfer(found: Mapping[str, Any]) -> Iterable[str]:
    yield f"### Transferred from `{found['from']}`"
    if "refused" in found:
        yield f"Nothing could be transferred: {text(found['refused'])}."
        return
    yield (
        f"The rotation explains {percent(found['fit'])} of the variance of {found['probes']} states from which the bot "
        "is about to speak, in conversations that both models read."
    )
    yield table(
        ["concept", "cosine to its own state", "share", "factor", "loss"],
        [
            [
                text(name),
                number(at["cosine_to_own"], ".2f"),
                f"{percent(at['share_before'])} → {percent(at['share_after'])}",
                times(at["factor"]),
                damage(at),
            ]
            for name, at in found["concepts"].items()
        ],
    )


# ----------------------------------------------------------------------------------------------- cells


def percent(value: float | None) -> str:
    """A share or a relative size."""
    return NONE if value is None else f"{100 * value:.1f} %"


def change(value: float | None) -> str:
    """A relative change, with its sign."""
    return NONE if value is None else f"{100 * value:+.2f} %"


def times(value: float | None) -> str:
    """A factor."""
    return NONE if value is None else f"× {value:.2f}"


def points(value: float | None) -> str:
    """A difference of shares, in points."""
    return NONE if value is None else f"{100 * value:.1f}"


def plain(value: float | None) -> str:
    """A number with one decimal."""
    return number(value, ".1f")


def number(value: Any, form: str) -> str:
    """A number in a given form; what is none is not shown."""
    return format(value, form) if isinstance(value, int | float) else NONE


def spread(found: Mapping[str, Any] | None) -> str:
    """Mean ± standard deviation of the shares after placebos."""
    return NONE if found is None else f"{percent(found['mean'])} ± {points(found['std'])}"


def damage(found: Mapping[str, Any]) -> str:
    """The change of the loss with its standard error."""
    error = found["loss_change_error"]
    return f"{change(found['loss_change'])} ± {NONE if error is None else f'{100 * error:.2f}'}"


def yes(value: bool) -> str:
    """A no stands out."""
    return "yes" if value else "**no**"


def text(value: str) -> str:
    """Text that Markdown shows as it is, in a cell too."""
    marked = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in escaped(value))
    return " ".join(marked.split())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])

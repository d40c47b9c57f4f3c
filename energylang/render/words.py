"""The report of a study of words in plain text (``energylang.studies.words``) as a Markdown page. (PURE.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .marks import distance, give_or_take, percents
from .surgery_tables import percent, table, text


def markdown(study: Mapping[str, Any]) -> str:
    """The whole report."""
    options = study["options"]
    parts = [
        "# Words report",
        f"Concepts are kinds of tokens, told by a pattern. For each, a target was optimised on the choosing half of "
        f"held-out text at every layer and stored by one symmetric edit of rank one, at the largest dose that raises "
        f"the loss there by at most {percent(options['damage'])}; the layer that gains most there was taken. All "
        f"figures are from {_measured(options)}, which chose nothing. *Gain* is the change of the mean log-probability "
        "of the concept's tokens in nats. Controls have the norm of the edit: *random* directions, states of *tokens* "
        "met in text, the same method aimed at *other* concepts and at *shuffled* labels (mean ± std; z of the "
        "gain).",
    ]
    for model in study["models"]:
        parts += [f"## {text(model['model'])}", *_model(model)]
    parts += ["## Reproduce", f"```sh\n{options['command']}\n```"]
    return "\n\n".join(parts) + "\n"


def _measured(options: Mapping[str, Any]) -> str:
    return "the other half" if options["text"] is None else f"`{options['text']}`"


def _model(model: Mapping[str, Any]) -> list[str]:
    parts = []
    if model.get("report"):
        loss = model["report"]["loss_per_character"]
        parts.append(f"Held-out loss {loss:.4f} nats per character.")
    for title, which in (("Made likelier", "install"), ("Made less likely", "remove")):
        rows: list[Sequence[str]] = []
        for name, at in model["concepts"].items():
            found = at.get(which)
            if found is None or "gain" not in found:
                why = (found or at).get("refused", "")
                rows.append((text(name), str(at["tokens"]["measuring"]), *["–"] * 7, text(why)))
                continue
            kinds = found["controls"]
            returns = found["returns"]
            rows.append(
                (
                    text(name),
                    str(at["tokens"]["measuring"]),
                    f"L{found['layer']}",
                    f"{found['gain']:+.3f}",
                    percents(found["loss_change"], found["loss_change_error"], 2, "+"),
                    *(_control(kinds.get(kind)) for kind in ("random", "token", "other", "shuffled")),
                    "–" if returns is None else f"{returns['before']:.0%} → {returns['after']:.0%}",
                )
            )
        heads = "concept|tokens|layer|gain|loss|random|token state|other|shuffled|noisy copies return".split(
            "|"
        )
        parts += [f"### {title}", table(heads, rows)]
    return parts


def _control(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{give_or_take(found['mean'], found['std'], 3, sign='+')} (z {distance(found['z'])})"

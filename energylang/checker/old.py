"""What a command script of the published tool (``.hlm``) would have meant there and does not mean here: EL407.

Only what a script visibly uses is said, each difference once, at its first line. What differs in numbers that are only
printed stands in ``docs/migration.md``, and so does all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from energylang.syntax import ast

CAP = 0.5
_BY_STRENGTH = ("inject", "remove", "move")
_BY_SEED = ("remove", "move", "strengthen", "weaken")
_BY_PLACE = ("probe", "causal intervene", "causal counterfactual")


@dataclass(frozen=True)
class Use:
    """A command of an old script: its operation, the values that are written out by parameter (``None`` in their place
    where only the run knows), which arguments stand in quotes, and what the script has set and guarded before."""

    op: str
    given: Mapping[str, Any]
    quoted: frozenset[str]
    settings: frozenset[str]
    guards: frozenset[str]

    @property
    def sizeless(self) -> bool:
        return "strength" not in self.given and "strength" not in self.settings

    @property
    def strength(self) -> float:
        value = self.given.get("strength")
        return float(value) if isinstance(value, int | float) else 0.0


@dataclass(frozen=True)
class OldDifference:
    """``applies`` says whether a command shows it."""

    applies: Callable[[Use], bool]
    message: str
    help: str


_STRENGTH = "`set strength 0.1` once, or a strength in the line, says how much"

DIFFERENCES: Mapping[str, OldDifference] = {
    "no strength": OldDifference(
        lambda use: use.op in _BY_STRENGTH and use.sizeless,
        "without a strength, an edit of a tenth of the weight's norm was made there; here it is the smallest that "
        "does it",
        _STRENGTH,
    ),
    "inject-concept without strength": OldDifference(
        lambda use: use.op == "inject-concept" and use.sizeless and "method" not in use.given,
        "without a strength, an attractor of strength 0.1 was written there; here the best of three methods is sought",
        _STRENGTH + ": then it is an attractor",
    ),
    "remove-concept without strength": OldDifference(
        lambda use: use.op == "remove-concept" and use.sizeless and "method" not in use.given,
        "without a strength, the concept's basin was removed there; here the concept is taken out of what is said",
        _STRENGTH + ": then it is the basin",
    ),
    "cap": OldDifference(
        lambda use: use.strength > CAP and "strength-cap" not in use.guards,
        "a strength above 0.5 was blocked there unless a guard said otherwise; here no guard is set by itself",
        "`guard strength-cap 0.5` sets it",
    ),
    "nearest": OldDifference(
        lambda use: use.op in _BY_SEED and isinstance(use.given.get("target"), int),
        "there the basin nearest to the seed's direction was edited, wherever it lay; here the seed's pattern has to "
        "settle in one (EL510 where it does not)",
        "`survey` the layer and name the basin: L0.B3",
    ),
    "factor": OldDifference(
        lambda use: use.op in ("strengthen", "weaken"),
        "there the factor scaled a written edit (strength × factor); here it multiplies the field at the basin",
        "1.2 makes it a fifth deeper, 0.8 a fifth shallower",
    ),
    "capture": OldDifference(
        lambda use: use.op == "capture" and "position" not in use.given,
        "there a concept was the mean over a text's tokens; here it is the state from which the model is about to "
        "speak",
        'position="mean" is the mean over the tokens (the text then stands in quotes)',
    ),
    "quotes": OldDifference(
        lambda use: (
            use.op in ("capture", "generate") and "text" in use.quoted | {_renamed(q) for q in use.quoted}
        ),
        "there quotes were part of the text; here they only enclose it",
        'leave them out, or write them as \\" inside',
    ),
    "places": OldDifference(
        lambda use: use.op in _BY_PLACE and isinstance(use.given.get("basin"), int),
        "there a basin's number was its place in a survey that the command made itself; here it is the number that "
        "the first survey gave the basin",
        "`survey` shows the numbers",
    ),
    "do": OldDifference(
        lambda use: use.op.startswith("causal "),
        "there a basin was knocked out by an edit of `strength` beside protected basins; here its own field is taken "
        "away, beside placebos of the same size",
        "",
    ),
    "read": OldDifference(
        lambda use: use.op == "set" and use.given.get("setting") in ("degree", "eps", "beta"),
        "this setting had no effect there on layers with values of their own; here every landscape is read with it",
        "leave it out to read the layers as they are",
    ),
    "guards after": OldDifference(
        lambda use: use.op == "guard" and use.given.get("what") in ("max-basins", "min-basins"),
        "there basins were counted before an edit; here after it",
        "",
    ),
    "guards enforced": OldDifference(
        lambda use: use.op == "guard" and use.given.get("what") in ("cosine-drift", "perplexity-delta"),
        "this guard was never checked there; here every edit has to keep it",
        "`guards` lists the limits in force",
    ),
    "force": OldDifference(
        lambda use: use.given.get("force") is True and bool(use.guards),
        "there --force overruled guards, too; here it overrules the gate alone",
        "`undo` takes a guard away",
    ),
    "benchmark": OldDifference(
        lambda use: use.op == "benchmark" and "corpus" not in use.given,
        "there the perplexity was that of five short sentences; here it is that of the bundled held-out text",
        "`benchmark sentences.txt` measures on a text of yours",
    ),
}


def _renamed(name: str) -> str:
    return "text" if name == "prompt" else name


def differences(use: Use) -> Iterator[tuple[str, OldDifference]]:
    """What a command shows of the table."""
    for name, difference in DIFFERENCES.items():
        if difference.applies(use):
            yield name, difference


def quoted(places: Mapping[str, ast.Expr]) -> frozenset[str]:
    """The parameters whose arguments stand in quotes."""
    return frozenset(
        name
        for name, place in places.items()
        if isinstance(place, ast.Text) and place.span.text.startswith('"')
    )

"""Results of the family safety: limits on edits, and how well text is predicted."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Guard(Result):
    """A limit that every weight edit has to keep; ``layer`` is set for the guard of a single layer."""

    kind: str
    layer: int | None
    value: float
    before: float | None
    says: str


@dataclass(frozen=True, eq=False)
class Guards(Result):
    """The limits in force; ``protected`` are the basins that no edit may lose, as they are written."""

    guards: tuple[Guard, ...]
    protected: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Protected(Result):
    """Basins that no edit may lose."""

    layer: int
    basins: tuple[int, ...]
    all: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Perplexity(Result):
    """``loss`` in nats per token, with the standard error over windows (None of a single one); ``perplexity`` =
    exp(loss)."""

    perplexity: float
    perplexity_error: float | None
    loss: float
    loss_error: float | None


@dataclass(frozen=True, eq=False)
class Benchmark(Result):
    """Perplexity and ``loss`` (nats per token) of the live model, of the model as it was loaded, and with
    everything staged (``None``: nothing is staged that is not live). ``change`` is the loss of staged (or else
    live) relative to the original; its error is that of the paired difference. Of the ``given`` in the text the
    first ``read`` were read, as many as fill the windows; ``unknown`` of the given ones are not known to the
    tokenizer."""

    corpus: str
    windows: int
    tokens: int
    perplexity: float
    perplexity_error: float | None
    live: Perplexity
    original: Perplexity
    staged: Perplexity | None
    change: float
    change_error: float | None
    given: int = 0
    read: int = 0
    unknown: int = 0
    loss: float = 0.0
    loss_error: float | None = None

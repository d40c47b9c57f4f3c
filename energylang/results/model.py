"""Results of the family model: the model, its weights and settings."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Info(Result):
    """A model: what it is and what it can do. ``neurons`` and ``heads`` count those of a layer's MLP and attention (0:
    none), ``context`` the tokens that are read at once. ``hash`` is empty where only what the model says of itself was
    read, without its weights. ``blocks`` are the numbers of the layers' blocks in the file, ``kept`` the dtypes in
    which it holds its numbers (half precision is calculated with as float32, and saved as it came)."""

    model: str
    kind: str
    num_layers: int
    dims: tuple[int, ...]
    betas: tuple[float, ...]
    degree: int
    parameters: int
    vocabulary: int
    capabilities: tuple[str, ...]
    hash: str
    neurons: int = 0
    heads: int = 0
    context: int = 0
    blocks: tuple[int, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Applied(Result):
    """Layers whose live weight was replaced, and the hash of the live model."""

    layers: tuple[int, ...]
    changed: bool
    hash: str


@dataclass(frozen=True, eq=False)
class LayerStatus(Result):
    """``basins`` of the layer are known, of which the last survey met ``met`` (``None``: its present weight has not
    been surveyed). ``state`` is ``original``, ``staged`` (edited, not applied), ``live`` (edited and applied) or
    ``live, staged`` (applied, then edited again). ``refused`` edits of the layer are those that the gate refused or a
    guard blocked."""

    layer: int
    state: str
    edits: int
    refused: int
    basins: int
    lost: int
    relative_norm: float
    met: int | None = None


@dataclass(frozen=True, eq=False)
class Status(Result):
    """Where the session stands. The hashes are those of the whole model's weights; ``held`` are the interventions,
    pushes and scalings of passes, which change no weight."""

    model: str
    layers: tuple[LayerStatus, ...]
    concepts: int
    undoable: int
    redoable: int
    original_hash: str
    live_hash: str
    staged_hash: str
    is_original: bool
    held: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Setting(Result):
    """A setting and its new ``value``; ``before`` is what it was."""

    name: str
    value: int | float | str
    before: int | float | str


@dataclass(frozen=True, eq=False)
class Saved(Result):
    """``hash`` is that of the weights in the file; ``session`` says that the history is in it as well."""

    path: str
    bytes: int
    hash: str
    session: bool

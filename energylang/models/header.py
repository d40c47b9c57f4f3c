"""What can be said about a model without its weights?  (PURE: no torch, no numpy.)

A checker asks for the layers, their dimensions and whether the model can read text, before
anything is loaded. This module answers from the *specification* alone:

    tiny                    a model that ships with this package
    random:256              a sandbox: one layer, Gaussian symmetric weights (also __random_256)
    random:256x4            the same with four layers
    planted:256x20          a sandbox: one layer with 20 planted patterns
    path.safetensors        the JSON header of the file, checked against the length of the file
    path.pt, path.pth       the only case that imports torch (lazily, weights only)
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from energylang.errors import CheckpointError
from energylang.files.storage import located, opened, permitted
from energylang.models.index import PT_SUFFIXES, Entry, Kind, check_file, read_index
from energylang.models.wrapped import unwrapped

#: Largest dimension of a layer that is accepted, from a specification or from a file.
MAX_DIMENSION = 8192
#: Most layers of a sandbox, and most weights of it in all (1 GiB in float32).
MAX_SANDBOX_LAYERS = 64
MAX_SANDBOX_WEIGHTS = 2**28
FORMS = (
    "a bundled name, 'random:256', 'random:256x4' (four layers), 'planted:256x20' (20 patterns), "
    "or the path of a .safetensors, .pt or .pth file"
)

#: The dtypes in which a layer may be kept.
READABLE = ("F64", "F32", "F16", "BF16")

_HOPFIELD_W = re.compile(r"blocks\.(\d+)\.hopfield\.W")
_RANDOM = re.compile(r"(?:random:|__random_)(\d{1,9})(?:x(\d{1,9}))?")
_PLANTED = re.compile(r"planted:(\d{1,9})x(\d{1,9})")


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model as a checker sees it.

    ``dims`` holds one dimension per Hopfield layer in natural order; ``degree`` is the ``p`` of the
    interaction; ``capabilities`` contains ``"text"`` when the model reads and writes text;
    ``parameters`` counts trained numbers; ``vocabulary`` is 0 without text.
    """

    spec: str
    kind: Kind
    dims: tuple[int, ...]
    degree: int
    capabilities: frozenset[str]
    parameters: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed specification. ``form`` decides which of the other fields mean something."""

    spec: str
    form: Literal["bundled", "random", "planted", "file"]
    path: Path = field(default_factory=Path)
    dim: int = 0
    count: int = 1  # layers (random) or patterns (planted)


# ------------------------------------------------------------------------------ specifications


def bundled_names() -> tuple[str, ...]:
    """Names of the models inside this package, sorted."""
    folder = Path(__file__).with_name("bundled")
    return tuple(sorted(p.stem for p in folder.glob("*.safetensors")))


def parse_spec(spec: str, base: Path | None = None) -> Source:
    """The meaning of ``spec``. Relative paths are taken from ``base`` or else from the cwd.

    Raises ``CheckpointError`` for an unknown form, a dimension out of bounds or a missing file.
    """
    text = spec.strip()
    if not text:
        raise CheckpointError("no model was named", hint=f"expected {FORMS}")
    if match := _RANDOM.fullmatch(text):
        dim, layers = int(match[1]), int(match[2] or 1)
        check_dimension(dim, spec)
        if not 1 <= layers <= MAX_SANDBOX_LAYERS or layers * dim * dim > MAX_SANDBOX_WEIGHTS:
            raise CheckpointError(
                f"'{spec}': {layers} layers of dimension {dim} are out of bounds",
                hint=f"1 to {MAX_SANDBOX_LAYERS} layers, at most {MAX_SANDBOX_WEIGHTS:,} weights in all",
            )
        return Source(spec, "random", dim=dim, count=layers)
    if match := _PLANTED.fullmatch(text):
        dim, patterns = int(match[1]), int(match[2])
        check_dimension(dim, spec)
        check_patterns(dim, patterns, spec)
        return Source(spec, "planted", dim=dim, count=patterns)
    if text in bundled_names():
        return Source(spec, "bundled", path=Path(__file__).with_name("bundled") / f"{text}.safetensors")
    if text.startswith(("random", "__random", "planted")) and "/" not in text and "." not in text:
        raise CheckpointError(
            f"'{spec}' is not a sandbox this version knows",
            hint="write random:DIMENSION, random:DIMENSIONxLAYERS or planted:DIMENSIONxPATTERNS, "
            f"with a dimension from 1 to {MAX_DIMENSION}",
        )
    path = located(text, base)
    looks_like_path = path.suffix in (".safetensors", *PT_SUFFIXES) or "/" in text or "\\" in text
    if looks_like_path or os.path.exists(permitted(path)):
        check_file(path)
        return Source(spec, "file", path=path)
    close = difflib.get_close_matches(text.lower(), [*bundled_names(), "random:256", "planted:256x20"], n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    raise CheckpointError(f"there is no model '{spec}'", hint=f"{meant}Expected {FORMS}.")


def check_dimension(dim: int, where: str) -> None:
    """Refuse a layer outside 1 … 8192 dimensions."""
    if not 1 <= dim <= MAX_DIMENSION:
        raise CheckpointError(
            f"'{where}': dimension {dim} is out of bounds",
            hint=f"a layer has 1 to {MAX_DIMENSION} dimensions",
        )


def check_patterns(dim: int, patterns: int, where: str) -> None:
    """Refuse more planted patterns than stay basins: about one for every eight dimensions."""
    most = max(1, dim // 8)
    if not 1 <= patterns <= most:
        raise CheckpointError(
            f"'{where}': {patterns} patterns do not fit into {dim} dimensions",
            hint=f"1 to {most} here: beyond one pattern for every eight dimensions the patterns "
            "disturb each other and stop being basins",
        )


# ------------------------------------------------------------------------------------- headers


def hopfield_blocks(names: Iterable[str]) -> list[int]:
    """Block numbers that have a Hopfield weight, as numbers: block 2 comes before block 10."""
    return sorted(int(m[1]) for m in map(_HOPFIELD_W.fullmatch, names) if m)


def header_of(
    spec: str, where: str, entries: Mapping[str, Entry], metadata: Mapping[str, object]
) -> ModelHeader:
    """The header of a set of tensors; ``where`` names the file in an error."""
    kind = cast("Kind", metadata.get("kind", "weights"))
    dims = []
    for block in hopfield_blocks(entries):
        name = f"blocks.{block}.hopfield.W"
        shape = entries[name].shape
        if len(shape) != 2 or shape[0] != shape[1]:
            raise CheckpointError(
                f"{where}: '{name}' has shape {list(shape)}", hint="a Hopfield weight is a square matrix"
            )
        for kept in (name, f"blocks.{block}.hopfield.log_beta"):
            _check_dtype(where, kept, entries.get(kept))
        check_dimension(shape[0], where)
        bias = entries.get(f"blocks.{block}.hopfield.log_beta")
        if bias is None:
            raise CheckpointError(
                f"{where}: 'blocks.{block}.hopfield.log_beta' is missing",
                hint="every Hopfield weight needs its inverse temperature beside it",
            )
        if bias.numel != 1 or not bias.floating:
            raise CheckpointError(
                f"{where}: 'blocks.{block}.hopfield.log_beta' has shape {list(bias.shape)}",
                hint="log_beta is one floating-point number per layer",
            )
        dims.append(shape[0])
    if not dims and kind != "transformer":
        raise CheckpointError(
            f"{where} has no Hopfield layers",
            hint="a layer is a pair of tensors blocks.N.hopfield.W and blocks.N.hopfield.log_beta",
        )
    config = metadata.get("config")
    config = config if isinstance(config, dict) else {}
    degree = config.get("degree", 3)
    if type(degree) is not int or not 2 <= degree <= 64:
        raise CheckpointError(f"{where}: degree {degree!r} is out of bounds", hint="2 to 64, usually 3")
    text = metadata.get("tokenizer") is not None
    vocabulary = config.get("vocabulary", 0) if text else 0
    return ModelHeader(
        spec=spec,
        kind=kind,
        dims=tuple(dims),
        degree=degree,
        capabilities=frozenset({"text"}) if text else frozenset(),
        parameters=sum(e.numel for n, e in entries.items() if e.floating and not n.startswith("extra.")),
        vocabulary=vocabulary if type(vocabulary) is int else 0,
    )


def _check_dtype(where: str, name: str, entry: Entry | None) -> None:
    """Refuse numbers that cannot be calculated with."""
    if entry is None or entry.dtype in READABLE:
        return
    dtype = entry.dtype.removeprefix("torch.")
    if entry.floating or "float8" in dtype:
        raise CheckpointError(
            f"{where}: '{name}' is kept as {dtype}, which is not read",
            hint="8-bit floating point needs its scales: save it as float16, bfloat16 or float32",
        )
    raise CheckpointError(f"{where}: '{name}' has dtype {dtype}, not a floating one")


def read_header(spec: str, base: Path | None = None) -> ModelHeader:
    """The header of the model that ``spec`` names, without its weights.

    Relative paths resolve against ``base`` (the script's folder) or else the cwd. Raises
    ``CheckpointError`` with the path and a way out. Imports torch for .pt and .pth only.
    """
    source = parse_spec(spec, base)
    if source.form in ("random", "planted"):
        layers = source.count if source.form == "random" else 1
        return ModelHeader(
            spec=spec,
            kind="sandbox",
            dims=(source.dim,) * layers,
            degree=3,
            capabilities=frozenset(),
            parameters=layers * (source.dim**2 + 1),
            vocabulary=0,
        )
    if is_pt(source.path):
        from energylang.models.published import read_entries

        return header_of(spec, str(source.path), read_entries(source.path), {})
    entries, metadata = read_index(source.path)
    entries = entries if metadata else unwrapped(str(source.path), entries)
    return header_of(spec, str(source.path), entries, metadata)


def is_pt(path: Path) -> bool:
    """True for a file of the torch kind, by suffix or, with another suffix, by its first bytes."""
    if path.suffix in PT_SUFFIXES or path.suffix == ".safetensors":
        return path.suffix in PT_SUFFIXES
    try:
        with opened(path) as file:
            start = file.read(4)
    except OSError:
        return False
    return start == b"PK\x03\x04" or start[:1] == b"\x80"

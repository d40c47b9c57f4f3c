"""What can be said about a model without its weights?  (PURE: no torch, no numpy.)

A checker asks for the layers, their dimensions and whether the model can read text, before
anything is loaded. This module answers from the *specification* alone:

    tiny                    a model that ships with this package
    random:256              a sandbox: one layer, Gaussian symmetric weights (also __random_256)
    random:256x4            the same with four layers
    planted:256x20          a sandbox: one layer with 20 planted patterns
    path.safetensors        the JSON header of the file, checked against the length of the file
    folder, path.gguf       a pretrained transformer: its config.json, or the beginning of the file
    smollm2, hf:ORG/NAME    the same, from the caches of this machine
    path.pt, path.pth, .npz the only cases that import torch (lazily, weights only)
    x.index.json            a model in several files, which it names
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from energylang.errors import CheckpointError
from energylang.files.storage import located, opened, permitted
from energylang.models.described.about import KIND as PRETRAINED
from energylang.models.described.about import about_folder, about_gguf
from energylang.models.described.places import PUBLISHED, hub_folder, is_hub, published_file
from energylang.models.index import PT_SUFFIXES, TensorEntry, check_file, read_index
from energylang.models.kinds import kind_named
from energylang.models.layout import MAX_DIMENSION, check_dimension, weight_name
from energylang.models.shards import check_names, check_whole, is_index, shards_of
from energylang.models.wrapped import unwrapped

#: Most layers of a sandbox, and most weights of it in all (1 GiB in float32).
MAX_SANDBOX_LAYERS = 64
MAX_SANDBOX_WEIGHTS = 2**28
FORMS = (
    "a bundled name, 'random:256', 'random:256x4' (four layers), 'planted:256x20' (20 patterns), "
    "smollm2, hf:ORG/NAME, a folder of a Hugging Face model, or the path of a .gguf, .safetensors, .pt, .pth, .npz or "
    ".index.json file"
)


_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|blk)\.(\d+)\.")
_CALLED = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
_RANDOM = re.compile(r"(?:random:|__random_)(\d{1,9})(?:x(\d{1,9}))?")
_PLANTED = re.compile(r"planted:(\d{1,9})x(\d{1,9})")


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model as a checker sees it.

    ``dims`` holds one dimension per layer in natural order, ``weights`` the names of the parameters that edits of them
    change, ``neurons`` and ``heads`` how many MLP neurons and attention heads each has (empty: none);
    ``context`` is how many tokens are read at once, ``transposed`` says that ``weights`` are kept as (read,
    written); ``degree`` is the ``p`` of the interaction; ``capabilities`` contains ``"landscape"`` when the layers
    are landscapes, ``"memory"`` when they have neurons that answer into a stream, and ``"text"`` when the model reads
    and writes text; ``parameters`` counts trained numbers;
    ``vocabulary`` is 0 without text. ``blocks`` are the numbers that the layers' blocks have in the file (0, 1, …
    unless it is a part of a model), ``kept`` the dtypes in which the file holds its numbers.
    """

    spec: str
    kind: str
    dims: tuple[int, ...]
    degree: int
    capabilities: frozenset[str]
    parameters: int
    vocabulary: int
    weights: tuple[str, ...] = ()
    neurons: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    context: int = 0
    transposed: bool = False
    blocks: tuple[int, ...] = ()
    kept: tuple[str, ...] = ()

    def parts(self, kind: str, layer: int) -> tuple[str, int]:
        """What the parts of a kind (N, H) are called, and how many of them a layer has."""
        what, counts = ("neurons", self.neurons) if kind == "N" else ("heads", self.heads)
        return what, counts[layer] if layer < len(counts) else 0


@dataclass(frozen=True, slots=True)
class Specification:
    """A parsed specification. ``form`` decides which of the other fields mean something."""

    spec: str
    form: Literal["bundled", "random", "planted", "file", "pretrained"]
    path: Path = field(default_factory=Path)
    dim: int = 0
    count: int = 1  # layers (random) or patterns (planted)


# ------------------------------------------------------------------------------ specifications


def bundled_names() -> tuple[str, ...]:
    """Names of the models inside this package, sorted."""
    folder = Path(__file__).with_name("bundled")
    return tuple(sorted(p.stem for p in folder.glob("*.safetensors")))


def parse_spec(spec: str, base: Path | None = None) -> Specification:
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
        return Specification(spec, "random", dim=dim, count=layers)
    if match := _PLANTED.fullmatch(text):
        dim, patterns = int(match[1]), int(match[2])
        check_dimension(dim, spec)
        check_patterns(dim, patterns, spec)
        return Specification(spec, "planted", dim=dim, count=patterns)
    if text in bundled_names():
        return Specification(
            spec, "bundled", path=Path(__file__).with_name("bundled") / f"{text}.safetensors"
        )
    if text.startswith(("random", "__random", "planted")) and "/" not in text and "." not in text:
        raise CheckpointError(
            f"'{spec}' is not a sandbox this version knows",
            hint="write random:DIMENSION, random:DIMENSIONxLAYERS or planted:DIMENSIONxPATTERNS, "
            f"with a dimension from 1 to {MAX_DIMENSION}",
        )
    if text in PUBLISHED:
        return Specification(spec, "pretrained", path=published_file(text))
    if is_hub(text):
        return Specification(spec, "pretrained", path=hub_folder(text))
    path = located(text, base)
    if os.path.isdir(permitted(path)):
        return Specification(spec, "pretrained", path=path)
    if path.suffix == ".gguf":
        check_file(path)
        return Specification(spec, "pretrained", path=path)
    looks_like_path = path.suffix in (".safetensors", *PT_SUFFIXES) or "/" in text or "\\" in text
    if looks_like_path or os.path.exists(permitted(path)):
        check_file(path)
        return Specification(spec, "file", path=path)
    close = difflib.get_close_matches(
        text.lower(), [*bundled_names(), *PUBLISHED, "random:256", "planted:256x20"], n=1
    )
    meant = f"did you mean '{close[0]}'? " if close else ""
    raise CheckpointError(f"there is no model '{spec}'", hint=f"{meant}Expected {FORMS}.")


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


def header_of(
    spec: str, where: str, entries: Mapping[str, TensorEntry], metadata: Mapping[str, object]
) -> ModelHeader:
    """The header of a set of tensors; ``where`` names the file in an error."""
    kind = kind_named(str(metadata.get("kind", "weights")), where)
    config = metadata.get("config")
    config = config if isinstance(config, dict) else {}
    layers = kind.layers(where, entries, config)
    degree = config.get("degree", 3)
    if type(degree) is not int or not 2 <= degree <= 64:
        raise CheckpointError(f"{where}: degree {degree!r} is out of bounds", hint="2 to 64, usually 3")
    text = metadata.get("tokenizer") is not None
    vocabulary = config.get("vocabulary", 0) if text else 0
    parts = {"heads": config.get("heads"), "neurons": config.get("hidden") if not kind.landscape else 0}
    counts = {
        name: (n,) * len(layers) if text and type(n) is int and n > 0 else () for name, n in parts.items()
    }
    context = config.get("context", 0) if text else 0
    return ModelHeader(
        spec=spec,
        kind=kind.name,
        dims=tuple(dim for dim, _ in layers),
        degree=degree,
        capabilities=frozenset(
            word
            for word, has in (
                ("landscape", kind.landscape),
                ("memory", bool(parts["neurons"])),
                ("text", text),
            )
            if has
        ),
        parameters=sum(e.numel for n, e in entries.items() if e.floating and not n.startswith("extra.")),
        vocabulary=vocabulary if type(vocabulary) is int else 0,
        weights=tuple(weight for _, weight in layers),
        context=context if type(context) is int else 0,
        neurons=counts["neurons"],
        heads=counts["heads"],
        blocks=tuple(_block_of(weight, at) for at, (_, weight) in enumerate(layers)),
        kept=kept_as(e.dtype for n, e in entries.items() if e.floating and not n.startswith("extra.")),
    )


def _block_of(weight: str, at: int) -> int:
    match = _BLOCK.search(weight)
    return int(match[1]) if match else at


def kept_as(dtypes: Iterable[str]) -> tuple[str, ...]:
    """The dtypes of a file's numbers as people call them, sorted."""
    return tuple(sorted({_CALLED.get(dtype, dtype.lower()) for dtype in dtypes}))


def sandbox_header(spec: str, dims: tuple[int, ...]) -> ModelHeader:
    """The header of bare landscapes of these dimensions."""
    return ModelHeader(
        spec=spec,
        kind="sandbox",
        dims=dims,
        degree=3,
        capabilities=frozenset({"landscape"}),
        parameters=sum(dim * dim + 1 for dim in dims),
        vocabulary=0,
        weights=tuple(map(weight_name, range(len(dims)))),
        blocks=tuple(range(len(dims))),
        kept=("float32",),
    )


def read_header(spec: str, base: Path | None = None) -> ModelHeader:
    """The header of the model that ``spec`` names, without its weights.

    Relative paths resolve against ``base`` (the script's folder) or else the cwd. Raises
    ``CheckpointError`` with the path and a way out. Imports torch for .pt and .pth only.
    """
    source = parse_spec(spec, base)
    if source.form == "pretrained":
        return pretrained_header(spec, source.path)
    if source.form in ("random", "planted"):
        return sandbox_header(spec, (source.dim,) * (source.count if source.form == "random" else 1))
    if is_index(source.path):
        return header_of(spec, str(source.path), read_shard_entries(source.path), {})
    check_whole(source.path)
    if is_pt(source.path):
        from energylang.models.published import read_entries

        return header_of(spec, str(source.path), read_entries(source.path), {})
    entries, metadata = read_index(source.path)
    entries = entries if metadata else unwrapped(str(source.path), entries)
    return header_of(spec, str(source.path), entries, metadata)


def read_shard_entries(path: Path) -> dict[str, TensorEntry]:
    """The tensors of all files that an index names, under the names that this package knows."""
    found: dict[str, TensorEntry] = {}
    for shard, promised in shards_of(path).items():
        if is_pt(shard):
            from energylang.models.published import read_entries

            entries = read_entries(shard)
        else:
            entries, _ = read_index(shard)
            check_names(path, shard, promised, entries)
        found.update(entries)
    return unwrapped(str(path), found)


def pretrained_header(spec: str, path: Path) -> ModelHeader:
    """The header of a pretrained model in a folder or a GGUF file; its ``weights`` are known when it is loaded."""
    about = about_gguf(path) if path.suffix == ".gguf" and not path.is_dir() else about_folder(path)
    return ModelHeader(
        spec=spec,
        kind=PRETRAINED,
        dims=(about.width,) * about.layers,
        degree=3,
        capabilities=frozenset({"memory", "text", *(["dialogue"] if about.chat else [])}),
        parameters=about.parameters,
        vocabulary=about.vocabulary,
        neurons=(about.neurons,) * about.layers,
        heads=(about.heads,) * about.layers,
        context=about.context,
        blocks=tuple(range(about.layers)),
        kept=kept_as(about.dtypes),
    )


def is_pt(path: Path) -> bool:
    """True for a file of the torch kind, by suffix or, with another suffix, by its first bytes."""
    if path.suffix in PT_SUFFIXES or path.suffix == ".safetensors":
        return path.suffix in PT_SUFFIXES
    try:
        with opened(path) as file:
            start = file.read(4)
    except OSError:
        return False
    return start in (b"PK\x03\x04", b"\x93NUM") or start[:1] == b"\x80" or start[:2] == b"\x1f\x8b"

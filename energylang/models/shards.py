"""A model in several files: which are they, and what does each hold?  (PURE: no torch.)

Large checkpoints are written in *shards*, ``model-00001-of-00002.safetensors`` and so on, beside an index,
``model.safetensors.index.json``, whose ``weight_map`` says in which shard each tensor is. The index is what is loaded.
One shard alone is a part of a model and is refused: its first layer would be called L0, whatever it is.

Source: https://huggingface.co/docs/safetensors, and the index files that transformers writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from energylang.errors import CheckpointError
from energylang.files.storage import read_json

INDEX_SUFFIX = ".index.json"
_SHARD = re.compile(r"(.+?)-(\d+)-of-(\d+)(\.\w+)")
_MOST_SHARDS = 10_000


def is_index(path: Path) -> bool:
    """Whether a file is the index of a model in shards, by its name."""
    return path.name.endswith(INDEX_SUFFIX)


def check_whole(path: Path) -> None:
    """Raise ``CheckpointError`` where a file is, by its name, one shard of several."""
    match = _SHARD.fullmatch(path.name)
    if match is None or int(match[3]) < 2:
        return
    index = path.with_name(f"{match[1]}{match[4]}{INDEX_SUFFIX}")
    raise CheckpointError(
        f"{path} is one of {int(match[3])} files of a model: alone it is a part of one",
        hint=f"load {index.name}, which names them all"
        if os.path.exists(index)
        else f"load {index.name}, which belongs beside it and names them all (it is not there)",
    )


def shards_of(path: Path) -> dict[Path, list[str]]:
    """The shards that an index names, and the names of the tensors in each.

    Raises ``CheckpointError`` for what is no index, names a file outside of its folder, or one that is not there.
    """
    try:
        content = read_json(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise CheckpointError(
            f"{path} is not JSON: it should be the index of a model in several files"
        ) from None
    found = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(
            f"{path} has no weight_map", hint="an index says there in which file each tensor is"
        )
    shards: dict[Path, list[str]] = {}
    for name, file in found.items():
        if not isinstance(file, str) or not file or Path(file).name != file or "\0" in file or "\\" in file:
            raise CheckpointError(
                f"{path}: '{name:.200}' is said to be in {file!r:.200}", hint="a shard lies beside its index"
            )
        shards.setdefault(path.with_name(file), []).append(name)
    if len(shards) > _MOST_SHARDS:
        raise CheckpointError(f"{path} names {len(shards):,} files; at most {_MOST_SHARDS:,} are read")
    for shard, names in shards.items():
        if not os.path.isfile(shard):  # (a name that is too long is none, and no OSError)
            raise CheckpointError(
                f"{path}: {shard.name} is not there; '{names[0]:.200}' and {len(names) - 1} other tensors are in it",
                hint="copy or download it to the same folder",
            )
    return shards


def check_names(index: Path, shard: Path, promised: list[str], there: Mapping[str, object]) -> None:
    """Raise ``CheckpointError`` where a shard does not hold what its index says."""
    missing = sorted(set(promised) - set(there))
    if missing:
        raise CheckpointError(
            f"{shard} does not hold '{missing[0]:.200}', which {index.name} says is in it",
            hint="the index and the files are of two models, or a file is an older one",
        )

"""A GGUF file as a folder of safetensors, made once and kept in the cache under the hash of the file.

The transformers library reads GGUF files, slowly (half a minute); what it read is written down as an ordinary folder:
config.json, the tokenizer, the chat template, and the tensors in float32, to which quantised values are exact.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from energylang.errors import CheckpointError
from energylang.files.cache import cache_folder
from energylang.files.storage import opened
from energylang.models.described.about import SINGLE

from .library import explained, quietly

_CHUNK = 2**22
_DONE = "converted.json"


def converted(path: Path, watch: Callable[[int, int, str], None] | None) -> Path:
    """The folder that a GGUF file was converted into; it is made if it is not there. Raises ``CheckpointError``."""
    target = cache_folder() / "converted" / f"{path.stem[:60]}-{_hash(path)[:16]}"
    if (target / _DONE).is_file():
        return target
    if watch is not None:
        watch(0, 3, "of loading; converting the GGUF file, once")
    making = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
        _convert(path, making)
        (making / _DONE).write_text(json.dumps({"from": path.name}), encoding="utf-8")
        try:
            os.replace(making, target)
        except OSError:  # somebody else was faster
            if not (target / _DONE).is_file():
                raise
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be converted into {target}: {error.strerror or error}",
            hint="ENERGYLANG_CACHE names another folder for what is kept",
        ) from None
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)
    return target


def _convert(path: Path, folder: Path) -> None:
    with (
        quietly(),
        explained(
            f"{path} cannot be converted", "its architecture or its quantisation is not known to transformers"
        ),
    ):
        import torch
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where, name = str(path.parent), path.name
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            where, gguf_file=name, dtype=torch.float32, local_files_only=True
        )
        tokenizer.save_pretrained(folder)
        _without_surplus(folder / "tokenizer.json", int(model.config.get_text_config().vocab_size))
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config.dtype = torch.float32
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        tensors = {name: value.detach().contiguous() for name, value in model.named_parameters()}
        save_file(tensors, folder / SINGLE, metadata={"format": "pt"})


def _without_surplus(path: Path, rows: int) -> None:
    """The library adds an end of text of its own to tokens of bytes; the model has no row for it."""
    if path.is_file():
        written = json.loads(path.read_text(encoding="utf-8"))
        known = written.get("added_tokens", [])
        written["added_tokens"] = [token for token in known if token["id"] < rows]
        if len(written["added_tokens"]) < len(known):
            path.write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")


def _hash(path: Path) -> str:
    whole = hashlib.sha256()
    with opened(path) as file:
        while part := file.read(_CHUNK):
            whole.update(part)
    return whole.hexdigest()

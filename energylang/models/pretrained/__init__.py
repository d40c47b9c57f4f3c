"""Pretrained transformers in the layout of Hugging Face, or in a GGUF file.  (PURE: no torch, no transformers.)

Their layers are the residual stream behind every block. Where such a model lies and what it says of itself stands in
``energylang.models.described``. Here ``convert`` turns a GGUF file into a folder, ``loading`` gives the model,
``decoder`` finds the parts of any decoder by its structure, ``network`` runs it, and ``saving`` writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energylang.models.index import TensorEntry
from energylang.models.kinds import Kind, Layers


def layers(where: str, entries: Mapping[str, TensorEntry], config: Mapping[str, Any]) -> Layers:
    """None: such a model is no single file of ours (see ``energylang.models.described``)."""
    return ()


KINDS = (Kind("pretrained", layers, landscape=False, network="energylang.models.pretrained.network"),)

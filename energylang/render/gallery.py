"""All pictures of results: importing ``render`` from here knows every family."""

from __future__ import annotations

from . import (
    algebra,
    causal,
    concept,
    edit,
    history,
    meaning,
    model,
    observe,
    pair,
    record,
    safety,
    watermark,
)
from .dispatch import render

FAMILIES = (algebra, causal, concept, edit, history, meaning, model, observe, pair, record, safety, watermark)

__all__ = ["FAMILIES", "render"]

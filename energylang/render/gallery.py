"""All pictures, hung: importing ``render`` from here knows every kind of result."""

from __future__ import annotations

from . import causal_pictures, concept_pictures, meaning_pictures, pictures, safety_pictures
from .dispatch import render

ROOMS = (pictures, concept_pictures, causal_pictures, meaning_pictures, safety_pictures)

__all__ = ["ROOMS", "render"]

"""All pictures, hung: importing ``render`` from here knows every kind of result."""

from __future__ import annotations

from . import concept_pictures, pictures
from .dispatch import render

ROOMS = (pictures, concept_pictures)

__all__ = ["ROOMS", "render"]

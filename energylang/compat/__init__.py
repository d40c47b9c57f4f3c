"""The published package's surgeon over a session."""

from .surgeon import BasinSurgeon, SurgeonError, UngatedSurgeon

__all__ = ["BasinSurgeon", "SurgeonError", "UngatedSurgeon"]

"""Where can a model be saved?"""

from __future__ import annotations

from energylang.errors import ElError

PRETRAINED = "pretrained"
"""The kind of models that are saved as folders."""


def unsavable(path: str, session: bool, kind: str | None) -> ElError | None:
    """Why a model of a kind (``None``: nobody knows) cannot be saved there, as far as the path says; the checker asks,
    too."""
    file = path.endswith((".safetensors", ".pt", ".pth"))
    if kind == PRETRAINED or (kind is None and not file):
        if not file:
            return None
        return ElError(
            "a pretrained model is saved as a folder",
            code="EL504",
            hint='`save "edited"` writes a folder that transformers loads; session=true puts the session into it, too',
        )
    if path.endswith(".safetensors") or (file and not session):
        return None
    hint = (
        "a session is saved as .safetensors" if session else "models are saved as .safetensors, or as .pt"
    ) + "; end the path in that"
    return ElError(f"cannot save to {path}", code="EL504", hint=hint)

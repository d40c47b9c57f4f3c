"""Where can a model be saved?"""

from __future__ import annotations

from energylang.errors import ElError


def unsavable(path: str, session: bool) -> ElError | None:
    """Why a model cannot be saved there, as far as the path says; the checker asks, too."""
    whole = path.endswith(".safetensors")
    if whole or (path.endswith((".pt", ".pth")) and not session):
        return None
    hint = (
        "a session is saved as .safetensors" if session else "models are saved as .safetensors, or as .pt"
    ) + "; end the path in that"
    return ElError(f"cannot save to {path}", code="EL504", hint=hint)

"""Where can a model be saved?"""

from __future__ import annotations

from energylang.errors import ElError


def unsavable(path: str, session: bool) -> ElError | None:
    """Why a model cannot be saved there, as far as the path says; the checker asks, too."""
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    folder = "." not in name.lstrip(".") and not session  # a pretrained model's
    if path.endswith(".safetensors") or folder or (path.endswith((".pt", ".pth")) and not session):
        return None
    return refused(path, session)


def refused(path: str, session: bool) -> ElError:
    """That a model cannot be saved there, and where it can."""
    hint = (
        "a session is saved as .safetensors" if session else "models are saved as .safetensors, or as .pt"
    ) + "; end the path in that"
    return ElError(f"cannot save to {path}", code="EL504", hint=hint)

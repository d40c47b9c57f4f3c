"""``BasinSurgeon``: the method names and keywords of the published package over a ``Session``.

Whoever has programs for the published package changes one import. Every method is one or a few operations of the
session (``surgeon.session``), so undo, history, records and guards hold for them as for everything else; what is
different, and why, is listed in ``docs/migration.md``. Answers are mappings with the published keys and every field
of the operation's result (``energylang.results.answer``).

``basin_idx`` is a basin's persistent number (``L0.B3`` is 3): after the first survey of a layer the numbers are the
places in that survey, and later surveys keep them.
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING

from energylang.compat import dropin
from energylang.compat.base import SurgeonError
from energylang.compat.causal import Causal
from energylang.compat.concepts import Concepts
from energylang.compat.editing import Editing
from energylang.compat.keeping import Keeping
from energylang.compat.meaning import Meaning
from energylang.compat.observing import Observing
from energylang.models import raw
from energylang.results.answer import Answer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BasinSurgeon", "SurgeonError", "UngatedSurgeon"]


class BasinSurgeon(Observing, Editing, Concepts, Meaning, Causal, Keeping):
    """Survey and edit a model's landscapes under the published names.

    Begin with ``BasinSurgeon.from_checkpoint(path)``, ``BasinSurgeon.from_W(W)`` or ``BasinSurgeon(session)``.
    """

    @classmethod
    def from_checkpoint(cls, path: str | PathLike[str], device: str = "cpu") -> BasinSurgeon:
        """A surgeon for a bundled model (``"tiny"``), a sandbox (``"random:256"``) or a file."""
        surgeon = cls()
        if not dropin.bare_weights(surgeon.session, fspath(path)):
            surgeon.session.load(fspath(path))
        if device != "cpu":
            surgeon.session.set("device", device)
        return surgeon

    @classmethod
    def from_W(cls, W: Tensor, device: str = "cpu") -> BasinSurgeon:
        """A surgeon for one weight (d, d), read at β = 7 and degree 3."""
        surgeon = cls()
        surgeon.session.adopt(raw.model_of([W]))
        if device != "cpu":
            surgeon.session.set("device", device)
        return surgeon

    def load_model(self, model_path: str | PathLike[str] | None = None) -> Answer:
        """Load a model, or describe the one that is there. The file holds its tokenizer and architecture."""
        info = self.session.load(fspath(model_path)) if model_path is not None else self.session.info()
        config = self.session.model.metadata.get("config")
        return Answer(
            info,
            {
                "path": info.model,
                "layers": info.num_layers,
                "config": dict(config) if isinstance(config, dict) else {},
            },
        )

    def model_weights_hash(self) -> str:
        """SHA-256 of the live model's weights (names, shapes and bytes)."""
        return self.session.live_hash()


class UngatedSurgeon(BasinSurgeon):
    """``BasinSurgeon`` as it was in published releases before there was a gate: every edit is made, and ``retention``
    says what the gate would have said. An edit that it would have refused is in the history as forced."""

    gated = False

"""The folder of a sweep: what each cell gave, whole or not at all.

    cells/NAME.json          its rows, or why it failed; sealed by a checksum
    cells/NAME.record.json   its record: `el replay` runs it again
    files/NAME/…             what it wrote with `write`, `save`, `plot … save=`

The record and the files are written first: where ``cells/NAME.json`` is there, and the cell did not fail, all of it is.
A cell that failed is run again. A file that was damaged counts as not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energylang.errors import ElError
from energylang.files.storage import check_writable, json_bytes, read_json, seal_holds, sealed, write_atomic

from .plan import Cell, Plan

FORMAT = "energylang cell"
VERSION = 1


@dataclass(frozen=True)
class Done:
    """What a cell gave: its ``rows`` as plain data and what it printed, or the ``error``; its ``record`` (JSON), and
    the files that it wrote by name."""

    name: str
    rows: tuple[dict[str, Any], ...] = ()
    printed: tuple[str, ...] = ()
    error: str = ""
    code: str = ""
    report: str = ""
    record: bytes | None = None
    files: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Folder:
    """The folder of a sweep."""

    path: Path

    def prepare(self, results: Iterable[str]) -> None:
        """Make it, and be sure that files can be written there. Raises ``ElError``."""
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = "a file is in its place" if isinstance(error, FileExistsError) else error.strerror
            raise ElError(f"the folder {self.path} cannot be made: {why}", code="EL504",
                          hint="name another one with -o") from None  # fmt: skip
        for name in (*results, "cells/any.json"):
            check_writable(self.path / name)

    def place(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    def found(self, cell: Cell) -> dict[str, Any] | None:
        """What is written of a cell; ``None`` where nothing is, or it is damaged, or of something else.
        Raises ``ElError`` for what another version wrote."""
        try:
            data = read_json(self.place(cell))
        except (OSError, ValueError):
            return None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            return None
        if "sha256" not in data or not seal_holds(data):
            return None
        if data["version"] != VERSION:
            raise ElError(f"{self.place(cell)} is of another version of this format: {data['version']}", code="EL504",
                          hint="name another folder with -o")  # fmt: skip
        return data

    def finished(self, cell: Cell) -> dict[str, Any] | None:
        """The same for a cell of this very script that need not be run again."""
        data = self.found(cell)
        return data if data is not None and data["identity"] == cell.identity and not data["error"] else None

    def strangers(self, plan: Plan) -> list[Cell]:
        """Cells that were finished with another script, or another version."""
        return [
            cell for cell in plan.cells
            if (data := self.found(cell)) is not None and not data["error"] and data["identity"] != cell.identity
        ]  # fmt: skip

    def keep(self, cell: Cell, done: Done) -> None:
        """Write down what a cell gave."""
        if done.record is not None:
            write_atomic(self.path / "cells" / f"{cell.name}.record.json", done.record)
        for name, content in done.files:
            target = self.path / "files" / cell.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, content)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "values": cell.values,
            "identity": cell.identity,
            "error": done.error,
            "code": done.code,
            "report": done.report,
            "rows": list(done.rows),
            "printed": list(done.printed),
            "files": [name for name, _ in done.files],
        }
        write_atomic(self.place(cell), json_bytes(sealed(json.loads(json.dumps(document))), indent=1))

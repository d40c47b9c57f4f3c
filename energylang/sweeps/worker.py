"""One cell, wherever it is run: in this process, in a process of joblib, on the worker of a Dask scheduler.

A process loads a model once. The session of a cell gets it as it was loaded, and gives it back so; that its weights
are the same, to the last bit, is compared by their hash when it is lent again, and if they are not it is loaded anew.
A cell has one torch thread. Files that it writes are set aside, so that cells do not overwrite each other's, and go
along with what it gave.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError
from energylang.version import __version__

from .cells import Done
from .plan import Cell

if TYPE_CHECKING:
    from energylang.models.model import Model
    from energylang.session import Session

MAX_FILES = 256 * 2**20
_turn = (
    threading.Lock()
)  # torch's threads and the models belong to the process: its cells run one after the other


@dataclass(frozen=True)
class Task:
    """A cell with all that a process elsewhere needs to run it: the name of its script, and the folder from which it
    reads, which must be there, too."""

    cell: Cell
    script: str
    base: str | None
    version: str = __version__


def run(task: Task) -> Done:
    """Run a cell. What is wrong with it is told, not raised."""
    with _turn:
        if task.version != __version__:
            said = f"this worker has energylang {__version__}, and the sweep {task.version}"
            return Done(task.cell.name, error=said, code="EL599")
        try:
            return _ran(task)
        except ElError as error:
            return Done(task.cell.name, error=error.message, code=error.code)
        except Exception as error:  # noqa: BLE001 - a cell that breaks must not take the others with it
            return Done(task.cell.name, error=f"{type(error).__name__}: {error}", code="EL599")


def _ran(task: Task) -> Done:
    from energylang.files.storage import set_aside

    with set_aside() as aside:
        done = _in_session(task)
        files = _written({real: place for real, place in aside.items() if real != Path()}, task.base)
    return Done(done.name, done.rows, done.printed, done.error, done.code, done.report, done.record, files)


def _in_session(task: Task) -> Done:
    from energylang.checker import check
    from energylang.diagnostics.source import Source
    from energylang.render.diagnostics import render_diagnostics
    from energylang.results.table import cell as plain
    from energylang.run.doors import ScriptError, rows_of_checked
    from energylang.session import Session
    from energylang.syntax import ast

    base = None if task.base is None else Path(task.base)
    source = Source(task.cell.text, task.script, base)
    printed: list[str] = []

    def show(value: Any, statement: ast.Statement, line: str) -> None:
        if isinstance(statement, ast.Print):
            printed.append(str(value))

    session = Session(base=base, threads=1)
    session.loader = _models.lend
    try:
        checked = check(source)
        if not checked.ok:
            raise ScriptError([item for item in checked.diagnostics if item.is_error], checked=False)
        rows = rows_of_checked(session, checked, show)
        found = tuple({name: plain(value) for name, value in row.items()} for row in rows)
        return Done(task.cell.name, found, tuple(printed), record=_record(session))
    except ScriptError as error:
        first = error.diagnostics[0]
        report = render_diagnostics(error.diagnostics, color=False, width=None)
        record = _record(session) if error.checked else None
        said, code = first.message, first.code
        return Done(task.cell.name, (), tuple(printed), said, code, report, record)
    finally:
        _models.take_back(session)


def _record(session: Session) -> bytes | None:
    """The record of what a session did, where it has a model."""
    from energylang.files.storage import permitted
    from energylang.work.record import record

    if not session.has_model:
        return None
    record(session, ".cell.record.json")
    place = permitted((session.base or Path()) / ".cell.record.json", write=True)
    data = place.read_bytes()
    place.unlink()
    return data


def _written(aside: dict[Path, Path], base: str | None) -> tuple[tuple[str, bytes], ...]:
    """The files that were set aside, by their names as seen from the script; raises ``ElError`` where they are
    large."""
    found: list[tuple[str, bytes]] = []
    total = 0
    for real, place in sorted(aside.items()):
        if not place.is_file():
            continue
        total += place.stat().st_size
        if total > MAX_FILES:
            raise ElError(
                f"a cell writes more than {MAX_FILES // 2**20} MiB of files", code="EL504",
                hint="leave `save` out of the script: its record makes the model again",
            )  # fmt: skip
        inside = base is not None and real.is_relative_to(Path(base).resolve())
        name = real.relative_to(Path(base).resolve()).as_posix() if inside and base is not None else real.name
        found.append((name, place.read_bytes()))
    return tuple(found)


class _Models:
    """The models of this process, each as it was loaded."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str, tuple[int, int]], tuple[Model, str]] = {}
        self.lent: dict[int, tuple[tuple[str, str, tuple[int, int]], str]] = {}

    def lend(
        self, spec: str, base: Path | None = None, watch: Callable[[int, int, str], None] | None = None
    ) -> Model:
        """The model that a cell asks for."""
        from energylang.models import checkpoint

        key = spec, str(base), _stamp(spec, base)
        model, hash = self.held.pop(key, (None, ""))
        if model is None or checkpoint.fingerprint(model) != hash:
            model = checkpoint.load(spec, base=base, watch=watch)
            hash = checkpoint.fingerprint(model)
            if any(name.startswith("session") for name in model.extra) or "notes" in model.metadata:
                return model  # it brings a session along, which `load` takes out of it
        self.lent[id(model)] = key, hash
        return model

    def take_back(self, session: Session) -> None:
        """Keep the model that a session ends with, as it was at the beginning."""
        lent, self.lent = self.lent, {}
        if not session.has_model or id(session.model) not in lent:
            return
        session.restore_state(session.timeline.root.before)
        key, hash = lent[id(session.model)]
        self.held = {key: (session.model, hash)}  # one at a time: models are large


_models = _Models()


def _stamp(spec: str, base: Path | None) -> tuple[int, int]:
    """Time and size of a model's file, so that one which was changed is loaded again; zeros where it is none."""
    from energylang.models.header import parse_spec

    try:
        found = Path(parse_spec(spec, base).path).stat()
    except (OSError, TypeError, ElError):
        return 0, 0
    return found.st_mtime_ns, found.st_size

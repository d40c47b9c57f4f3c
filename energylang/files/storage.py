"""The one door to the disk: every file that this package opens on someone's behalf goes through here.  (PURE.)

* ``read_bytes`` and ``opened`` take regular files only (a pipe would make a program wait for ever, a device never
  ends), never more than they were told to, and what may grow in memory is compared with the memory that is free.
* ``write_atomic`` writes a temporary file beside the target, syncs it, renames it over the target and syncs the folder:
  whoever looks, at whatever moment the machine stops, finds the old file or the new one.
* ``contained`` limits both to one folder for the time of a script (``el run --sandbox``). Paths are judged by what they
  really are, after symbolic links and ``..``; nothing that exists is overwritten without being asked to. What ships
  with this package may be read.
* ``set_aside`` puts what is written into a temporary folder instead, and reads it from there: a record or a session
  that is run again changes no file, whatever it says.
* ``sealed`` and ``seal_holds`` put a checksum into a JSON object and compare it.

Readers raise ``OSError``, whose text each caller turns into its own message; the rest raises ``FileError``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from energylang.errors import FileError
from energylang.files.locks import KERNEL_LOCKS, claim

MIB = 2**20
#: What each kind of file may hold at most.
MAX_SCRIPT_BYTES = 4 * MIB
MAX_TEXT_BYTES = 64 * MIB
MAX_JSON_BYTES = 256 * MIB
_JSON_GROWTH = 20  # bytes in memory for one of JSON, at worst
_CHUNK = 8 * MIB
_STALE_SECONDS = 60.0
_SHORTENED = 80  # characters of the target's name in that of its temporary file
_SEAL = "sha256"
_HELD_FOLDERS = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")

_PACKAGE = Path(__file__).resolve().parents[1]


# ------------------------------------------------------------------------------------------ containment


@dataclass(frozen=True)
class Containment:
    """A folder that a script may not leave, and whether it may overwrite what is in it."""

    folder: Path
    overwrite: bool = False


_aside: ContextVar[dict[Path, Path] | None] = ContextVar("aside", default=None)
_containment: ContextVar[Containment | None] = ContextVar("containment", default=None)


@contextlib.contextmanager
def contained(folder: Path, *, overwrite: bool = False) -> Iterator[None]:
    """Inside, files outside of ``folder`` are neither read nor written."""
    token = _containment.set(Containment(Path(os.path.realpath(folder)), overwrite))
    try:
        yield
    finally:
        _containment.reset(token)


@contextlib.contextmanager
def set_aside() -> Iterator[dict[Path, Path]]:
    """Inside, nothing is written where it should be: it goes into a folder of its own that is gone at the end, and
    is read from there. Gives where each file really lies; the folder itself lies under the empty path."""
    known = _aside.get()
    if known is not None:
        yield known
        return
    with tempfile.TemporaryDirectory(prefix="energylang-") as folder:
        aside = {Path(): Path(folder)}
        token = _aside.set(aside)
        try:
            yield aside
        finally:
            _aside.reset(token)


def _elsewhere(real: Path, aside: dict[Path, Path], *, write: bool) -> Path:
    """Where a file lies that was, or will be, set aside; ``real`` where it was not."""
    if write and real not in aside:
        folder = aside[Path()] / str(len(aside))
        folder.mkdir()
        aside[real] = folder / real.name
    return aside.get(real, real)


def permitted(path: str | Path, *, write: bool = False) -> Path:
    """The path to open for ``path``; raises ``FileError`` (EL541, EL542) where a containment forbids it."""
    given, limit, aside = Path(path), _containment.get(), _aside.get()
    if limit is None and aside is None:
        return given
    try:
        real = Path(os.path.realpath(given.parent if write else given))
    except (OSError, ValueError):
        real = Path(os.sep)
    real = real / given.name if write else real
    if aside is not None and (write or real in aside):
        return _elsewhere(real, aside, write=write)
    if limit is None:
        return given
    if not real.is_relative_to(limit.folder) and (write or not real.is_relative_to(_PACKAGE)):
        what = "write" if write else "read"
        raise FileError(
            f"the script may not {what} {path}: it lies outside of {limit.folder}",
            hint="--sandbox confines a script to its own folder; links and `..` do not lead out of it",
            code="EL541",
        )
    if write and os.path.lexists(real) and not limit.overwrite:
        raise FileError(
            f"the script may not overwrite {path}",
            hint="--sandbox leaves what exists alone; `el run --sandbox --force` lets the script overwrite it",
            code="EL542",
        )
    return real


def _check_inside(handle: int, path: str | Path, what: str) -> None:
    """Raise ``FileError`` (EL541) where what was opened lies outside of the containment: between the look at a path and
    its opening, somebody may have put a link in its way. Looks at the open file itself, where the system shows where
    that lies (Linux)."""
    limit = _containment.get()
    if limit is None or _aside.get() is not None:
        return
    try:
        there = Path(os.readlink(f"/proc/self/fd/{handle}"))
    except OSError:
        return
    if not there.is_relative_to(limit.folder) and (what == "write" or not there.is_relative_to(_PACKAGE)):
        raise FileError(
            f"the script may not {what} {path}: it lies outside of {limit.folder}",
            hint="a link was put in its way while the script ran",
            code="EL541",
        )


def located(path: str, base: Path | None) -> Path:
    """Where a path of a script points: relative ones are seen from ``base`` (``None``: the working directory)."""
    try:
        given = Path(path).expanduser()
    except RuntimeError:  # `~name` of nobody: a name like others
        given = Path(path)
    return given if given.is_absolute() or base is None else base / given


# ---------------------------------------------------------------------------------------------- reading


def check_regular(path: Path) -> int:
    """The size of a regular file. Raises ``OSError`` for a folder, a pipe, a device, or no file at all."""
    return _regular(os.stat(permitted(path)), path)


def _regular(found: os.stat_result, path: Path) -> int:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return found.st_size


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """A regular file, open for reading. It never waits for a writer at the other end."""
    real = permitted(path)
    try:
        _regular(os.stat(real), real)  # before it is opened: to open a device can have effects
        handle = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a path with a zero byte
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    with os.fdopen(handle, "rb") as file:
        _regular(os.fstat(file.fileno()), real)
        _check_inside(file.fileno(), path, "read")
        yield file


def read_bytes(path: str | Path, most: int, *, growth: int = 1) -> bytes:
    """What a regular file holds, if that is at most ``most`` bytes and ``growth`` times as much memory is free."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            check_memory(size * growth, path)
            data = file.read(most + 1)  # a file may grow while it is read
        if size > most or len(data) > most:
            raise OSError(errno.EFBIG, f"it is larger than {in_units(most)}", str(path))
    return data


def read_text(path: str | Path, most: int = MAX_TEXT_BYTES) -> str:
    """The same as UTF-8 text, with plain line ends; raises ``UnicodeDecodeError`` where it is none."""
    text = read_bytes(path, most, growth=8).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


_OTHERS = {
    b"\xff\xfe": ("UTF-16", "iconv -f UTF-16 -t UTF-8 converts it"),
    b"\xfe\xff": ("UTF-16", "iconv -f UTF-16 -t UTF-8 converts it"),
    b"\x1f\x8b": ("compressed by gzip", "gzip -dc (or gunzip) unpacks it"),
    b"PK": ("a zip archive", "unzip it first"),
}


def not_utf8(error: UnicodeDecodeError) -> tuple[str, str]:
    """What a file is that is no UTF-8 text, in words, and what would help: ``is UTF-16, not UTF-8 text (byte 0)``."""
    kind, way = _OTHERS.get(bytes(error.object[:2]), ("", "save it as UTF-8"))
    return f"is {f'{kind}, not' if kind else 'not'} UTF-8 text (byte {error.start})", way


def read_json(path: str | Path, most: int = MAX_JSON_BYTES) -> Any:
    """A JSON value; raises ``OSError``, or ``ValueError`` where it is none (deep nesting included)."""
    try:
        return json.loads(read_bytes(path, most, growth=_JSON_GROWTH).decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_memory(need: int, path: str | Path) -> None:
    """Raise ``OSError`` where ``need`` bytes are more than is free (small needs are not looked at)."""
    if need < 64 * MIB:
        return
    free = free_memory()
    if free is not None and need > free:
        why = f"it needs about {in_units(need)} of memory, and {in_units(free)} are free"
        raise OSError(errno.ENOMEM, why, str(path))


def free_memory() -> int | None:
    """Bytes of memory that can be had without taking them from others; ``None`` where nobody knows."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):  # a container's own limit, where there is one
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        found.append(limit - int((group / "memory.current").read_text(encoding="ascii")))
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    return max(0, min(found)) if found else None


def in_units(count: int) -> str:
    """A number of bytes as one says it: ``1.5 GiB``."""
    for name, unit in (("GiB", 2**30), ("MiB", MIB), ("KiB", 2**10)):
        if count >= unit:
            return f"{count / unit:,.4g} {name}"
    return f"{count} bytes"


# ---------------------------------------------------------------------------------------------- writing


def check_writable(path: str | Path) -> Path:
    """Raise ``FileError`` when no file can be put at ``path``; leaves nothing behind. The path to write to."""
    target = permitted(path, write=True)
    folder = target.parent
    try:
        if target.is_dir():
            raise FileError(f"{path} is a directory", hint="name a file in it")
        if target.exists() and not target.is_file():
            raise FileError(f"{path} is a pipe or a device, not a file", hint="choose another output path")
        if not folder.is_dir():
            raise FileError(
                f"{path} cannot be written: there is no folder {folder}", hint=f"mkdir -p {folder}"
            )
        with _folder(target, path) as beside:
            probe, handle = _create_beside(target, beside)
            os.close(handle)
            os.unlink(probe, dir_fd=beside)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error, "choose another output path") from None
    return target


def write_atomic(path: str | Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Put ``data``, or its parts one after the other, at ``path`` whole or not at all; see the module's text. Raises
    ``FileError``."""
    target = check_writable(path)
    try:
        with _folder(target, path) as folder:
            _write_in(folder, target, data)
    except OSError as error:
        raise _unwritable(path, error, "check the space and permissions") from None
    _sweep(target)


def _write_in(folder: int | None, target: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    temporary: str | None = None
    try:
        temporary, handle = _create_beside(target, folder)
        try:
            claim(handle)
            with contextlib.suppress(OSError):
                mode = stat.S_IMODE(os.stat(target).st_mode)
                os.chmod(temporary if folder is None else handle, mode)
            for part in (data,) if isinstance(data, bytes) else data:
                view = memoryview(part)
                while view:
                    view = view[os.write(handle, view[:_CHUNK]) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if folder is None:
            os.replace(temporary, target)
        else:
            os.replace(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        temporary = None
        sync_folder(target.parent)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)


@contextlib.contextmanager
def _folder(target: Path, path: str | Path) -> Iterator[int | None]:
    """The folder of ``target``, held open in a sandbox, where it was looked at: a link that takes its place later is
    not followed. ``None`` elsewhere: paths are used."""
    if _containment.get() is None or not _HELD_FOLDERS:
        yield None
        return
    handle = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_inside(handle, path, "write")
        yield handle
    finally:
        os.close(handle)


def _unwritable(path: str | Path, error: Exception, hint: str) -> FileError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return FileError(f"{path} cannot be written: {reason}", hint=hint)


def sync_folder(folder: Path) -> None:
    """Make a name in ``folder`` survive a crash of the machine, where its file system lets that be asked for."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _create_beside(target: Path, folder: int | None = None) -> tuple[str, int]:
    """A new temporary file in the folder of ``target`` (held open, or by its path), which nobody else has or will have:
    its path (in the open ``folder``, its name), and its handle."""
    name = f".{target.name[:_SHORTENED]}.{secrets.token_hex(6)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    path = name if folder is not None else str(target.with_name(name))
    return path, os.open(path, flags, 0o666, dir_fd=folder)


def _sweep(target: Path) -> None:
    """Remove what killed writers of ``target`` left behind: old temporary files that nobody holds."""
    if not KERNEL_LOCKS:
        return
    start = f".{target.name[:_SHORTENED]}."
    with contextlib.suppress(OSError):
        for item in os.scandir(target.parent):
            middle = item.name.removeprefix(start).removesuffix(".tmp")
            if (
                item.name != f"{start}{middle}.tmp"
                or len(middle) != 12
                or not item.is_file(follow_symlinks=False)
            ):
                continue
            if time.time() - item.stat().st_mtime < _STALE_SECONDS:
                continue
            handle = os.open(item.path, os.O_RDONLY)
            try:
                if claim(handle):
                    os.unlink(item.path)
            finally:
                os.close(handle)


# ------------------------------------------------------------------------------------------------ seals


def seal_of(data: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a JSON object as canonical JSON, without its own seal."""
    plain = {key: value for key, value in data.items() if key != _SEAL}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its checksum in it."""
    return {**data, _SEAL: seal_of(data)}


def json_bytes(data: Mapping[str, Any], indent: int | None = None) -> bytes:
    """A JSON file of an object, in UTF-8; a text that is no Unicode (half of a pair) is written by its numbers."""
    try:
        return (json.dumps(data, ensure_ascii=False, indent=indent) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(data, indent=indent) + "\n").encode("utf-8")


def seal_holds(data: Mapping[str, Any]) -> bool:
    """Whether an object is what was sealed; one without a seal (of an older version) counts."""
    try:
        return _SEAL not in data or data[_SEAL] == seal_of(data)
    except (RecursionError, ValueError):
        return False

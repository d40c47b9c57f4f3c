"""Where this package keeps what it fetched, converted or worked out once.  (PURE.)"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """``ENERGYLANG_CACHE``, or a folder in the user's cache."""
    if given := os.environ.get("ENERGYLANG_CACHE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.absolute() / "energylang"


_MOST = 16 * 2**20  # bytes
_VERSIONS = 3  # of what is kept under one kind of name


class Shelf:
    """Small things that this package works out once and keeps: its own files, which no script names. What cannot be
    read is not there, and what cannot be written is not kept."""

    def kept(self, name: str) -> bytes | None:
        """What was kept under this name."""
        try:
            path = cache_folder() / "kept" / name
            return path.read_bytes() if path.is_file() and path.stat().st_size <= _MOST else None
        except (OSError, RuntimeError):  # no home
            return None

    def keep(self, name: str, data: bytes) -> None:
        """Keep it whole or not at all, beside the last ones of its kind (what stands before the first ``-``)."""
        try:
            folder = cache_folder() / "kept"
            folder.mkdir(parents=True, exist_ok=True)
            handle, place = tempfile.mkstemp(dir=folder, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(place, folder / name)
            except OSError:
                os.unlink(place)
                return
            kind = name.partition("-")[0]
            others = sorted(folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
            for old in others[:-_VERSIONS]:
                old.unlink(missing_ok=True)
        except (OSError, RuntimeError):
            return

"""Where this package keeps what it fetched or converted.  (PURE.)"""

from __future__ import annotations

import os
import sys
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

"""What every result is: an object, a read-only mapping, and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

VOLATILE = {"volatile": True}
"""Metadata of a field that may differ between two equal runs (a time): left out of digests and of plain output."""


@dataclass(frozen=True, eq=False)
class Result(Mapping[str, Any]):
    """Base of all results."""

    def __getitem__(self, key: str) -> Any:
        if key in self.__dataclass_fields__:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)

    def __hash__(self) -> int:
        return id(self)

    def to_dict(self, *, volatile: bool = True) -> dict[str, Any]:
        """Plain data: dicts, lists, numbers, texts. ``volatile=False`` leaves times out."""
        return {
            item.name: _plain(getattr(self, item.name), volatile)
            for item in fields(self)
            if volatile or not item.metadata.get("volatile")
        }

    @property
    def table(self) -> Any:
        """This result as a ``Table``: a row for each of its basins, entries … (the first field that holds records), or
        one row of its own numbers."""
        return import_module("energylang.results.table").as_table(self)

    def to_frame(self) -> Any:
        """The same as a pandas ``DataFrame``. Raises ``ImportError`` where pandas is not installed."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise ImportError("to_frame needs pandas: pip install pandas") from None
        plain = self.table.to_dict()
        return pandas.DataFrame(plain["rows"], columns=plain["columns"])

    def _repr_html_(self) -> str | None:
        """For a notebook: the picture that a terminal shows, as HTML. Only ``render`` knows how; it is found by
        name, because results know nothing of what shows them. ``None`` where there is a figure instead."""
        text: str | None = import_module("energylang.render.html").in_notebook(self)
        return text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For a notebook: the figure of what is one (a map, a plot), else nothing."""
        found: dict[str, Any] | None = import_module("energylang.render.bundle").of_result(self)
        return found or {}


def _plain(value: Any, volatile: bool) -> Any:
    if isinstance(value, Result):
        return value.to_dict(volatile=volatile)
    if isinstance(value, (tuple, list)):
        return [_plain(item, volatile) for item in value]
    return value

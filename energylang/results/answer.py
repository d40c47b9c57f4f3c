"""What a method of ``BasinSurgeon`` gives back: the published keys, and behind them a result of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping
from typing import Any

from .base import Result


class Later:
    """A value that is costly and often not asked for: made at the first look."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class Answer(dict[str, Any]):
    """A dictionary (and object) with the published keys and everything that the result has.

    ``result`` is the record behind it, ``None`` where there is none. Where a published key and a field of the
    record share a name, ``answer[key]`` has the published value (a survey's ``basins`` are tensors) and ``to_dict()``
    the record's (its ``basins`` are records): data for JSON holds no tensors. ``json.dump(answer, file)`` writes what
    ``to_dict()`` has, and so do ``items()`` and ``values()``.
    """

    def __init__(self, result: Result | None, published: Mapping[str, Any]) -> None:
        self.result = result
        self._published = dict(published)
        super().__init__(self._data(volatile=True))

    def __getitem__(self, key: str) -> Any:
        if key not in self._published:
            if self.result is None:
                raise KeyError(key)
            return self.result[key]
        value = self._published[key]
        if isinstance(value, Later):
            value = self._published[key] = value.make()
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._published[key] = value
        if (plain := _plain(value)) is not _NONE:
            super().__setitem__(key, plain)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no `{name}`: there are {', '.join(self)}") from None

    def __contains__(self, key: object) -> bool:
        return key in self._published or (self.result is not None and key in self.result)

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._published), **dict.fromkeys(self.result or ())})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{type(self.result).__name__ if self.result is not None else 'Answer'}: {', '.join(self)}>"

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # a view of all keys, tensors' included
        return KeysView(self)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def to_dict(self, *, volatile: bool = True) -> dict[str, Any]:
        """Plain data for JSON: the record's fields, and the published keys that hold no tensors."""
        return self._data(volatile=volatile)

    def _data(self, *, volatile: bool) -> dict[str, Any]:
        data = {} if self.result is None else self.result.to_dict(volatile=volatile)
        for key, value in self._published.items():
            plain = _plain(value)
            if key not in data and plain is not _NONE:
                data[key] = plain
        return data

    def _repr_html_(self) -> str | None:
        return None if self.result is None else self.result._repr_html_()


_NONE = object()


def _plain(value: Any) -> Any:
    """Plain data, or ``_NONE`` for what is not."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Result | Answer):
        return value.to_dict()
    if isinstance(value, Mapping):
        items = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _NONE}
    if isinstance(value, list | tuple):
        found = [_plain(item) for item in value]
        return _NONE if any(item is _NONE for item in found) else found
    return _NONE

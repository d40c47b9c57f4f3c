"""The examples in a file: one on every line, or one in every record.

``.txt`` and everything else is text, an example a line. ``.json`` and ``.jsonl`` hold texts, or records with texts in
a ``column``; ``.csv`` and ``.tsv`` have a first line of names, and a ``column`` of texts. A column may hold a list of
texts. What a file is by its name must be what is in it: brackets and commas are no examples.
"""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from energylang.errors import ElError
from energylang.files.storage import MAX_TEXT_BYTES, not_utf8, opened, read_text
from energylang.signature.coerce import suggestion

_TABLES = {".csv": ",", ".tsv": "\t"}


def suffix_of(path: Path) -> str:
    """The kind of a file by its name, whether compressed or not."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def examples(path: Path, name: str, column: str | None) -> list[str]:
    """The texts in a file that hold something, in their order. ``name`` is how the user calls the file.

    Raises ``ElError`` EL503 for a file that cannot be read, EL201 where a column is missing or wanted.
    """
    text = words_of(path, name).removeprefix("\ufeff")
    suffix = suffix_of(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        found = list(_of_items(_items(text, suffix, name), name, column))
    elif suffix in _TABLES:
        found = list(_of_items(_rows(text, _TABLES[suffix], name), name, column))
    elif column is not None:
        raise ElError(
            f"{name} is read line by line and has no column",
            code="EL201",
            hint="leave column= out, or name a .csv",
        )
    else:
        found = text.splitlines()
    kept = [item.strip() for item in found if item.strip()]
    if not kept:
        raise ElError(f"{name} holds no line to capture", code="EL503")
    return kept


def labelled(path: Path, name: str, column: str = "text", label: str = "label") -> list[tuple[str, str]]:
    """(text, label) pairs of a file: of a .json {label: [texts]}, or of records with fields ``column`` and ``label``.

    Raises ``ElError`` EL503, EL201 as ``examples`` does."""
    text = words_of(path, name).removeprefix("\ufeff")
    suffix = suffix_of(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        items = _items(text, suffix, name)
    elif suffix in _TABLES:
        items = _rows(text, _TABLES[suffix], name)
    else:
        raise ElError(
            f"{name} has no labels: a text file holds lines alone",
            code="EL201",
            hint='a .json such as {"glad": ["…"], "sad": ["…"]}, or a .csv with the fields text and label',
        )
    if len(items) == 1 and isinstance(items[0], dict) and all(isinstance(v, list) for v in items[0].values()):
        pairs = [(one, kind) for kind, texts in items[0].items() for one in texts]
    else:
        texts = list(_of_items(items, name, column))
        pairs = list(zip(texts, [str(item.get(label, "")) for item in items], strict=False))
    for one, kind in pairs:
        if not isinstance(one, str) or not one.strip() or not kind.strip():
            raise ElError(f"{name} holds a record without a text or a label", code="EL503")
    return pairs


def words_of(path: Path, name: str) -> str:
    """The text of a file. Raises ``ElError`` EL503 where it cannot be read."""
    try:
        if path.suffix.lower() == ".gz":
            return _unpacked(path)
        return read_text(path)
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise ElError(f"{name} is damaged, or not compressed by gzip: {error}", code="EL503") from None
    except OSError as error:
        raise ElError(f"cannot read {name}: {error.strerror}", code="EL503") from None
    except UnicodeDecodeError as error:
        what, way = not_utf8(error)
        raise ElError(f"{name} {what}", code="EL503", hint=way) from None


def _unpacked(path: Path) -> str:
    """The text in a file that was compressed by gzip, as far as any text may be long."""
    with opened(path) as file, gzip.GzipFile(fileobj=file) as inside:
        data = inside.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise OSError(errno.EFBIG, "what is compressed in it is too large")
    return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _items(text: str, suffix: str, name: str) -> list[Any]:
    """The items of a JSON file: of an array, or the one record; of a .jsonl file one a line."""
    try:
        if suffix != ".json":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ElError(
            f"{name} is not JSON{where}", code="EL503", hint="a .txt file is read line by line"
        ) from None
    return found if isinstance(found, list) else [found]


def _rows(text: str, between: str, name: str) -> list[Any]:
    try:
        return list(csv.DictReader(io.StringIO(text), delimiter=between))
    except csv.Error as error:
        raise ElError(f"{name} is no table: {error}", code="EL503") from None


def _of_items(items: list[Any], name: str, column: str | None) -> Iterator[str]:
    for item in items:
        if isinstance(item, str) and column is None:
            yield item
            continue
        if not isinstance(item, dict):
            raise ElError(
                f"{name} holds {_kind(item)} where a text{'' if column is None else ' in a record'} is expected",
                code="EL503",
                hint="an array of texts, or of records with column= naming the field",
            )
        names = [key for key in item if isinstance(key, str)]
        if column is None:
            raise ElError(
                f"{name} holds records: which field is the text?",
                code="EL201",
                hint=f"add column={json.dumps(names[0]) if names else '...'}; there are {', '.join(names[:8])}",
            )
        if column not in item:
            raise ElError(
                f"{name} has a record without `{column}`",
                code="EL201",
                hint=suggestion(column, names) or f"there are {', '.join(names[:8])}",
            )
        held = item[column]
        for one in held if isinstance(held, list) else [held]:
            if not isinstance(one, str):
                raise ElError(f"`{column}` in {name} holds {_kind(one)}, not a text", code="EL503")
            yield one


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a record",
        str: "a text",
    }
    return names.get(type(value), "something else")

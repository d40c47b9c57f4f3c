"""Tables in files: CSV, TSV, JSON, JSON lines, text lines, LaTeX, Markdown, Parquet.

Read is UTF-8 with or without a byte order mark, with any line ends, also compressed (``x.csv.gz``). What a column of
text holds is what all its cells are: whole numbers, numbers, true and false, or else texts; a cell without anything is
``None`` where the rest are numbers. Written are plain line ends and no byte order mark. A text that a spreadsheet
would take for a formula gets a quote before it, which is taken away when it is read again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energylang.errors import ElError
from energylang.results import Record, Table
from energylang.results.table import cell, said

from .examples import suffix_of, words_of

WRITTEN = (".csv", ".tsv", ".json", ".jsonl", ".tex", ".md", ".parquet", ".txt")
READ = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")
MOST_CELLS = 1_000_000
_INT = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_MISSING = frozenset(("", "nan", "NaN", "NA", "none", "null"))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"}}  # fmt: skip


# --------------------------------------------------------------------------------------------- reading


def read_table(path: Path, name: str) -> Table:
    """The table in a file. ``name`` is how the user calls it. Raises ``ElError`` EL503."""
    suffix = suffix_of(path)
    if suffix not in READ:
        raise ElError(f"{name} is no file of a kind that is read", code="EL503",
                      hint=f"the kinds are {', '.join(READ)}, each also compressed (.gz)")  # fmt: skip
    text = words_of(path, name).removeprefix("\ufeff")
    if suffix in (".csv", ".tsv"):
        found = _of_lines(text, "," if suffix == ".csv" else "\t", name)
    elif suffix == ".txt":
        found = Table(("text",), tuple((line.strip(),) for line in text.split("\n") if line.strip()))
    else:
        found = _of_json(text, suffix, name)
    if len(found.rows) * max(1, len(found.columns)) > MOST_CELLS:
        raise ElError(f"{name} is too large: a table holds at most {MOST_CELLS:,} cells", code="EL503")
    return found


def _of_lines(text: str, between: str, name: str) -> Table:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    try:
        for row in reader:
            if not row:
                continue
            if rows and len(row) > len(rows[0]):
                raise ElError(
                    f"line {reader.line_num} of {name} has {len(row)} cells, and the first line "
                    f"names {len(rows[0])} columns",
                    code="EL503", hint='a text that holds the separator stands in quotes: "a, b"',
                )  # fmt: skip
            rows.append(row + [""] * (len(rows[0]) - len(row)) if rows else row)
    except csv.Error as error:
        raise ElError(f"{name} is no table: {error}", code="EL503") from None
    if not rows:
        raise ElError(f"{name} is empty", code="EL503", hint="the first line names the columns")
    columns = tuple(title.strip() for title in rows[0])
    twice = next((title for title in columns if columns.count(title) > 1 or not title), None)
    if twice is not None:
        what = f"has two columns called `{twice}`" if twice else "has a column without a name"
        raise ElError(f"{name} {what}", code="EL503", hint="the first line names the columns")
    cells = [_typed([row[place] for row in rows[1:]]) for place in range(len(columns))]
    return Table(columns, tuple(zip(*cells, strict=True)))


def _typed(cells: Sequence[str]) -> list[Any]:
    """The cells of a column as what all of them are."""
    full = [text.strip() for text in cells if text.strip() not in _MISSING]
    kinds: list[tuple[Callable[[str], bool], Callable[[str], Any]]] = [
        (lambda text: _INT.fullmatch(text) is not None, int),
        (lambda text: _FLOAT.fullmatch(text) is not None and math.isfinite(float(text)), float),
        (lambda text: text.lower() in ("true", "false"), lambda text: text.lower() == "true"),
    ]
    for fits, made in kinds:
        if full and all(map(fits, full)):
            return [None if text.strip() in _MISSING else made(text.strip()) for text in cells]
    return [text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text for text in cells]


def _of_json(text: str, suffix: str, name: str) -> Table:
    try:
        if suffix == ".json":
            found = json.loads(text, parse_constant=_no_number)
        else:
            found = [json.loads(line, parse_constant=_no_number) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        where = (
            f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) and suffix == ".json" else ""
        )
        raise ElError(
            f"{name} is not JSON{where}", code="EL503", hint="a .txt file is read line by line"
        ) from None
    items = found if isinstance(found, list) else [found]
    if all(isinstance(item, str) for item in items):
        return Table(("text",), tuple((item,) for item in items))
    if not all(isinstance(item, dict) for item in items):
        raise ElError(f"{name} holds something that is no record", code="EL503",
                      hint='an array of records, such as [{"text": "…", "label": "glad"}]')  # fmt: skip
    columns = tuple(dict.fromkeys(key for item in items for key in item))
    cells = [_alike([item.get(key) for item in items]) for key in columns]
    return Table(columns, tuple(zip(*cells, strict=True)))


def _no_number(word: str) -> None:
    """NaN and Infinity, which JSON does not have."""


def _alike(cells: list[Any]) -> list[Any]:
    """The cells of a column, as they are where they are of one kind, and else as texts."""
    kinds = {_kind(item) for item in cells} - {"none"}
    if len(kinds) > 1 and all(kind.startswith("list") for kind in kinds):
        kinds -= {"list"}
    if (len(kinds) > 1 or "mixed list" in kinds) and not kinds <= {"int", "float"}:
        return [
            item if isinstance(item, str) or item is None else json.dumps(item, ensure_ascii=False)
            for item in cells
        ]
    return [_value(item) for item in cells]


def _kind(item: Any) -> str:
    if item is None:
        return "none"
    if isinstance(item, list):
        inside = {_kind(part) for part in item} - {"none"}
        if inside <= {"int", "float"}:
            return "list of numbers" if inside else "list"
        return f"list of {inside.pop()}" if len(inside) == 1 else "mixed list"
    if isinstance(item, dict):
        return "record of " + ", ".join(f"{key}: {_kind(part)}" for key, part in sorted(item.items()))
    if isinstance(item, int) and not isinstance(item, bool) and abs(item) >= 10**18:
        return "float"
    return type(item).__name__


def _value(item: Any) -> Any:
    if isinstance(item, list):
        return [_value(part) for part in item]
    if isinstance(item, dict):
        return Record({key: _value(part) for key, part in item.items()})
    if isinstance(item, int) and not isinstance(item, bool) and abs(item) >= 10**18:
        return float(item) if abs(item) < 10**300 else None
    return item


# --------------------------------------------------------------------------------------------- writing


def encoded(table: Table, path: Path) -> bytes:
    """A table as a file of this name holds it. Raises ``ElError`` EL504, ``ImportError`` where pyarrow is missing."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(table)
    plain = [[cell(item) for item in row] for row in table.rows]
    records = [dict(zip(table.columns, row, strict=True)) for row in plain]
    if suffix in (".csv", ".tsv"):
        return _lines([table.columns, *plain], "," if suffix == ".csv" else "\t").encode()
    if suffix == ".json":
        return (json.dumps(_finite(records), ensure_ascii=False, indent=1) + "\n").encode()
    if suffix in (".jsonl", ".ndjson"):
        return "".join(json.dumps(_finite(row), ensure_ascii=False) + "\n" for row in records).encode()
    if suffix == ".tex":
        return _latex(table).encode()
    if suffix == ".md":
        return _markdown(table).encode()
    if suffix == ".txt":
        return f"{table}\n".encode()
    raise ElError(f"a table cannot be written to {path.name}", code="EL504",
                  hint=f"end the path in {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}")  # fmt: skip


def _lines(rows: Iterable[Sequence[Any]], between: str) -> str:
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=between, lineterminator="\n")
    for row in rows:
        writer.writerow([_plain_cell(item) for item in row])
    return target.getvalue()


def _plain_cell(item: Any) -> str:
    if item is None:
        return ""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return f"'{item}" if item.startswith(_FORMULA) else item
    if isinstance(item, list | dict):
        return json.dumps(_finite(item), ensure_ascii=False)
    return repr(item)


def _finite(item: Any) -> Any:
    """Plain data without infinity, which JSON does not have."""
    if isinstance(item, float) and not math.isfinite(item):
        return None
    if isinstance(item, list):
        return [_finite(part) for part in item]
    return {key: _finite(part) for key, part in item.items()} if isinstance(item, Mapping) else item


def numeric(table: Table, column: str) -> bool:
    """Does a column hold numbers, and nothing but numbers?"""
    full = [item for item in table.column(column) if item is not None]
    return bool(full) and all(isinstance(item, int | float) and not isinstance(item, bool) for item in full)


def _latex(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return " & ".join("".join(_TEX.get(sign, sign) for sign in text) for text in cells) + r" \\"

    places = "".join("r" if numeric(table, name) else "l" for name in table.columns)
    return "\n".join([
        rf"\begin{{tabular}}{{{places}}}", r"\hline", line(table.columns), r"\hline",
        *(line("--" if item is None else said(item) for item in row) for row in table.rows),
        r"\hline", r"\end{tabular}", "",
    ])  # fmt: skip


def _markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"

    marks = ["---:" if numeric(table, name) else "---" for name in table.columns]
    return "\n".join([line(table.columns), line(marks), *(line(map(said, row)) for row in table.rows), ""])


def _parquet(table: Table) -> bytes:
    import pyarrow
    import pyarrow.parquet

    columns = {name: [cell(item) for item in table.column(name)] for name in table.columns}
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), target)
    return target.getvalue()

"""Data: examples out of files."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

from .concept import ANY_LAYER, DIRECTION

capture_file = Op(
    "capture-file",
    summary="Add every example in a file to a concept: a line of text, or a field of a record.",
    details="A .json, .jsonl, .csv or .tsv file holds records (or texts, in JSON): column= names the field. "
    "The examples are read in one pass.",
    params=(
        ANY_LAYER,
        Param("concept", t.CONCEPT, "the concept's name"),
        Param("path", t.PATH, "a text file with an example on every line, or a file of records"),
        Param(
            "position",
            t.TEXT,
            "where the state is read: decision, last, mean, a token, or tokens such as 3..7",
            None,
            keyword_only=True,
        ),
        Param("column", t.TEXT, "the field of a record that holds the text", None, keyword_only=True),
        Param("contrast", t.TEXT, "the field that holds what is not the concept", None, keyword_only=True),
        DIRECTION,
    ),
    effects=Effect.CHANGES | Effect.TEXT | Effect.FILES,
    flow=Flow(creates="concept", at="layer"),
    result=results.ConceptInfo,
    examples=(
        Example(
            'capture L3 a "Thank you"\ncapture L3 a "You are kind"\nexport-concept a "a.json"\n'
            'capture-file L3 b "a.json" column="texts" position="mean"',
            'it.samples == 2 and it.texts[1] == "You are kind" and it.position == "mean"',
            on="tiny",
        ),
    ),
)
read = Op(
    "read",
    summary="Read a table out of a file: .csv, .tsv, .json, .jsonl, or .txt with a row for every line.",
    details='The table is a list of records: `for r in read "x.csv":` goes through its rows, `r.name` is a '
    "field, `t.name` a column. A column is of the type that fits all its cells: whole numbers, "
    "numbers, true and false, or texts. An empty cell is none. The lines of a .txt are the column "
    "`text`. Files are UTF-8, with or without a byte order mark, and may be compressed (.csv.gz). The"
    " checker looks into the file, too.",
    params=(Param("path", t.PATH, "the file to read"),),
    effects=Effect.FILES | Effect.ALWAYS,
    result=results.Table,
    examples=(
        Example(
            'write [{strength: 0.1, ok: true}, {strength: 0.2, ok: false}] "sweep.csv"\nread "sweep.csv"',
            "it.count == 2 and it[1].strength == 0.2 and not it.ok[1] and mean(it.strength) > 0.1",
        ),
    ),
)

write = Op(
    "write",
    summary="Write a table, a result or a text into a file: .csv, .tsv, .json, .jsonl, .tex, .md, .parquet or .txt.",
    details="A result is written as its table (`.table`): a survey's basins, a history's entries, or its own "
    "numbers in one row. The file is written whole or not at all. In .csv, a text that a spreadsheet "
    "would take for a formula gets a quote before it. .parquet needs pyarrow.",
    params=(
        Param("data", t.DATA, "a table, a list of records, a result, or a text"),
        Param("path", t.PATH, "the file to write"),
    ),
    effects=Effect.FILES | Effect.ALWAYS,
    result=results.Written,
    examples=(
        Example('write (survey L0) "basins.csv"', "it.rows > 3 and it.columns > 5"),
        Example(
            'let t = table\nrow t layer=L0 share=0.25\nwrite t "table.tex"',
            "it.rows == 1 and it.columns == 2",
        ),
    ),
)

plot = Op(
    "plot",
    summary="Draw two columns of a table against each other, here or into a file.",
    details="x= may hold numbers or names (layers, texts); y= holds numbers. by= makes a line for each of its values. "
    "save= writes .svg, .png or .pdf (matplotlib) or .html (plotly); without it the plot is drawn in the terminal.",
    params=(
        Param("data", t.DATA, "a table, a list of records, or a result"),
        Param("x", t.LABEL, "the column along the horizontal axis", keyword_only=True),
        Param("y", t.LABEL, "the column that is drawn", keyword_only=True),
        Param("by", t.LABEL, "the column whose values are the lines", None, keyword_only=True),
        Param("save", t.PATH, "a file to draw into: .svg, .png, .pdf or .html", None, keyword_only=True),
    ),
    effects=Effect.FILES | Effect.ALWAYS,
    result=results.Plot,
    examples=(
        Example(
            'let t = table\nfor s in [0.1, 0.2, 0.4]:\n    row t strength=s size=s ** 2 kind="square"\n'
            "plot t x=strength y=size by=kind",
            'it.lines[0].name == "square" and it.lines[0].y[2] < 0.2',
        ),
    ),
)

"""Well-typed scripts made at random (and, here and there, ones that are not), for the soundness of the checker.

Every expression is made for a type that is asked for. Now and then another type is put in its place, an argument is
left out, or a layer is named that does not exist: the checker must notice, or the script must run all the same.
Basins are removed and brought back in every way there is, so that what the checker says about uses after a removal
is put to the test, too. Models with fewer layers are loaded while layers are kept in variables, parameters have
types or none, lists grow from `[]`, and fields that may be none are used behind a test, and now and then without
one. Records, tables, functions, lists made of others, quiet blocks, files that are written and read, and operations
that are run once more are among them. Left out is what only the run can know: whole numbers from variables in
parameters with a range, or as layers.
"""

from __future__ import annotations

import re
from random import Random

TYPES = (
    "Int", "Float", "Bool", "Text", "Layer", "Basin", "Survey", "Verdict", "List[Int]", "List[Basin]", "List[Text]",
    "List[Layer]", "Record", "List[Record]", "Table",
)  # fmt: skip
MISSING = {"coverage": "Float", "at": "Int", "estimate": "Int", "until_reached": "Bool"}
"""Fields of a survey that may be none."""
PARAMETERS = ("Int", "Float", "Bool", "Text", "Layer", "Basin", "Table", "Record")
COLUMNS = {"a": "Int", "b": "Float", "c": "Text", "l": "Layer"}
"""The fields of every record, and the columns of every table. Now and then a row leaves some of them out: such a
table is no longer a ``Table`` here, because what is in it may be none."""


class Writer:
    """Writes one script. ``wild`` is how often something does not fit."""

    def __init__(self, random: Random, wild: float) -> None:
        self.random = random
        self.wild = wild
        self.scopes: list[dict[str, str]] = [{}]
        self.procedures: list[tuple[str, list[str], str]] = []
        self.names = 0
        self.models = ("random:16", "planted:16x2")
        self.locked: set[str] = set()

    def script(self) -> str:
        self.models = self.random.choice(
            [("random:16", "planted:16x2"), ("random:16x2", "random:8x2"), ("random:16x2", "random:16")]
        )
        lines = [f"load {self.pick(*self.models)}", "set inits 20"]
        if self.random.random() < 0.9:
            lines += ["survey-all"]
        if self.random.random() < 0.9:
            lines += ["checkpoint start", "checkpoint other"]
        if self.random.random() < 0.05:
            lines = lines[1:]
        for _ in range(self.random.randrange(3)):
            lines += self.procedure()
        for _ in range(self.random.randrange(3, 10)):
            lines += self.statement(2)
        return "\n".join(lines) + "\n"

    def two_layers(self) -> bool:
        """Now and then, with models of which the first has two."""
        return self.models[0] == "random:16x2" and self.random.random() < 0.1

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def new(self, kind: str) -> str:
        self.names += 1
        name = f"{self.pick('x', 'some-name', 'v')}{self.names}"
        self.scopes[-1][name] = kind
        return name

    def known(self, kind: str) -> list[str]:
        return [name for scope in self.scopes for name, type in scope.items() if type == kind]

    # -- statements --------------------------------------------------------------------------------

    def procedure(self) -> list[str]:
        kinds = [self.pick(*PARAMETERS) for _ in range(self.random.randrange(3))]
        result = self.pick(*TYPES)
        outer, self.scopes = self.scopes, [self.scopes[0], {}]
        name = f"do-it-{len(self.procedures)}"
        head = ", ".join(self.new(kind) + self.pick(f": {kind}", f": {kind}", "") for kind in kinds)
        body = [line for _ in range(self.random.randrange(3)) for line in self.statement(1)]
        if self.random.random() < 0.3:
            body += [f"if {self.value('Bool', 1)}:", f"    return {self.value(result, 1)}"]
        body += [f"return {self.value(result, 1)}"]
        self.scopes = outer
        self.procedures.append((name, kinds, result))
        return [f"def {name}({head}):", *(f"    {line}" for line in body)]

    def block(self, depth: int, **variables: str) -> list[str]:
        self.scopes.append(dict(variables))
        lines = [line for _ in range(self.random.randrange(1, 4)) for line in self.statement(depth - 1)]
        self.scopes.pop()
        return [f"    {line}" for line in lines]

    def statement(self, depth: int) -> list[str]:
        if self.random.random() < 0.12:
            return self.newer(depth)
        form = self.random.randrange(20 if depth > 0 else 12)
        if form >= 16:
            return self.scope(form, depth)
        if form == 0 and self.random.random() < 0.3:
            return self.missing(depth)
        if form == 1 and self.random.random() < 0.2:
            text, self.names = f"m{self.names}", self.names + 1
            return [f'let {text} = "{self.pick(*self.models)}"', f'load "{{{text}}}"']
        if form <= 2:
            kind = self.pick(*TYPES)
            value = self.value(kind, 2)
            return [f"let {self.new(kind)} = {value}"]
        if form <= 4:
            kind = self.pick("Int", "Float", "Float", "Text", "Bool", "Basin")
            names = [name for name in self.known(kind) if name not in self.locked]
            if names:
                return [f"{self.random.choice(names)} = {self.value(kind, 2)}"]
        if form <= 5:
            return [f"print {self.value(self.pick(*TYPES), 2)}"]
        if form == 6:
            return [f'require {self.value("Bool", 2)} or true, "no"']
        if form <= 11:
            return [self.operation()]
        if form == 12:
            lines = [f"if {self.value('Bool', 2)}:", *self.block(depth)]
            if self.random.random() < 0.4:
                lines += [f"elif {self.value('Bool', 1)}:", *self.block(depth)]
            if self.random.random() < 0.5:
                lines += ["else:", *self.block(depth)]
            return lines
        self.names += 1
        name = f"item{self.names}"
        items, kind = self.random.choice(
            [("0..2", "Int"), ("layers", "Layer"), ("[L0]", "Layer"), ("[0.5, 2]", "Float")]
            + [(name, "Basin") for name in self.known("List[Basin]")]
            + [(name, "Int") for name in self.known("List[Int]")]
            + [(name, "Layer") for name in self.known("List[Layer]")]
            + [(name, "Record") for name in self.known("Table") + self.known("List[Record]")]
            + [(f"({self.value('Table', 1)})", "Record"), (self.value("List[Text]", 1), "Text")]
        )
        self.locked.add(name)
        return [f"for {name} in {items}:", *self.block(depth, **{name: kind})]

    def newer(self, depth: int) -> list[str]:
        """Tables, records, what is quiet, and loops that take their items apart."""
        form = self.random.randrange(11)
        if form == 0:
            kind = self.pick("Int", "Float", "Record")
            value = self.value(kind, 1)
            return ["quiet:", f"    let {self.new(kind)} = {value}", f"    {self.operation()}"]
        if form <= 3:
            tables = [name for name in self.known("Table") if name not in self.locked]
            if not tables and form < 3:
                cells = self.cells()
                name = self.new("Table")
                return [f"let {name} = table", f"row {name} {cells}"]
            if not tables:
                value = self.value("Table", 1)
                return [f"let {self.new('Table')} = {value}"]
            return [f"row {self.random.choice(tables)} {self.cells()}"]
        if form == 4:
            table, self.names = f"some{self.names}", self.names + 1
            cells = self.random.sample(["p=1", "q=0.5", "r=L0", 's="x"', f"t={self.value('Int', 1)}"], 2)
            lines = [f"let {table} = table", f"row {table} {cells[0]}", f"row {table} {cells[1]} {cells[0]}"]
            name = cells[1][0]
            if self.random.random() < self.wild * 5:
                return [
                    *lines,
                    f"for it in {table}: print {self.pick(f'it.{name} + 1', f'it.{name}.upper()', 'it.u')}",
                ]
            return [
                *lines,
                f"for it in {table}:",
                f"    if it.{name} != none:",
                f"        print [it.{name}] + [it.{name}]",
                f"print [x for x in {table}.{name} if x != none]",
                f"print len({table})",
            ]
        if form == 5:
            self.names += 1
            first, second = f"one{self.names}", f"two{self.names}"
            kinds = self.pick("List[Int]", "List[Text]"), self.pick("List[Int]", "List[Layer]")
            lists = [self.value(kind, 1) for kind in kinds]
            items = {first: kinds[0][5:-1], second: kinds[1][5:-1]}
            self.locked |= {first, second}
            return [
                f"for {first}, {second} in zip({lists[0]}, {lists[1]}):",
                *self.block(max(depth, 1), **items),
            ]
        if form == 6:
            path = f"{self.pick('x', 'y')}.{self.pick('csv', 'json')}"
            what = self.value(self.pick("Table", "List[Record]", "Survey"), 1)
            if "[]" in what:
                return ["pass"]
            lines = [f'write ({what}) "{path}"']
            fields = self.random.random() < 0.7 and "survey" not in what and not what.isidentifier()
            if fields and not re.match(r"[xv\w-]+$", what):
                return [*lines, f'for it in read "{path}":', '    print "{it}"']
            return lines
        if form >= 9:
            return self.sweep(depth, rows=form == 9)
        if form == 7:
            axes = f"x={self.pick('a', 'c', 'l')} y={self.pick('a', 'b')} by={self.pick('c', 'l')}"
            return [f"plot ({self.value('Table', 1)}) {axes}"]
        return [f"again {self.random.randrange(1, 5)}"]

    def sweep(self, depth: int, *, rows: bool) -> list[str]:
        """A sweep; what its cells make ends with them, and what they give is a table."""
        first, second, self.names = f"one{self.names}", f"two{self.names}", self.names + 1
        self.locked |= {first, second}
        outside = {name for kind in (*TYPES, "Table") for name in self.known(kind)}
        held, self.locked = (
            self.locked,
            self.locked | (set() if self.random.random() < self.wild else outside),
        )
        body = self.block(max(depth, 1), **{first: "Int", second: "Layer"})
        self.locked = held
        end = (
            f"    row {self.cells()}"
            if rows
            else f"    {self.value(self.pick('Int', 'Record', 'Survey'), 1)}"
        )
        head = f"sweep {first} in 0..1, {second} in {self.pick('layers', '[L0]')}:"
        return [f"let {self.new('Table')} = {head}" if rows else head, *body, end]

    def cells(self) -> str:
        return " ".join(f"{name}={self.value(kind, 1)}" for name, kind in COLUMNS.items())

    def missing(self, depth: int) -> list[str]:
        """A value that may be none, and what can be done with it."""
        field = self.pick(*MISSING)
        self.names += 1
        name = f"perhaps{self.names}"
        let = f"let {name} = {self.value('Survey', 0)}.{field}"
        if self.random.random() < self.wild * 5:
            return [
                let,
                f"print {self.pick(f'{name} + 1', f'not {name}', f'-{name}', f'[1][{name}]', f'{name} and true')}",
            ]
        lines = [let, f'print "{{{name}}} {{{name} == none}}"']
        test = self.pick(f"{name} != none", f"not {name} == none", f"{name} != none and true")
        self.locked.add(name)
        used = self.block(depth, **{name: MISSING[field]}) if depth > 0 else []
        lines += [f"if {test}:", *used, f"    print {'not ' if MISSING[field] == 'Bool' else '-'}{name}"]
        if self.random.random() < 0.3:
            lines += [f"{name} = {self.value(MISSING[field], 1)}"]
        return lines

    def scope(self, form: int, depth: int) -> list[str]:
        """A block that is undone, wholly or in part."""
        if form <= 17:
            fails = ["    require false"] if self.random.random() < 0.3 else []
            if self.random.random() < 0.3:
                fails = [f"    require {self.value('Bool', 1)}"]
            lines = ["attempt:", *self.block(depth), *fails]
            if self.random.random() < 0.6:
                lines += ["else:", *self.block(depth, error="Text")]
            return lines
        command = self.pick(
            "set beta 2.5",
            f"remove L0.B{self.random.randrange(8)}",
            "restore-all",
            f"inject L0 {self.random.randrange(9)}",
        )
        return [f"with {command}:", *self.block(depth)]

    def target(self) -> str:
        if self.random.random() < self.wild:
            return self.pick("polite", "@polite")
        return self.value("Basin", 0)

    def travel(self) -> str:
        return self.pick(
            "undo", "undo", "undo 2", "redo", "redo 2", "undo L0", "checkpoint start", "checkpoint other",
            "rollback start", "rollback other", "goto 0", "goto 2", "history tree", "restore L0",
        )  # fmt: skip

    def operation(self) -> str:
        layer, seed = self.value("Layer", 0), self.random.randrange(5)
        if self.random.random() < self.wild:
            layer = self.pick("L1", "L7", '"L0"', "layers", "1.5", "")
        form = self.random.randrange(20)
        if form >= 18:
            return self.travel()
        if form >= 16:
            return self.pick(
                f"remove L0.B{self.random.randrange(10)}",
                f"verify L0.B{self.random.randrange(10)}",
                f"survey {layer}",
            )
        if form == 0 and self.procedures:
            return self.call(self.random.choice(self.procedures))
        return [
            f"survey {layer} inits=10 seed={seed}",
            f"inject {layer} seed {seed} strength={self.pick('0.05', 'auto', '5%')}",
            f"inject {layer} {seed}",
            f"remove {self.value('Basin', 1)}",
            f"verify {layer} seed={seed}",
            f"energy {self.value('Basin', 1)}",
            f"diff {layer}",
            f"apply {self.pick('layers', '[L0]', layer)}",
            f"restore {layer}",
            self.pick(
                "undo", "redo", "history", "status", "info", "restore-all", "concepts", "survey-all inits=5"
            ),
            f"set {self.pick('inits 10', 'seed 3', 'beta 2.5', 'beta auto', 'dtype float64', 'eps 1%')}",
            f"load {self.pick(*self.models)}",
            f'inject {layer} {seed} --force --reason "because"',
            f"verify {layer} {self.target()}",
            self.pick('generate "Hello"', "capture L0 polite Hello", "concepts")
            if self.random.random() < self.wild
            else "info",
            self.pick("survey", "status 3", "undo 1 2", "survey L0 init=3")
            if self.random.random() < self.wild
            else "status",
        ][form]

    # -- expressions -------------------------------------------------------------------------------

    def call(self, procedure: tuple[str, list[str], str]) -> str:
        name, kinds, _ = procedure
        return " ".join([name, *(f"({self.value(kind, 0)})" for kind in kinds)])

    def value(self, kind: str, depth: int) -> str:
        if self.random.random() < self.wild:
            kind = self.pick(*TYPES)
        choices = [*self.known(kind)] * 2
        if depth > 0:
            choices += [f"({self.call(item)})" for item in self.procedures if item[2] == kind]
        return self.random.choice([*choices, *self.made(kind, depth)])

    def made(self, kind: str, depth: int) -> list[str]:
        deeper = depth > 0

        def of(kind: str) -> str:
            return self.value(kind, depth - 1)

        if kind == "Int" and deeper:
            return [
                f"({of('Int')} {self.pick('+', '-', '*', '%')} {of('Int')})",
                f"{of('List[Int]')}.count",
                f"({of('List[Int]')})[0]",
                f"{of('Survey')}.num_basins",
                f"{of('Basin')}.id",
                f"{of('Survey')}.basins[0].population",
                f"len({of(self.pick('List[Int]', 'Table', 'Text', 'List[Layer]', 'Record'))})",
                f"{self.pick('sum', 'min', 'max')}([{of('Int')}] + {of('List[Int]')})",
                f"{self.pick('min', 'max')}({of('Int')}, {of('Int')})",
                f"round({of('Float')})",
                f"abs({of('Int')})",
                f"({of('Int')} ** {self.pick('2', '3', '0')})",
                f"({of('Record')}).a",
                f"({of('Table')})[0].a",
                f"sum(({of('Table')}).a)",
            ]
        if kind == "Float" and deeper:
            return [
                f"({of('Float')} {self.pick('+', '-', '*', '/')} {of('Int')})",
                f"{of('Survey')}.usage_entropy_nats",
                f"-({of('Float')})",
                f"{of('Verdict')}.cosine",
                f"({of('Int')} / {of('Int')})",
                f"{self.pick('sqrt', 'log', 'exp')}(min(abs({of('Float')}) + {self.pick('1', '0')}, 500))",
                f"mean({of('List[Int]')} + [2])",
                f"round({of('Float')}, {self.pick('2', '-1', of('Int'))})",
                f"({of('Float')} ** {of('Int')})",
                f"({of('Record')}).b",
                f"max({of('Float')}, {of('Int')})",
                f"mean(({of('Table')}).b)",
            ]
        if kind == "Bool" and deeper:
            return [
                f"({of('Int')} {self.pick('<', '<=', '==', '!=')} {of('Float')})",
                f"(not {of('Bool')})",
                f"({of('Bool')} {self.pick('and', 'or')} {of('Bool')})",
                f"({of('Text')} == {of('Text')})",
                f"({of('Int')} < {of('Int')} < {of('Int')})",
                f"{of('Verdict')}.is_basin",
                f"{of('Survey')}.symmetric",
                f"({of('Int')} in {of('List[Int]')})",
                f"({of('Text')} not in {of('List[Text]')})",
                f"({of('Text')} in {of('Text')})",
                f"(std({of('List[Int]')}) != none)",
            ]
        if kind == "Text" and deeper:
            return [
                '"{' + self.simple("Int") + ":03d} and {" + self.simple("Float") + ':.2f}"',
                '"{' + self.simple(self.pick(*TYPES)) + '}"',
                f"({of('Text')} + {of('Text')})",
                f"{of('Verdict')}.target",
                f"({of('Text')}).{self.pick('upper()', 'lower()', 'strip()')}",
                f'", ".join({of("List[Text]")})',
                f'({of("Text")}).replace("a", {of("Text")})',
                f"({of('Record')}).c",
                '"{' + self.simple("Bool") + ":>6} {" + self.simple("Int") + ':8.3f}"',
                f"({of('Table')})[-1].c",
            ]
        if kind == "Basin" and deeper:
            return [f"{of('Survey')}.basins[0]", f"({of('List[Basin]')})[-1]", "L0.B0", f"{of('Layer')}.B3"]
        if kind == "List[Int]" and deeper:
            return [
                f"[{of('Int')}, {of('Int')}]",
                f"({of('List[Int]')} + [1])",
                f"sorted({of('List[Int]')})",
                f"[q * 2 for q in {of('List[Int]')} if q > {of('Int')}]",
                f"[q.num_basins for q in [{of('Survey')}]]",
                f"({of('Table')}).a",
            ]
        if kind == "Layer" and deeper:
            return [f"({of('Record')}).l", f"({of('List[Layer]')})[0]", "L0", f"({of('Table')})[0].l"]
        if kind == "List[Text]" and deeper:
            return [
                f"({of('Text')}).split()",
                f'["{{q}}" for q in {of("List[Int]")}]',
                f"[{of('Text')}, {of('Text')}]",
                f"({of('Table')}).columns",
                f"({of('Record')}).keys()",
            ]
        if kind == "List[Layer]" and deeper:
            return [
                "layers",
                f"[q for q in layers if {of('Bool')}]",
                f"[{of('Layer')}]",
                f"({of('Table')}).l",
            ]
        if kind == "Record" and deeper:
            cells = ", ".join(f"{name}: {of(kind)}" for name, kind in COLUMNS.items())
            return ["{" + cells + "}", f"({of('Table')})[0]", f"({of('List[Record]')})[-1]"]
        if kind == "List[Record]" and deeper:
            return [
                f"[{of('Record')}]",
                f"({of('Table')}).rows",
                f"[{of('Record')} for q in {of('List[Int]')}]",
            ]
        if kind == "Table" and deeper:
            return [
                f"table([{of('Record')}])",
                f"table({of('List[Record]')})",
                f'sorted({of("Table")}, by="a")',
            ]
        if kind == "Survey":
            return [f"(survey {self.value('Layer', 0)} inits=10)"]
        if kind == "Verdict":
            seed = self.random.randrange(5)
            return [f"(verify {self.value('Layer', 0)} seed {seed})", f"(verify {self.value('Basin', 0)})"]
        if kind == "List[Basin]":
            return [f"{self.value('Survey', 0)}.basins", "[L0.B0]"]
        return {
            "Int": ["0", "1", "4", "-2"],
            "Float": ["0.5", "2%", "1e2"],
            "Bool": ["true", "false"],
            "Text": ['"a text"', '""', r'"\u{3b2} \{\}"'],
            "Layer": ["L0", "layers[0]", "L1" if self.two_layers() else "L0"],
            "Basin": ["L0.B0", "L0.B1"],
            "List[Int]": ["[1, 2]", "(0..3)", "[]"],
            "List[Text]": ['["a", "b"]', "[]"],
            "List[Layer]": ["layers", "[L0]"],
            "Record": ['{a: 1, b: 0.5, c: "z", l: L0}', '{a: -3, b: 2, c: "", l: layers[0]}'],
            "List[Record]": ['[{a: 1, b: 0.5, c: "z", l: L0}]', '[{a: 4, b: 4, c: "y", l: layers[0]}]'],
            "Table": ['table({a: 1, b: 0.5, c: "z", l: L0})', 'table([{a: 2, b: 1, c: "q", l: layers[0]}])'],
        }[kind]

    def simple(self, kind: str) -> str:
        """A value that can stand inside of a text: without quotes."""
        value = self.value(kind, 1)
        return value if '"' not in value else "1" if kind == "Int" else "0.5"

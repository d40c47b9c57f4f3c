"""Scripts made at random, for property tests: anything that the grammar accepts, with blanks, comments,
brackets and line ends where they may be."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = ("x", "before-cut", "größe", "s_1", "in-between", "format", "L", "layers-x", "B3")
OPERATIONS = ("survey", "verify", "inject-concept", "status", "my-check")
RAW = ("Thank you so much", "a # b; c", 'it\'s (really) "fine"', "1..2 {x} = :", "let x = 1")
PLAIN = ("", "a", "two words", "# no comment", "β 🙂", r"\n\t\"\\", r"\u{3b2}\{\}", "(", "]")

names = st.sampled_from(NAMES)
blanks = st.sampled_from(("", " ", "  ", "\t"))
blank = st.sampled_from((" ", "  ", " \\\n "))
inside = st.sampled_from((" ", "\n", "  # a comment (\n  ", " \\\n"))


@st.composite
def atoms(draw: st.DrawFn) -> str:
    return draw(
        st.sampled_from(
            ("0", "42", "1.5", "2%", "1e3", ".5", "true", "false", "L3", "L0.B12", "layers", "@polite")
        )
        | names
        | texts(0)
    )


@st.composite
def texts(draw: st.DrawFn, depth: int) -> str:
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        if depth > 0 and draw(st.booleans()):
            expression = draw(expressions(depth - 1, quotes=False))
            parts.append("{" + expression + draw(st.sampled_from(("", ":.2f", ":>12"))) + "}")
        else:
            parts.append(draw(st.sampled_from(PLAIN)))
    return '"' + "".join(parts) + '"'


@st.composite
def expressions(draw: st.DrawFn, depth: int, *, quotes: bool = True) -> str:
    """An expression; without ``quotes`` it can stand inside of a text's braces (on one line)."""
    if depth <= 0:
        atom = draw(atoms())
        return atom if quotes or '"' not in atom else "y"
    gap = draw(inside) if quotes else " "

    def part() -> str:
        return draw(expressions(depth - 1, quotes=quotes))

    def operand() -> str:
        return f"({part()})" if draw(st.booleans()) else draw(names)

    form = draw(st.integers(0, 18))
    if form == 12:
        return f"{{{gap}a: {part()}, c: {part()}{gap}}}"
    if form == 13:
        return f"{draw(st.sampled_from(('sqrt', 'max', 'f', 'survey')))}({gap}{part()}, {part()}{gap})"
    if form == 14:
        return f"[{gap}{part()} for x in {part()} if {part()}{gap}]"
    if form == 15:
        return f"{operand()} ** {operand()} ** -{operand()}"
    if form == 16:
        word = draw(st.sampled_from(("in", "not in")))
        return f"({operand()}.upper().replace({part()}, {part()}) {word} {operand()})"
    if form == 17:
        return f"(verify {draw(st.sampled_from(('polite@L2', '@polite@L3')))} @{{{gap}{part()}{gap}}})"
    if form == 0:
        operator = draw(st.sampled_from(("+", "-", "*", "/", "%", "and", "or", "==", "<", ">=", "..")))
        return f"({gap}{operand()} {operator} {operand()}{gap})"
    if form == 1:
        return f"{operand()} + {operand()} * {operand()} - {operand()}"
    if form == 2:
        return f"{operand()} < {operand()} <= {operand()}"
    if form == 3:
        return f"not {operand()}"
    if form == 4:
        return f"-{operand()}"
    if form == 5:
        return f"{operand()}.{draw(st.sampled_from(('num_basins', 'if', 'B3')))}"
    if form == 6:
        return f"{operand()}[{part()}]"
    if form == 7:
        return f"[{gap}{part()}, {part()}{gap}]"
    if form == 8:
        return f"({draw(commands(depth - 1, quotes=quotes))})"
    if form == 9:
        return f"{operand()} and {operand()} or not {operand()}"
    if form == 10 and quotes:
        return draw(texts(depth))
    return f"(({part()}))"


@st.composite
def arguments(draw: st.DrawFn, depth: int, *, quotes: bool = True) -> str:
    if depth > 0 and draw(st.booleans()):
        return f"({draw(expressions(depth - 1, quotes=quotes))})"
    return draw(st.sampled_from(("L0", "L1.B2", "-3", "0..2", "5%", "polite", "@polite", "-.5", "[1, 2]")))


@st.composite
def commands(draw: st.DrawFn, depth: int, *, quotes: bool = True) -> str:
    words = [draw(st.sampled_from(OPERATIONS))]
    for _ in range(draw(st.integers(1, 3))):
        argument = draw(arguments(depth, quotes=quotes))
        words.append(
            argument if draw(st.booleans()) else f"{draw(st.sampled_from(('inits', 'max-x')))}={argument}"
        )
    if quotes and draw(st.integers(0, 4)) == 0:
        words.append('--force --reason "because"')
    return " ".join(words)


@st.composite
def simple(draw: st.DrawFn) -> tuple[str, bool]:
    """A simple statement, and whether it runs to the end of its line."""
    value = draw(expressions(draw(st.integers(0, 3))) | commands(2))
    name = draw(names)
    form = draw(st.integers(0, 12))
    if form == 10:
        table = draw(st.sampled_from((name + " ", "")))
        return f"row {table}a={draw(expressions(2))} c={draw(expressions(1))}", False
    if form == 11:
        lines = "".join(
            draw(st.lists(st.sampled_from(("\n", "  a # b\n", "\n   {x:>4} ", '"', "(")), max_size=4))
        )
        return f'let {name} = """{lines} """', False
    if form == 12:
        return f"capture L0 @{{{draw(names)}}} {draw(st.sampled_from(RAW))}", True
    if form == 0:
        return f"let {name} = {value}", False
    if form == 1:
        return f"{name} = {value}", False
    if form == 2:
        return f"print{draw(blank)}{value}", False
    if form == 3:
        return f"require {draw(expressions(2))}" + draw(st.sampled_from(("", ', "no"'))), False
    if form == 4:
        return f"capture L0 polite {draw(st.sampled_from(RAW))}", True
    if form == 5:
        return f"load {draw(st.sampled_from(('random:16', 'a/b-c.pt', 'tiny')))}", False
    if form == 6:
        return draw(st.sampled_from(("pass", "return", f"import {name}", f"return {value}"))), False
    return value, False


@st.composite
def blocks(draw: st.DrawFn, depth: int, indentation: str) -> str:
    """The lines of a block; each ends in a line end."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(("\n", "# a comment\n", "      # another\n"))))
        lines.append(indentation + draw(statements(depth, indentation)))
    return "".join(lines)


@st.composite
def statements(draw: st.DrawFn, depth: int, indentation: str) -> str:
    """A statement with the end of its line."""
    comment = draw(st.sampled_from(("", "", "  # c", " #")))
    form = draw(st.integers(0, 9 if depth > 0 else 3))
    if form <= 3:
        first, ends = draw(simple())
        while not ends and draw(st.integers(0, 4)) == 0:
            more, ends = draw(simple())
            first += f"{draw(blanks)};{draw(blanks)}{more}"
        return first + ("" if ends else draw(blanks) + comment) + "\n"

    def body() -> str:
        if draw(st.integers(0, 3)) == 0:
            line, ends = draw(simple())
            return f"{draw(blanks)}{line}" + ("" if ends else comment) + "\n"
        inner = indentation + draw(st.sampled_from((" ", "    ", "  ")))
        return f"{comment}\n{draw(blocks(depth - 1, inner))}"

    test = draw(expressions(1))
    if form == 4:
        text = f"if {test}:{body()}"
        if draw(st.booleans()):
            text += f"{indentation}elif {test}:{body()}"
        if draw(st.booleans()):
            text += f"{indentation}else:{body()}"
        return text
    if form == 5:
        return f"for {draw(names)} in {test}:{body()}"
    if form == 7:
        return f"quiet:{body()}"
    if form == 9:
        axes = ", ".join(f"{draw(names)} in {draw(expressions(1))}" for _ in range(draw(st.integers(1, 2))))
        return f"{draw(st.sampled_from(('', 'let x = ', 'x = ')))}sweep {axes}:{body()}"
    if form == 8:
        items = draw(st.sampled_from((test, "read x.csv ", "survey L0 inits=3")))
        return f"for {draw(names)}, {draw(names)} in {items}:{body()}"
    parameters = draw(st.sampled_from(("", "a", "l: Layer, ratio: Float = 2%", "x = (1 + 2), y: Int")))
    return f"def {draw(names)}({parameters}):{body()}"


programs = blocks(3, "")

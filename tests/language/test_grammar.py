"""What is written and what is read: one golden tree per construct, and spans that say where it stands."""

from __future__ import annotations

import pytest
from dump import dump, nodes
from hypothesis import HealthCheck, given, settings
from programs import programs

from energylang.checker import parser
from energylang.diagnostics.source import Source
from energylang.ops import TABLE
from energylang.syntax import ast
from energylang.syntax.build import WHOLE

GOLDEN = [
    (
        "command without arguments",
        """\
status
""",
        "(do <status>)",
    ),
    (
        "command with arguments and keywords",
        """\
survey L0 400 seed=7 radius=true
""",
        "(do <survey L0 400 seed=7 radius=true>)",
    ),
    (
        "command of a basin alone",
        """\
remove L2.B7
""",
        "(do <remove L2.B7>)",
    ),
    (
        "seed word and percent argument",
        """\
inject L0 seed 42 10%
""",
        "(do <inject L0 seed 42 0.1>)",
    ),
    (
        "negative argument",
        """\
survey L0 -3 seed=-1
""",
        "(do <survey L0 -3 seed=-1>)",
    ),
    (
        "a range is one argument",
        """\
audit 0..3 x
""",
        "(do <audit (0 .. 3) x>)",
    ),
    (
        "brackets make any expression an argument",
        """\
survey (l) inits=(2 * n)
""",
        "(do <survey l inits=(2 * n)>)",
    ),
    (
        "concept everywhere",
        """\
verify L0 @polite-tone
""",
        "(do <verify L0 @polite-tone>)",
    ),
    (
        "set",
        """\
set max_changed 2%
""",
        "(do <set max_changed 0.02>)",
    ),
    (
        "underscore in an operation's name",
        """\
inject_concept L2 polite strength=auto
""",
        "(do <inject_concept L2 polite strength=auto>)",
    ),
    (
        "unquoted text",
        """\
capture L2 polite Thank you so much
""",
        "(do <capture L2 polite raw‹Thank you so much›>)",
    ),
    (
        "unquoted text keeps # and ;",
        'capture L2 polite Thank you; #1 of "many" (really)   \n',
        '(do <capture L2 polite raw‹Thank you; #1 of "many" (really)›>)',
    ),
    (
        "unquoted text in one line of a block",
        """\
if true: generate Hello there; it is me
""",
        "(if true {(do <generate raw‹Hello there; it is me›>)})",
    ),
    (
        "quoted text and keywords behind it",
        """\
capture L2 polite "Thank you" contrast="Go away"  # a comment
""",
        "(do <capture L2 polite ‹Thank you› contrast=‹Go away›>)",
    ),
    (
        "keywords before unquoted text",
        """\
generate tokens=8 temp=0.5 Hello # there
""",
        "(do <generate raw‹Hello # there› tokens=8 temp=0.5>)",
    ),
    (
        "quoted text may be followed by a comment",
        """\
generate "Hello"# there
""",
        "(do <generate ‹Hello›>)",
    ),
    (
        "text operation in an expression",
        """\
let n = (generate "Hello" tokens=4).tokens
""",
        "(let n <generate ‹Hello› tokens=4>.tokens)",
    ),
    (
        "text operation unfinished",
        """\
capture L2 polite
""",
        "(do <capture L2 polite>)",
    ),
    (
        "text after an interpolation",
        """\
generate "Dear {name}, hello"
""",
        "(do <generate ‹Dear {name}, hello›>)",
    ),
    (
        "unquoted model names",
        """\
load random:256
load __random_256
load planted:256x20
load ./models/my-model.safetensors
load tiny # the bundled one
""",
        "(do <load word‹random:256›>) (do <load word‹__random_256›>) (do <load "
        "word‹planted:256x20›>) (do <load word‹./models/my-model.safetensors›>) (do <load "
        "word‹tiny›>)",
    ),
    (
        "unquoted path is one word",
        """\
save edited.safetensors; status
""",
        "(do <save word‹edited.safetensors›>) (do <status>)",
    ),
    (
        "quoted path",
        """\
load "a b.safetensors"
""",
        "(do <load ‹a b.safetensors›>)",
    ),
    (
        "legacy flags",
        """\
inject 0 42 0.1 --force --reason "because"
""",
        "(do <inject 0 42 0.1 force=true reason=‹because›>)",
    ),
    (
        "legacy commands",
        """\
survey 0
inject 0 42 0.1
capture 5 polite Thank you so much
""",
        "(do <survey 0>) (do <inject 0 42 0.1>) (do <capture 5 polite raw‹Thank you so much›>)",
    ),
    (
        "let and assignment",
        """\
let x = 1
x = x + 1
""",
        "(let x 1) (set x (x + 1))",
    ),
    (
        "let of a command",
        """\
let s = survey L3 inits=50
""",
        "(let s <survey L3 inits=50>)",
    ),
    (
        "a bare name stands alone",
        """\
s
s.num_basins
""",
        "(do <s>) (do s.num_basins)",
    ),
    (
        "print",
        """\
print survey L0
print (survey L0).num_basins
""",
        "(print <survey L0>) (print <survey L0>.num_basins)",
    ),
    (
        "require",
        """\
require s.num_basins > 3
require s.symmetric, "not {1 + 1}"
""",
        "(require (s.num_basins > 3)) (require s.symmetric else ‹not {(1 + 1)}›)",
    ),
    (
        "hyphenated names",
        """\
let before-cut = 3
before-cut = before-cut - 1
print before-cut-2
""",
        "(let before-cut 3) (set before-cut (before-cut - 1)) (print before-cut-2)",
    ),
    (
        "minus",
        """\
print a - b
print a -1
print 3 - -2
print -a - -(b)
print (-a).x
""",
        "(print (a - b)) (print <a -1>) (print (3 - -2)) (print ((- a) - (- b))) (print (- a).x)",
    ),
    (
        "precedence",
        """\
print 1 + 2 * 3 - 4 / 5 % 6
print (1 + 2) * 3
print not a and b or not c and d
print -2 * 3
""",
        "(print ((1 + (2 * 3)) - ((4 / 5) % 6))) (print ((1 + 2) * 3)) (print (((not a) and b) or "
        "((not c) and d))) (print (-2 * 3))",
    ),
    (
        "comparisons",
        """\
print a < b <= c
print not a == b
print a + 1 >= b * 2 and c != d
""",
        "(print (a < b <= c)) (print (not (a == b))) (print (((a + 1) >= (b * 2)) and (c != d)))",
    ),
    (
        "ranges",
        """\
print 0..3
for i in a .. b + 1:
    pass
print (0..n)[1]
""",
        "(print (0 .. 3)) (for i (a .. (b + 1)) {(pass)}) (print (0 .. n)[1])",
    ),
    (
        "numbers",
        """\
print 2%
print 12.5%
print 1e3
print 2.5e-3
print .5
print 7 % 2
""",
        "(print 0.02) (print 0.125) (print 1000.0) (print 0.0025) (print 0.5) (print (7 % 2))",
    ),
    (
        "names that begin like keywords",
        """\
print format
print lettuce
print not-yet
print layers-x
print in_
print bytes
""",
        "(print format) (print lettuce) (print not-yet) (print layers-x) (print in_) (print bytes)",
    ),
    (
        "fields that are keywords",
        """\
print s.in.if
""",
        "(print s.in.if)",
    ),
    (
        "references",
        """\
print L5
print L5.B3
print l.B3
print layers
print @polite
""",
        "(print L5) (print L5.B3) (print l.B3) (print layers) (print @polite)",
    ),
    (
        "lists",
        """\
print []
print [1, 2,]
print [
    1,   # one
    2
]
""",
        "(print []) (print [1 2]) (print [1 2])",
    ),
    (
        "indexing",
        """\
print a[0][-1].b[c.d]
""",
        "(print a[0][-1].b[c.d])",
    ),
    (
        "text escapes",
        r"""print "a\n\t\"\\\{\}\u{3b2}"
""",
        '(print ‹a⏎\t"\\{}β›)',
    ),
    (
        "holes and formats",
        """\
print "{s.num_basins} in {l}, {x:.2f} and {1 + 2:>5d}{y}"
""",
        "(print ‹{s.num_basins} in {l}, {x:.2f} and {(1 + 2):>5d}{y}›)",
    ),
    (
        "nested interpolation",
        """\
print "{(survey L0 inits=[1, 2][0]).num_basins:03d} {a[b[0]]} {(verify L0 @c).return_10:.0%}"
""",
        "(print ‹{<survey L0 inits=[1 2][0]>.num_basins:03d} {a[b[0]]} {<verify L0 @c>.return_10:.0%}›)",
    ),
    (
        "if, elif, else",
        """\
if a:
    pass
elif b:
    print 1
    print 2
else:
    print 3
""",
        "(if a {(pass)} b {(print 1) (print 2)} else {(print 3)})",
    ),
    (
        "if without else",
        """\
if a == 1:

    # a comment

    print 1

print 2
""",
        "(if (a == 1) {(print 1)}) (print 2)",
    ),
    (
        "for and nesting",
        """\
for l in layers:
    for b in (survey l).basins:
        if b.is_fixed_point:
            print b
    print l
""",
        "(for l layers {(for b <survey l>.basins {(if b.is_fixed_point {(print b)})}) (print l)})",
    ),
    (
        "def",
        """\
def polite-check(l: Layer, ratio: Float = 2%, what = @polite):
    return (survey l).num_basins
def nothing():
    return
""",
        "(def polite-check(l: Layer, ratio: Float = 0.02, what = @polite) {(return <survey "
        "l>.num_basins)}) (def nothing() {(return)})",
    ),
    (
        "call of a procedure",
        """\
polite-check L0 ratio=5%
print (polite-check L0)
""",
        "(do <polite-check L0 ratio=0.05>) (print <polite-check L0>)",
    ),
    (
        "import",
        """\
import audit
""",
        "(import audit)",
    ),
    (
        "one-line blocks",
        """\
if a: print 1; print 2
else: pass
for i in 0..2: print i
def f(): return 1
""",
        "(if a {(print 1) (print 2)} else {(pass)}) (for i (0 .. 2) {(print i)}) (def f() {(return 1)})",
    ),
    (
        "several statements on one line",
        """\
let a = 1; let b = 2; print a;
""",
        "(let a 1) (let b 2) (print a)",
    ),
    (
        "lines continue in brackets",
        """\
print (1 +
       2
  + 3)
survey L0 inits=(
  400)
""",
        "(print ((1 + 2) + 3)) (do <survey L0 inits=400>)",
    ),
    (
        "lines continue after a backslash",
        r"""print 1 \
      + 2
""",
        "(print (1 + 2))",
    ),
    (
        "comments everywhere",
        """\
# first
print 1 # behind
    # indented
if a: # behind a head
# in the first column
    print 2
        # deep
# last
""",
        "(print 1) (if a {(print 2)})",
    ),
    (
        "indentation may be anything",
        """\
if a:
  if b:
         print 1
  print 2
""",
        "(if a {(if b {(print 1)}) (print 2)})",
    ),
    (
        "CRLF",
        'let x = 1\r\nif x > 0:\r\n    print "a"\r\n    capture L0 p some text\r\nprint x\r\n',
        "(let x 1) (if (x > 0) {(print ‹a›) (do <capture L0 p raw‹some text›>)}) (print x)",
    ),
    ("empty file", "", ""),
    ("blank lines and comments only", "\n\n   \n# c\n   # d", ""),
    ("no final newline", "if a:\n    print 1", "(if a {(print 1)})"),
    ("no final newline after a comment", "print 1 # c", "(print 1)"),
    ("no final newline after unquoted text", "generate Hello", "(do <generate raw‹Hello›>)"),
    (
        "unicode",
        """\
let größe = "naïve {größe} 🙂"
""",
        "(let größe ‹naïve {größe} 🙂›)",
    ),
    (
        "record",
        'print {a: 1, "b c": [2]}.a\n',
        "(print {a: 1, b c: [2]}.a)",
    ),
    (
        "record over lines",
        "let r = {\n    a: 1,  # one\n    b: {c: 2},\n}\n",
        "(let r {a: 1, b: {c: 2}})",
    ),
    (
        "list made of another",
        "let xs = [x ** 2 for x in 0..3 if x != 2]\n",
        "(let xs [(x ** 2) for x in (0 .. 3) if (x != 2)])",
    ),
    (
        "functions and methods",
        'print max(1, x.y) + len("a".split(",")) - sorted(t, by="a")[0].a\n',
        "(print ((max(1, x.y) + len(.split(‹a›, ‹,›))) - sorted(t, by: ‹a›)[0].a))",
    ),
    (
        "operations written as calls",
        "print survey(L0, inits=50).num_basins\nsurvey(l)\n",
        "(print <survey L0 inits=50>.num_basins) (do <survey l>)",
    ),
    (
        "power binds tighter than minus and to the right",
        "print -2 ** 3 ** -x * 4\n",
        "(print ((- (2 ** (3 ** (- x)))) * 4))",
    ),
    (
        "in and not in",
        "if a in xs and b not in ys: pass\n",
        "(if ((a in xs) and (b not in ys)) {(pass)})",
    ),
    (
        "row of a table",
        "row t strength=s - 1 share=e.effect.share_after\nrow t r\nrow t {a: 1}\n",
        "(row t {strength: (s - 1), share: e.effect.share_after}) (row t r) (row t {a: 1})",
    ),
    (
        "row and quiet are names elsewhere",
        "for row in rows: print row\nlet quiet = row\n",
        "(for row rows {(print row)}) (let quiet row)",
    ),
    (
        "quiet",
        "quiet:\n    survey L0\nquiet: survey L1\n",
        "(quiet {(do <survey L0>)}) (quiet {(do <survey L1>)})",
    ),
    (
        "sweep",
        "sweep seed in 0..4, l in layers:\n    row a=seed\nlet t = sweep n in [1, 2]: n * n\n",
        "(do [sweep seed (0 .. 4) l layers {(row {a: seed})}]) (let t [sweep n [1 2] {(do (n * n))} end])",
    ),
    (
        "sweep is a name elsewhere; rows of a sweep in a sweep are of that one",
        "let sweep = 1\nsweep = sweep + 1\nt = sweep a in xs:\n    sweep b in ys: row {c: a}\n    f a\n",
        "(let sweep 1) (set sweep (sweep + 1)) "
        "(set t [sweep a xs {(do [sweep b ys {(row {c: a})}]) (do <f a>)} end])",
    ),
    (
        "two names in a loop",
        "for a, b in zip(xs, ys):\n    print a\n",
        "(for _item zip(xs, ys) {(let a _item#0/2) (let b _item#1/2) (print a)})",
    ),
    (
        "a command in a loop",
        "for r in read x.csv: print r\nfor b in survey L0 inits=3:\n    pass\n",
        "(for r <read word‹x.csv›> {(print r)}) (for b <survey L0 inits=3> {(pass)})",
    ),
    (
        "concept at a layer",
        "similarity polite@L2 @sad@L3\n",
        "(do <similarity @polite@L2 @sad@L3>)",
    ),
    (
        "computed concept",
        'capture l @{name} Thank you # so much\nverify L2 @{"{a}-b"}\n',
        "(do <capture l @{name} raw‹Thank you # so much›>) (do <verify L2 @{‹{a}-b›}>)",
    ),
    (
        "text of several lines",
        'let a = """\n    one {x:>3}\n      "two" \\\\ \\"""\n    """\nlet b = """c"""\n',
        '(let a ‹one {x:>3}⏎  "two" \\ """›) (let b ‹c›)',
    ),
]


def parse(text: str) -> ast.Program:
    program, problems = parser().parse(Source(text))
    assert not problems, "\n".join(f"{item.code} {item.message}" for item in problems)
    return program


@pytest.mark.parametrize(("source", "tree"), [case[1:] for case in GOLDEN], ids=[case[0] for case in GOLDEN])
def test_golden(source: str, tree: str) -> None:
    assert dump(parse(source)) == tree


@pytest.mark.parametrize("source", [case[1] for case in GOLDEN], ids=[case[0] for case in GOLDEN])
def test_line_ends_and_the_last_one_do_not_matter(source: str) -> None:
    if "\r" not in source:
        assert dump(parse(source.replace("\n", "\r\n"))) == dump(parse(source))
    assert dump(parse(source.rstrip("\n"))) == dump(parse(source))


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.tail], ids=lambda op: op.name)
def test_every_operation_with_a_tail_takes_it_unquoted(op) -> None:
    leading = " ".join(["L0", "polite"][: op.tail.leading])
    (statement,) = parse(f"{op.name} {leading} some-file.txt").statements
    last = statement.command.arguments[-1]
    if op.tail.kind == "text":
        assert (last.raw, last.constant) == (True, "some-file.txt")
    else:
        assert last == ast.Word(last.span, "some-file.txt")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_spans_are_exact(text: str) -> None:
    """The text under a node's span, parsed alone, is the node again; names stand where they are said to."""
    program = parse(text)
    assert program.span.text == text
    for node in nodes(program):
        written = node.span.text
        assert written == written.strip() or isinstance(node, ast.Program)
        if _stands_for_another(node):
            continue
        if isinstance(node, ast.Let | ast.For | ast.Def | ast.Import | ast.Command):
            assert node.name_span.text == node.name
        if isinstance(node, ast.Field):
            assert node.name_span.text == node.name
        if isinstance(node, ast.Statement):
            column = node.span.start_location()[1] - 1
            again = parse(f"if true:\n{' ' * column}{written}\n" if column else written)
            statement = again.statements[0]
            assert dump(statement.branches[0][1][0] if column else statement) == dump(node)
        elif isinstance(node, ast.Text) and node.raw:
            assert written == node.constant
        elif isinstance(node, ast.Word):
            assert written == node.value
        elif isinstance(node, ast.Hole):
            assert (written[0], written[-1]) == ("{", "}")
        elif isinstance(node, ast.Keyword):
            assert written.startswith("--" if node.span.text[0] == "-" else f"{node.name}=")
        elif written.startswith("--"):
            assert node == ast.Bool(node.span, True)
        elif isinstance(node, ast.Command) and written == node.name:
            pass  # a bare name that stands alone; the statement around it was looked at
        elif isinstance(node, ast.Expr) and not _ends_the_line(node):
            (statement,) = parse(f"let q = ({written}\n)").statements
            assert dump(statement.value) == dump(node)


def _stands_for_another(node: ast.Node) -> bool:
    """What `for a, b in …` and `row t a=1` are made of has no text of its own."""
    if isinstance(node, ast.Sweep | ast.Axis):
        return True  # what is in it is looked at
    if isinstance(node, ast.For | ast.Name):
        return node.name == WHOLE
    if isinstance(node, ast.Let):
        return isinstance(node.value, ast.Part)
    return isinstance(node, ast.Part) or (isinstance(node, ast.Record) and not node.span.text.startswith("{"))


def _ends_the_line(node: ast.Node) -> bool:
    """A command with unquoted text cannot be put in brackets."""
    return any(isinstance(part, ast.Text) and part.raw for part in nodes(node))


def test_lines_and_columns_count_from_one() -> None:
    program = parse('let a = 1\nprint "β" + a\n')
    last = program.statements[1].value.right
    assert last.span.start_location() == (2, 13)
    assert last.span.end_location() == (2, 14)
    assert last.span.source.line(2) == 'print "β" + a'


def test_a_program_is_deterministic_and_threads_do_not_mix() -> None:
    from concurrent.futures import ThreadPoolExecutor

    texts = [f'let x{i} = (survey L{i} inits={i})\nprint "{{x{i}.num_basins}}"\n' * 20 for i in range(8)]
    expected = [dump(parse(text)) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: dump(parse(text)), texts * 3)) == expected * 3

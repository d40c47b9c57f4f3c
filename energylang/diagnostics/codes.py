"""Every diagnostic code: what it means, a script that provokes it and one that does not.

The table is the only place where a code is defined. ``wrong`` and ``right`` are run by the test-suite:
``wrong`` must give the code, ``right`` must check. Codes below EL500 are found before anything runs; the
others happen while a script runs, because they depend on files or on the landscape itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Code:
    """A diagnostic code. ``wrong`` is empty for what no script alone can provoke (a full disk)."""

    code: str
    title: str
    explanation: str
    wrong: str = ""
    right: str = ""
    severity: Literal["error", "warning"] = "error"


_ALL = (
    # ----------------------------------------------------------------- syntax
    Code(
        "EL101",
        "unknown operation",
        "The first word of a command is neither an operation nor a procedure defined above.",
        wrong='load "random:16"\nsurvay L0\n',
        right='load "random:16"\nsurvey L0\n',
    ),
    Code(
        "EL102",
        "unexpected text",
        "The line does not read as a statement: something stands where it cannot stand, or is missing.",
        wrong="let = 3\n",
        right="let x = 3\nprint x\n",
    ),
    Code(
        "EL103",
        "text or hole never closed",
        "A text starts with a double quote and ends with one on the same line; the holes `{…}` in it are closed.",
        wrong='print "basins: {3\n',
        right='print "basins: {3}"\n',
    ),
    Code(
        "EL104",
        "wrong indentation",
        "Blocks are lines indented alike, under a line that ends in `:`.",
        wrong="let x = 1\n    print x\n",
        right="if true:\n    print 1\n",
    ),
    Code(
        "EL105",
        "tab in the indentation",
        "Blocks are indented with spaces, because a tab is of no certain width.",
        wrong="if true:\n\tprint 1\n",
        right="if true:\n    print 1\n",
    ),
    Code(
        "EL106",
        "missing `:`",
        "`if`, `elif`, `else`, `for` and `def` end in a colon.",
        wrong="for i in 0..2\n    print i\n",
        right="for i in 0..2:\n    print i\n",
    ),
    Code(
        "EL107",
        "not a number, or not a character",
        "A number, or an escape inside a text, that cannot be read.",
        wrong="let x = 12abc\n",
        right="let x = 12\nprint x\n",
    ),
    Code(
        "EL108",
        "missing block",
        "After a line that ends in `:` an indented block follows; `pass` is the block that does nothing.",
        wrong="if true:\nprint 1\n",
        right="if true:\n    pass\n",
    ),
    Code(
        "EL109",
        "too large or nested too deeply",
        "Blocks, brackets and expressions nest at most 100 deep, procedures that call procedures about 50; a script "
        "has at most five million characters.",
        wrong="let x = " + "(" * 120 + "1" + ")" * 120 + "\n",
        right="let x = ((1))\nprint x\n",
    ),
    # ------------------------------------------------------------------ types
    Code(
        "EL201",
        "wrong type",
        "A value of one type stands where another is needed: a text for a number, a concept for a layer.",
        wrong='load "random:16"\nsurvey L0 inits="many"\n',
        right='load "random:16"\nsurvey L0 inits=100\n',
    ),
    Code(
        "EL202",
        "missing argument",
        "An operation got fewer arguments than it needs.",
        wrong='load "random:16"\nsurvey\n',
        right='load "random:16"\nsurvey L0\n',
    ),
    Code(
        "EL203",
        "too many arguments",
        "An operation got more arguments than it takes; nothing is ignored silently.",
        wrong='load "random:16"\napply L0 L0\n',
        right='load "random:16"\napply L0\n',
    ),
    Code(
        "EL204",
        "unknown keyword",
        "The operation has no parameter of this name.",
        wrong='load "random:16"\nsurvey L0 init=100\n',
        right='load "random:16"\nsurvey L0 inits=100\n',
    ),
    Code(
        "EL205",
        "unknown field",
        "Results are records with known fields; this one is not among them.",
        wrong='load "random:16"\nlet s = survey L0\nprint s.num_basin\n',
        right='load "random:16"\nlet s = survey L0\nprint s.num_basins\n',
    ),
    Code(
        "EL206",
        "value out of range",
        "The value is of the right type and outside of what the parameter allows.",
        wrong='load "random:16"\nsurvey L0 inits=-3\n',
        right='load "random:16"\nsurvey L0 inits=3\n',
    ),
    Code(
        "EL207",
        "unknown name",
        "No variable of this name exists here.",
        wrong="print x\n",
        right="let x = 1\nprint x\n",
    ),
    Code(
        "EL208",
        "not one of the choices",
        "The parameter takes one of a few words; this is none of them.",
        wrong='load "random:16"\nset bta 3\n',
        right='load "random:16"\nset beta 3\n',
    ),
    Code(
        "EL209",
        "given twice",
        "The same parameter got two values, or the same name was defined twice.",
        wrong='load "random:16"\nsurvey L0 inits=3 inits=4\n',
        right='load "random:16"\nsurvey L0 inits=3\n',
    ),
    Code(
        "EL210",
        "operator does not fit",
        "The operator is not defined for values of these types.",
        wrong='let x = "a" * 2\nprint x\n',
        right="let x = 3 * 2\nprint x\n",
    ),
    Code(
        "EL211",
        "not a value",
        "The operation gives nothing that could be used as a value.",
        wrong="def nothing():\n    pass\nlet x = nothing\nprint x\n",
        right="def three():\n    return 3\nlet x = three\nprint x\n",
    ),
    Code(
        "EL212",
        "misplaced statement",
        "`return` belongs into a procedure; `def` and `import` stand at the outermost level.",
        wrong="return 3\n",
        right="def three():\n    return 3\nprint (three)\n",
    ),
    Code(
        "EL213",
        "module cannot be imported",
        "A module is a file beside the script or in the standard library, and holds definitions only.",
        wrong="import no-such-module\n",
        right="import audit\n",
    ),
    Code(
        "EL250",
        "the model cannot do this",
        "Operations on text need a model that reads and writes text; one that is only weights has a landscape "
        "and no words.",
        wrong='load "random:16"\ngenerate "Hello"\n',
        right='load "tiny"\ngenerate "Hello"\n',
    ),
    # ------------------------------------------------------------- references
    Code(
        "EL301",
        "no model loaded",
        "On some way to this statement no model has been loaded.",
        wrong="survey L0\n",
        right='load "random:16"\nsurvey L0\n',
    ),
    Code(
        "EL302",
        "layer out of range",
        "The model has no such layer; layers are numbered from L0.",
        wrong='load "random:16"\nsurvey L3\n',
        right='load "random:16"\nsurvey L0\n',
    ),
    Code(
        "EL307",
        "recursion",
        "A procedure may not call itself, directly or through others: every script terminates.",
        wrong="def again():\n    again\n",
        right="def once():\n    pass\nonce\n",
    ),
    # --------------------------------------------------------------- run time
    Code("EL500", "the operation failed", "The operation could not be carried out; the message says why."),
    Code(
        "EL501",
        "model cannot be loaded",
        "The file is missing, damaged, unsafe or not a checkpoint in a known layout, or no model has this name.",
        wrong='load "no-such-model.safetensors"\n',
        right='load "random:16"\n',
    ),
    Code("EL502", "the landscape cannot answer", "For example: an edit leaves no room between the protected basins."),
    Code("EL503", "corpus cannot be used", "The training text is missing, not text, or too short."),
    Code("EL504", "file cannot be written", "The folder does not exist or may not be written to."),
    Code(
        "EL510",
        "no such basin",
        "The layer has not been surveyed, or no basin of this number was found in it, or it was lost in an edit.",
        wrong='load "random:16"\nenergy L0.B999\n',
        right='load "random:16"\nsurvey L0\nenergy L0.B0\n',
    ),
    Code(
        "EL511",
        "no such concept",
        "The concept has not been captured in this session.",
        wrong='load "tiny"\ninject-concept L1 polite\n',
        right='load "tiny"\ncapture L1 polite "Thank you"\ninject-concept L1 polite\n',
    ),
    Code(
        "EL512",
        "nothing to undo or redo",
        "Every change made since the model was loaded has been undone already, or none was undone.",
        wrong='load "random:16"\nundo\n',
        right='load "random:16"\nset inits 50\nundo\n',
    ),
    Code(
        "EL513",
        "nothing is staged",
        "There is no edit whose effect could be measured: the layer is as it was loaded.",
        wrong='load "tiny"\ncapture L3 polite "Thank you"\neffect L3 polite\n',
        right='load "tiny"\ncapture L3 polite "Thank you"\n'
        "inject-concept L3 polite method=redirect\neffect L3 polite\n",
    ),
    Code(
        "EL514",
        "no such place in the history",
        "A checkpoint's name, or an operation's number, that the history of this session does not have.",
        wrong='load "random:16"\ngoto 7\n',
        right='load "random:16"\nset inits 50\ngoto 0\n',
    ),
    Code(
        "EL520",
        "a requirement is not met",
        "A `require` statement was false.",
        wrong="require 1 > 2\n",
        right="require 2 > 1\n",
    ),
    Code(
        "EL521",
        "impossible calculation",
        "Division by zero, an index outside of a list, or a number that grew beyond all bounds.",
        wrong="let x = 0\nprint 1 / x\n",
        right="let x = 2\nprint 1 / x\n",
    ),
    Code("EL530", "file cannot be read", "The script is missing, is a folder, or is not UTF-8 text."),
    Code(
        "EL540",
        "record cannot be replayed",
        "The file is no record (see docs/record.schema.json), or it was made on another checkpoint.",
    ),
    Code(
        "EL590",
        "interrupted",
        "The run was stopped from the keyboard; the statement that was running left no trace.",
    ),
    Code("EL599", "defect in energylang", "This should not happen, whatever the script says. Please report it."),
)  # fmt: skip

CODES: Mapping[str, Code] = {code.code: code for code in _ALL}

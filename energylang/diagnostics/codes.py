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
    """A diagnostic code. ``wrong`` is empty for what no script alone can provoke (a full disk). ``file`` is the name
    of the scripts, where that matters."""

    code: str
    title: str
    explanation: str
    wrong: str = ""
    right: str = ""
    severity: Literal["error", "warning"] = "error"
    file: str = "script.el"


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
        "`return` belongs into a procedure, and does not leave a sweep; a `row` without a table into a sweep or the "
        "script; `def` and `import` stand at the outermost level.",
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
        "EL214",
        "nothing to be undone",
        "`with` carries out an operation for the time of a block and then undoes what it changed. An operation that "
        "only looks, writes files, loads a model or travels through the history leaves nothing to be undone.",
        wrong='load "random:16"\nwith survey L0:\n    status\n',
        right='load "random:16"\nwith set beta 4.0:\n    survey L0\n',
    ),
    Code(
        "EL215",
        "what a file holds is not known",
        "`read` is checked like everything else: the columns of the file are looked at before anything runs, so it has "
        "to be known which file that is. Names that are written out, or kept in variables and lists, are followed.",
        wrong='load "random:16"\nlet name = (info).model\nread "{name}.csv"\n',
        right='write [{a: 1}] "a.csv"\nlet name = "a"\nfor r in read "{name}.csv":\n    print r.a + 1\n',
    ),
    Code(
        "EL216",
        "what a cell of a sweep cannot leave behind",
        "Every cell of a sweep runs in a session of its own, from the state before the sweep. What it changes ends "
        "with it, a variable from outside included; what stays is its row in the sweep's table.",
        wrong="let best = 0\nsweep n in 0..2:\n    best = n\n    row square=n * n\nprint best\n",
        right="let t = sweep n in 0..2:\n    row square=n * n\nprint max(t.square)\n",
    ),
    Code(
        "EL217",
        "a sweep without a table",
        "A sweep is a table with a row for what each cell gives: the values of its `row`s, or, where there is none, "
        "the value with which its block ends.",
        wrong='load "random:16"\nsweep l in layers:\n    let s = survey l\n    print s.num_basins\n',
        right='load "random:16"\nsweep l in layers:\n    let s = survey l\n    row basins=s.num_basins\n',
    ),
    Code(
        "EL250",
        "the model cannot do this",
        "Operations on text need a model that reads and writes text; one that is only weights has a landscape "
        "and no words.",
        wrong='load "random:16"\ngenerate "Hello"\n',
        right='load "tiny"\ngenerate "Hello"\n',
    ),
    Code(
        "EL251",
        "a layer without a landscape",
        "Operations on basins need layers that are energy landscapes. The layers of a plain transformer are a stream, "
        "on which concepts, `inject-concept` (by memory alone), `steer`, `push`, `ablate` of neurons and heads, "
        "`classify`, `trace`, `generate` and `benchmark` work. `fit` gives such a layer a landscape; it must have one "
        "on every way to the statement.",
        wrong='load "smollm2"\nsurvey L14\n',
        right='load "smollm2"\nfit L14\nsurvey L14\n',
    ),
    Code(
        "EL252",
        "a concept where a state of a fitted landscape is needed",
        "A concept is a direction of the stream. The landscape that `fit` gives a layer has states of its own, and no "
        "direction of the stream is one of them: name a basin or a seed.",
        wrong='load "smollm2"\ncapture L14 calm "All is well."\nfit L14\nverify L14 calm\n',
        right='load "smollm2"\nfit L14\nverify L14 42\n',
    ),
    Code(
        "EL253",
        "the layer is a landscape already",
        "`fit` gives layers of a plain transformer a landscape. Layers that are landscapes have theirs.",
        wrong='load "tiny"\nfit L3\n',
        right='load "tiny"\nsurvey L3\n',
    ),
    Code(
        "EL254",
        "a layer without a memory",
        "`rewrite` edits what the neurons of an MLP answer, and a neuron or a phrase is a key of it. The layers of a "
        "landscape model are no MLPs: what they have stored are basins.",
        wrong='load "tiny"\nrewrite L2 "The capital of France is" to="Rome"\n',
        right='load "smollm2"\nrewrite L8 "The capital of France is" to="Rome" subject="France"\n',
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
        "EL303",
        "basin of a layer that was not surveyed",
        "`L2.B3` is the basin that a survey of L2 gave the number 3. On some way to this statement the layer has not "
        "been surveyed, so that nothing has that number yet. `survey L2` or `survey-all` gives the numbers; loading a "
        "model ends them.",
        wrong='load "tiny"\nsurvey L1\nverify L2.B3\n',
        right='load "tiny"\nsurvey L2\nverify L2.B3\n',
    ),
    Code(
        "EL304",
        "use after removal",
        "The basin was removed (or moved) on some way to this statement, and nothing has brought it back: `undo`, "
        "`redo`, `rollback`, `restore`, the end of a `with` block and a failed `attempt` are all taken into account, "
        "through branches, loops and procedures. A basin that a survey finds later has a number of its own.",
        wrong='load "tiny"\nsurvey L2\nremove L2.B3\nverify L2.B3\nundo\n',
        right='load "tiny"\nsurvey L2\nremove L2.B3\nundo\nverify L2.B3\n',
    ),
    Code(
        "EL305",
        "concept that is not there",
        "A concept is used before it was captured, imported or blended on every way to the statement, or at another "
        "layer than the one at which it was captured: its direction means nothing there.",
        wrong='load "tiny"\ncapture L2 polite "Thank you"\nverify L3 polite\n',
        right='load "tiny"\ncapture L3 polite "Thank you"\nverify L3 polite\n',
    ),
    Code(
        "EL306",
        "no way back",
        "`rollback` names a checkpoint that does not exist on every way to the statement, or `undo` stands where "
        "nothing has been changed. Checkpoints end when another model is loaded.",
        wrong='load "random:16"\nif (survey L0).num_basins > 3:\n    checkpoint rich\nset beta 4.0\nrollback rich\n',
        right='load "random:16"\ncheckpoint clean\nset beta 4.0\nrollback clean\n',
    ),
    Code(
        "EL307",
        "recursion",
        "A procedure may not call itself, directly or through others: every script terminates.",
        wrong="def repeat():\n    repeat\n",
        right="def once():\n    pass\nonce\n",
    ),
    Code(
        "EL308",
        "neuron or head out of range",
        "`L2.N7` is an MLP neuron and `L2.H1` an attention head of the layer; both are numbered from 0. A layer "
        "that is a landscape has no neurons, and weights alone have no heads.",
        wrong='load "tiny"\nablate L1.H9\n',
        right='load "tiny"\nablate L1.H1\n',
    ),
    # --------------------------------------------------------------- warnings
    Code(
        "EL401",
        "the live model does not have the edit",
        "Edits are staged: the landscape operations see them, the live model does not until `apply`. What is "
        "generated here is what the model said before.",
        wrong='load "tiny"\nsurvey L3\nredirect L3.B0 to=L3.B2\ngenerate "Hello"\nundo\n',
        right='load "tiny"\nsurvey L3\nredirect L3.B0 to=L3.B2\napply L3\ngenerate "Hello"\nundo 2\n',
        severity="warning",
    ),
    Code(
        "EL402",
        "basin of a layer that was edited since",
        "The number comes from a survey before an edit of the same layer. Most basins survive an edit with their "
        "number, some do not: whether this one did shows only when the script runs (EL510 if it did not).",
        wrong='load "random:16"\nsurvey L0\ninject L0 42\nverify L0.B0\nundo\n',
        right='load "random:16"\nsurvey L0\ninject L0 42\nsurvey L0\nverify L0.B0\nundo\n',
        severity="warning",
    ),
    Code(
        "EL403",
        "variable never used",
        "A `let` gives a value to a name that nothing reads. Begin the name with `_` if that is intended.",
        wrong='load "random:16"\nlet s = survey L0\n',
        right='load "random:16"\nlet s = survey L0\nprint s.num_basins\n',
        severity="warning",
    ),
    Code(
        "EL404",
        "edits that end with the script",
        "The script saves or records its work and edits on: what it edits after that is gone when it ends. A script "
        "that keeps nothing gets no warning.",
        wrong='load "random:16"\ninject L0 42\nsave "edited.safetensors"\ninject L0 43\n',
        right='load "random:16"\ninject L0 42\ninject L0 43\nsave "edited.safetensors"\n',
        severity="warning",
    ),
    Code(
        "EL405",
        "effect claimed without a control",
        "What the model says after an edit is compared with nothing: any edit of that size might do the same. The "
        "result holds placebos of equal norm; look at `share_z` or `log_prob_z`, the distance from them in units of "
        "their spread.",
        wrong='load "tiny"\ncapture L3 polite "Thank you"\nlet e = inject-concept L3 polite\n'
        "require e.effect.share_after > 0.5\nundo\n",
        right='load "tiny"\ncapture L3 polite "Thank you"\nlet e = inject-concept L3 polite\n'
        "require e.effect.share_after > 0.5\nrequire e.effect.share_z > 2\nundo\n",
        severity="warning",
    ),
    Code(
        "EL406",
        "remark that allows nothing",
        "`# el: allow EL402` silences a warning: in the line in which it stands, or, on a line of its own, in the "
        "statement that follows; before the first statement it holds for the whole script. Errors cannot be allowed.",
        wrong='load "random:16"   # el: allow EL302\n',
        right='load "random:16"\ninject L0 42   # el: allow EL404\n',
        severity="warning",
    ),
    Code(
        "EL407",
        "meant something else in the published tool",
        "A command script of the published tool (a file that ends in .hlm) uses something that is different here on "
        "purpose. The script runs; the message says what the line meant there and what it means here. Each difference "
        "is said once; `# el: allow EL407` silences them all.",
        wrong="load random:16\ninject 0 42\nsave edited.pt\n",
        right="load random:16\ninject 0 42 0.1\nsave edited.pt\n",
        severity="warning",
        file="script.hlm",
    ),
    Code(
        "EL408",
        "the name of a variable as text",
        "Text without quotes is taken as it stands: the name of a variable is a word like others there. In quotes and "
        "braces it is the variable's value.",
        wrong='load "tiny"\nfor said in ["Thank you"]:\n    capture L2 polite said\n',
        right='load "tiny"\nfor said in ["Thank you"]:\n    capture L2 polite "{said}"\n',
        severity="warning",
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
        wrong='load "random:16"\nsurvey L0\nenergy L0.B999\n',
        right='load "random:16"\nsurvey L0\nenergy L0.B0\n',
    ),
    Code(
        "EL511",
        "no such concept",
        "The concept is not there, or not at this layer, which only the run could tell.",
        wrong='load "tiny"\ncapture auto polite "Thank you"\nverify L0 polite\n',
        right='load "tiny"\nlet c = capture auto polite "Thank you"\nverify c.layer polite\n',
    ),
    Code(
        "EL512",
        "nothing to undo or redo",
        "Every change made since the model was loaded has been undone already, or none was undone.",
        wrong='load "random:16"\nset inits 50\nundo\nundo\n',
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
        wrong='load "random:16"\nrollback (info).hash\n',
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
    Code(
        "EL522",
        "an assertion is false",
        "An `assert` statement was false: the script says something of itself that does not hold.",
        wrong="let total = 1 + 1\nassert total == 3\n",
        right="let total = 1 + 1\nassert total == 2\n",
    ),
    Code(
        "EL523",
        "variable without a value",
        "The run went on after an error (`--keep-going`), and the statement that failed was the one that gives this "
        "variable its value.",
    ),
    Code("EL530", "file cannot be read", "The script is missing, is a folder, or is not UTF-8 text."),
    Code(
        "EL540",
        "record cannot be replayed",
        "The file is no record (see docs/record.schema.json), or it was made on another checkpoint.",
    ),
    Code(
        "EL541",
        "outside of the sandbox",
        "`el run --sandbox` confines a script to its own folder: it neither reads nor writes anything else, whether a "
        "path is absolute, goes up with `..`, or follows a symbolic link. Bundled models may be read.",
    ),
    Code(
        "EL542",
        "file exists already",
        "`el run --sandbox` lets a script write new files only. `--force` lets it overwrite what is in its folder.",
    ),
    Code(
        "EL543",
        "in use by another process",
        "Another process works on this training or session; the message says which, on which machine, and since when. "
        "It lets go when it ends, however it ends.",
    ),
    Code(
        "EL544",
        "in use by another task",
        "Another asyncio task of this thread is in the midst of a transaction, or of a scope, in the session. A thread "
        "waits for another; a task cannot, and what it did would be undone with the other's transaction.",
    ),
    Code(
        "EL590",
        "interrupted",
        "The run was stopped from the keyboard; the statement that was running left no trace.",
    ),
    Code(
        "EL591",
        "time is up",
        "The run took longer than `--timeout` allows; the statement that was running left no trace.",
    ),
    Code("EL599", "defect in energylang", "This should not happen, whatever the script says. Please report it."),
)  # fmt: skip

CODES: Mapping[str, Code] = {code.code: code for code in _ALL}

"""History: what was done, and the way back.

The history is a tree. Undoing and then changing something else starts a branch; ``goto`` stands at any place of
it, ``checkpoint`` gives a place a name.
"""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

STEPS = Param("steps", t.INT, "how many changes", 1, minimum=1, maximum=1_000_000)

NAME = Param("name", t.LABEL, "the checkpoint's name, such as before-cut")

undo = Op(
    "undo",
    summary="Take back the last changes, bit for bit; with a layer, the last edit of that layer alone.",
    details="A step is an operation that changed the session or could have. An edit that was refused is one, "
    "too, so that how far this goes does not depend on the gate. undo L5 takes back the last edit of "
    "L5 that is in force, whatever happened elsewhere since; it is a change itself and can be undone."
    " The live weight stays as it is.",
    params=(
        Param("steps", t.STEPS, "how many changes, or a layer such as L5", 1, minimum=1, maximum=1_000_000),
    ),
    effects=Effect.TRAVELS,
    flow=Flow(travels="undo"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nundo", "it.is_original"),
        Example("inject L0 42\ninject L0 43\nundo 2", "it.is_original"),
        Example("inject L0 42\nundo 99", "it.statements.count == 1 and it.missing == 98"),
        Example("inject L0 42\nset inits 50\nundo L0", "it.is_original and (survey L0).inits == 50"),
    ),
)

redo = Op(
    "redo",
    summary="Make undone changes again, along the branch that was left last.",
    params=(STEPS,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="redo"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nundo\nredo", "not it.is_original and (verify L0 42).is_basin"),
        Example(
            "set inits 50\nset inits 60\nundo 2\nredo 2", "it.again.count == 2 and (survey L0).inits == 60"
        ),
    ),
)

checkpoint = Op(
    "checkpoint",
    summary="Give the present place in the history a name.",
    details="A name that exists already moves here. Names are no part of the state: they stay when it is undone, and "
    "end when another model is loaded.",
    params=(NAME,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="checkpoint"),
    result=results.Checkpoint,
    examples=(
        Example("inject L0 42\ncheckpoint with-42", 'it.name == "with-42" and it.at == 1'),
        Example("checkpoint here\ninject L0 42\ncheckpoint here", "it.moved_from == 0"),
    ),
)

rollback = Op(
    "rollback",
    summary="Go back (or forward) to a checkpoint, bit for bit.",
    params=(NAME,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="rollback"),
    result=results.Undone,
    examples=(
        Example("checkpoint clean\ninject L0 42\ninject L0 43\nrollback clean", "it.is_original"),
        Example(
            "inject L0 42\ncheckpoint there\nundo\nrollback there",
            "it.again.count == 1 and (verify L0 42).is_basin",
        ),
    ),
)

goto = Op(
    "goto",
    summary="Go to any place in the history by the id that `history` shows; 0 is the beginning.",
    params=(Param("id", t.INT, "an id out of `history`", minimum=0, maximum=10**12),),
    effects=Effect.TRAVELS,
    flow=Flow(travels="goto"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nset inits 50\ngoto 0", "it.is_original and it.statements.count == 2"),
        Example("inject L0 42\nundo\nset inits 50\ngoto 1", "(verify L0 42).is_basin and it.at == 1"),
    ),
)

history = Op(
    "history",
    summary="Every operation that changed, or tried to change, the session; as a list or as a tree.",
    params=(Param("tree", t.BOOL, "draw the branches: history tree", False, choices=("tree",)),),
    effects=Effect.ALWAYS,
    result=results.History,
    examples=(
        Example("inject L0 42\nundo\nhistory", 'it.entries[0].state == "UNDONE"'),
        Example("inject L0 42\nundo\nset inits 50\nhistory tree", "it.tree and it.entries[1].parent == 0"),
    ),
)

again = Op(
    "again",
    summary="Run an operation of the history once more: again 12.",
    details="It does what it did then, with the same arguments, on the session as it is now; `history` shows "
    "the numbers. The result is displayed and cannot be used as a value.",
    params=(Param("id", t.INT, "the operation's id out of `history`", minimum=1, maximum=10**12),),
    effects=Effect.TRAVELS,
    flow=Flow(travels="again"),
    result=results.Result,
    examples=(
        Example("inject L0 42\nundo\nagain 1", "it.applied"),
        Example("set inits 50\nset inits 60\nagain 1\nsurvey L0", "it.inits == 50"),
    ),
)

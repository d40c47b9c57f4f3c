"""The parts of the prompt, each for itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pygments.lexers import get_lexer_by_name
from pygments.token import Error, Name, String

from energylang import ElError, Session
from energylang.looking import basins as observing
from energylang.ops import TABLE
from energylang.repl import journal
from energylang.repl.answers import answer
from energylang.repl.blocks import indentation, is_complete
from energylang.repl.engine import Engine, watch
from energylang.repl.lexer import EnergyLexer
from energylang.repl.prompt import message, toolbar
from energylang.repl.suggest import hint, suggest


@pytest.fixture(scope="module")
def session() -> Session:
    made = Session("planted:64x4")
    made.run("survey L0\nlet found = verify L0.B0\ncheckpoint before\ndef look(l: Layer):\n    survey l\n")
    return made


def words(text: str, session: Session | None = None) -> list[str]:
    return [found.text for found in suggest(text, session)]


# ---------------------------------------------------------------------------------- completion


def test_every_operation_completes_from_its_name():
    for name in TABLE:
        assert name in words(name[:-1]), name
        assert suggest(name[:-1])[0].note


@pytest.mark.parametrize(
    "lead", ["", "let x = ", "x = ", "print ", "with ", "survey L0; ", "print (", "if (status).is_original: "]
)
def test_a_statement_begins_in_many_places(lead: str):
    assert "survey-all" in words(lead + "surv")


def test_layers_and_basins_say_what_they_are(session: Session):
    (layer,) = suggest("survey L", session)
    assert layer.text == "L0" and "20 known basins" in layer.note and layer.length == 1
    basins = suggest("verify L0.B", session)
    known = observing.known_basins(session, 0).alive()
    assert {found.text for found in basins} == {f"L0.B{basin.id}" for basin in known}
    largest = max(known, key=lambda basin: basin.population)
    assert f"{largest.population} starts" in basins[0].note and "energy" in basins[0].note
    assert words("verify L0 L0.B1", session)[0] == "L0.B1"
    assert words("protect [L0.B0, L0.B1", session)[0] == "L0.B1"


def test_values_by_parameter(session: Session):
    assert words("landscape L0 2 u", session) == ["umap"]
    assert words("landscape L0 method=u", session) == ["umap"]
    assert "inits=" in words("survey L0 i", session)
    assert "inits=" not in words("survey L0 inits=5 i", session)
    assert words("survey L0 radius=t", session) == ["true"]
    assert words("set max", session) == ["max_changed"] and words("set dtype float6", session) == ["float64"]
    assert words("rollback be", session) == ["before"]
    assert "--force" in words("inject L0 5 --", session)
    assert words("loo", session) == ["look"] and words("foun", session) == ["found"]
    assert "tiny" in words("load ti")


def test_second_words_of_operations():
    assert set(words("causal ")) == {name for name in TABLE if name.startswith("causal ")}
    assert suggest("causal sc")[0].length == len("causal sc")


def test_concepts_and_paths(in_tmp: Path):
    (in_tmp / "work.json").write_text("{}")
    (in_tmp / "folder").mkdir()
    assert words("replay wo") == ["work.json"] and words("replay fol") == ["folder/"]
    assert words('replay "wo') == ["work.json"]


@pytest.mark.parametrize("text", ['capture L0 x "surv', "# surv", "survey L0 # surv"])
def test_nothing_is_offered_in_texts_and_comments(text: str):
    assert words(text) == []


def test_hints_follow_the_cursor():
    first, second = hint("verify "), hint("verify L0 ")
    assert first and first.param and first.param.name == "layer"
    assert second and second.param and second.param.name == "target"
    named = hint("survey L0 seeds=")
    assert named and named.param and named.param.name == "seeds"
    assert hint("sur") is None and hint("verify L0.B0 ") is not None
    assert "".join(text for _, text, *_ in toolbar("verify ", "", equipped=True)).startswith(
        " verify <layer>"
    )
    assert "loaded" in toolbar("verify ", "torch is being loaded", equipped=False)[0][1]


# -------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("survey L0", True),
        ("for i in 1..3:", False),
        ("for i in 1..3:\n    survey L0", False),
        ("for i in 1..3:\n    survey L0\n", True),
        ("compose [@a,", False),
        ("survey L0 \\", False),
        ('print "a:"', True),
        ("survey L0  # why:", True),
        ('print "("', True),
        ("let r = {a: 1,", False),
        ('let a = """one', False),
        ('let a = """one\n(two"""', True),
    ],
)
def test_when_a_text_is_complete(text: str, complete: bool):
    assert is_complete(text) is complete


def test_indentation_follows_the_block():
    assert indentation("for i in 1..3:") == "    "
    assert indentation("for i in 1..3:\n    if true:") == "        "
    assert indentation("for i in 1..3:\n    survey L0") == "    "


# --------------------------------------------------------------------------------------- lexer


def test_lexer_is_a_plugin_and_knows_every_operation():
    for name in TABLE:
        first = next(iter(EnergyLexer().get_tokens(name + " ")))
        assert first == (Name.Builtin, name)
    tokens = list(EnergyLexer().get_tokens('capture L2 polite "Thank you" # why\nremove L0.B3 --force\n'))
    assert not any(kind is Error for kind, _ in tokens) and (String, '"Thank you"') in tokens
    assert (Name.Constant, "L0.B3") in tokens


def test_lexer_is_found_by_pygments_when_installed():
    from importlib.metadata import entry_points

    if not any(point.value.startswith("energylang.") for point in entry_points(group="pygments.lexers")):
        pytest.skip("the package's entry points are not installed here (pip install -e .)")
    assert isinstance(get_lexer_by_name("el"), EnergyLexer)


# -------------------------------------------------------------------------------------- prompt


def test_prompt_shows_model_staged_edits_and_place():
    made = Session("planted:64x4")

    def said() -> str:
        return "".join(text for _, text, *_ in message(made))

    assert said() == "planted:64x4 ▸ "
    made.inject(0, 42)
    assert said() == "planted:64x4* 1/1 ▸ "
    made.apply(0)
    assert said() == "planted:64x4 2/2 ▸ "
    made.undo()
    assert said() == "planted:64x4* 1/2 ▸ "


# ------------------------------------------------------------------------------- own words, journal


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(journal.Journal(tmp_path, tmp_path), tmp_path)


def typed(engine: Engine, session: Session, text: str, how: str = "done") -> None:
    engine.journal.begin(text)
    session.run(text)
    engine.journal.end(how)


def test_answers(engine: Engine):
    session = engine.session()
    session.run("load planted:64x4\nsurvey L0\nlet x = 3\n")
    for text, said in {
        "help survey": "survey <layer>",
        ":doc survey": "survey <layer>",
        "?x": "Int",
        "?L0.B0": "energy",
        "?survey": "survey <layer>",
        "?EL204": "EL204",
        "help": ":save-session",
        "ops": "causal scan",
    }.items():
        assert said in str(answer(text, engine)), text
    assert answer("survey L0", engine) is None
    for wrong in ("help surveey", "?nobody", ":nothing", ":save-session", "?L0.B999"):
        with pytest.raises(ElError):
            answer(wrong, engine)


def test_a_session_is_written_down_and_taken_up(engine: Engine, tmp_path: Path):
    session = engine.session()
    for text in ("load planted:64x4", "survey L0", "let n = 42", "inject L0 42", "set inits 50", "undo"):
        typed(engine, session, text)
    wanted = session.staged_hash()
    assert "✓" in str(answer(":save-session work.session", engine))
    again = Engine(journal.Journal(tmp_path, tmp_path), tmp_path)
    assert "1 change in force" in str(answer(":load-session work.session", again))
    other = again.session()
    assert other.staged_hash() == wanted and other.variables["n"] == 42
    assert other.timeline.undoable == session.timeline.undoable


def test_of_a_killed_line_the_completed_operations_count(engine: Engine):
    session = engine.session()
    typed(engine, session, "load planted:64x4")
    engine.journal.begin("inject L0 42\ninject L0 43\n")
    session.run("inject L0 42")
    wanted = session.staged_hash()
    events = journal.read(engine.journal.path)  # the kill comes here
    other = Session()
    assert journal.take_up(other, events) == []
    assert other.staged_hash() == wanted and other.timeline.undoable == 1


def test_a_line_cut_off_by_the_kill_is_left_out(engine: Engine):
    typed(engine, engine.session(), "load planted:64x4")
    with engine.journal.path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "beg')
    assert journal.read(engine.journal.path)[-1]["kind"] == "end"
    lines = engine.journal.path.read_text().splitlines()
    engine.journal.path.write_text("\n".join([lines[0], "nonsense", *lines[1:]]))
    with pytest.raises(ElError, match="damaged"):
        journal.read(engine.journal.path)


def test_files_are_not_written_again(engine: Engine, in_tmp: Path):
    session = engine.session()
    typed(engine, session, "load planted:64x4")
    typed(engine, session, f'save "{in_tmp / "m.safetensors"}"')
    (in_tmp / "m.safetensors").write_bytes(b"mine")
    journal.take_up(Session(), journal.read(engine.journal.path))
    assert (in_tmp / "m.safetensors").read_bytes() == b"mine"


def test_keys_are_written_down_nowhere(engine: Engine):
    session = engine.session()
    typed(engine, session, "load planted:64x4")
    session.run("set max_changed 10%")
    typed(engine, session, 'watermark inject "open sesame"')
    assert "sesame" not in engine.journal.path.read_text()
    notes = journal.take_up(Session(), journal.read(engine.journal.path))
    assert any("key" in note for note in notes)


def test_a_failed_line_leaves_what_ran_before_it(engine: Engine):
    session = engine.session()
    typed(engine, session, "load planted:64x4")
    text = "inject L0 42\nverify L0.B999\n"
    engine.journal.begin(text)
    with pytest.raises(Exception, match="B999"):
        session.run(text)
    engine.journal.end("failed")
    other = Session()
    assert journal.take_up(other, journal.read(engine.journal.path)) == []
    assert other.staged_hash() == session.staged_hash()


def test_old_journals_go_and_running_ones_are_not_taken(tmp_path: Path):
    header = json.dumps({"kind": "header", "format": journal.FORMAT, "version": 1, "base": "."})
    for k in range(8):
        (tmp_path / f"session-{10**18 + k}-999999999.jsonl").write_text(header + "\n")
    mine = journal.Journal(tmp_path, tmp_path)
    assert len(list(tmp_path.glob("session-*.jsonl"))) == journal.KEPT
    assert journal.latest(tmp_path) == tmp_path / f"session-{10**18 + 7}-999999999.jsonl"
    assert journal.is_running(mine.path)


def test_watching_hears_of_operations_as_they_complete():
    session = Session("planted:64x4")
    heard: list[str] = []
    watch(session, lambda entry: heard.append(str(entry["operation"])))
    session.run("survey L0\ninject L0 42\n")
    assert heard == ["survey", "inject"] and len(session.ledger.entries) == 3


def test_what_the_prompt_needs_before_it_appears():
    code = (
        "import sys, energylang.repl.app; "
        "print([m for m in ('torch', 'numpy', 'lark', 'rich', 'energylang.ops') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

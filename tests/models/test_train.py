"""Training: killed and resumed is the same as left alone, and bad input is met before the first step."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylang.cli.train import add_parser
from energylang.errors import CheckpointError, CorpusError, ElError
from energylang.models import load
from energylang.models.dialogue import Markers
from energylang.models.hopfield import network as hlm
from energylang.models.transformer import network as transformer
from energylang.training import train as training
from energylang.training.data import batch, neutral_prompts, read_corpus, tokenise
from energylang.training.train import Options, Progress, state_path, train

from .conftest import CORPUS, MARKERS

OPTIONS = Options(tokenizer="word", turns=MARKERS, seed=4, bfloat16=False)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text(CORPUS, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = hlm.HLMConfig(1, context=24, layers=2, width=16, dim=24, heads=2)
    monkeypatch.setitem(training.SIZES, "tiny", (shape, 4))


def el(*arguments: str) -> int:
    """``el …`` in this process: the exit code, also when argparse leaves."""
    parser = argparse.ArgumentParser(prog="el")
    add_parser(parser.add_subparsers())
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(str(stop.code))
    return int(args.run(args))


@pytest.mark.parametrize("arch", ["hlm", "transformer"])
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(
    corpus: Path, tmp_path: Path, arch: str
) -> None:
    options = Options(tokenizer="word", turns=MARKERS, seed=4, arch=arch)
    train(corpus, tmp_path / "a.safetensors", options, steps=40)
    out = tmp_path / "b.safetensors"
    seen = [0]

    def after_20() -> bool:
        seen[0] += 1
        return seen[0] == 20

    with pytest.raises(training.Interrupted) as caught:
        train(corpus, out, options, steps=40, should_stop=after_20)
    assert (caught.value.step, caught.value.steps, caught.value.path) == (20, 40, state_path(out))
    assert not out.exists()
    torch.manual_seed(99)  # nothing depends on the global generator
    train(corpus, out, Options(), resume=True)
    assert out.read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    assert not state_path(out).exists()


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    code = (
        "import torch, sys; from pathlib import Path; torch.set_num_threads(1)\n"
        "from energylang.models.hopfield.config import HLMConfig\nfrom energylang.training import train as t\n"
        "t.SIZES['tiny'] = (HLMConfig(1, context=24, layers=2, width=16, dim=24, heads=2), 4)\n"
        "o = t.Options(tokenizer='word', turns=('user:', 'bot:'), seed=4)\n"
        "t.train(Path(sys.argv[1]), Path(sys.argv[2]), o, steps=4000, save_every=0,\n"
        "        on_progress=lambda p: print(p.step, flush=True))\n"
    )
    out = tmp_path / "k.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(corpus), str(out)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    while int(process.stdout.readline() or b"999999") < 20:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    trainer = training.Trainer.restore(read_corpus(corpus), state_path(out))
    assert 20 <= trainer.step < 4000
    whole = training.Trainer(read_corpus(corpus), OPTIONS, 4000)
    for one in (trainer, whole):
        while one.step < trainer.steps and one.step < 60:
            one.advance()
    assert trainer.step == whole.step
    assert trainer.state() == whole.state()


def test_what_it_writes(corpus: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "m.safetensors", list[Progress]()
    _, found = train(corpus, out, OPTIONS, steps=30, on_progress=seen.append)
    model = load(str(out))
    assert model.text is not None
    assert model.metadata["report"] == json.loads(json.dumps(found.to_dict()))
    record = model.metadata["training"]
    assert isinstance(record, dict)
    assert (record["seed"], record["steps"], record["tokenizer"]) == (4, 30, "word")
    assert record["corpus_sha256"] == read_corpus(corpus).digest
    for i in range(model.num_layers):
        assert torch.equal(model.weight(i), model.weight(i).T)
        assert found.layers[i].beta == model.beta(i) >= 2.0 - 1e-6
    assert [p.step for p in seen] == [10, 20, 30]
    assert seen[-1].saved
    assert model.text.heldout is not None
    assert model.text.neutral_prompts
    assert isinstance(model.text.dialogue, Markers)
    assert (model.text.dialogue.user, model.text.dialogue.bot) == MARKERS
    assert found.loss_per_character < found.loss


@given(st.integers(1, 500), st.integers(0, 500))
def test_checkpoints_are_evenly_spaced_and_at_neither_end(steps: int, count: int) -> None:
    if count >= steps:
        with pytest.raises(CorpusError, match="cannot keep"):
            training.checkpoint_steps(steps, count)
        return
    kept = training.checkpoint_steps(steps, count)
    gaps = [b - a for a, b in itertools.pairwise((0, *kept, steps))]
    assert len(kept) == count
    assert min(gaps) >= 1 and max(gaps) - min(gaps) <= 1


def test_checkpoints_are_the_models_on_the_way_and_change_nothing(corpus: Path, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain.safetensors", tmp_path / "m.safetensors"
    train(corpus, plain, OPTIONS, steps=12)
    train(corpus, out, OPTIONS, steps=12, keep_checkpoints=3)
    assert out.read_bytes() == plain.read_bytes()
    kept = [training.checkpoint_path(out, step) for step in (3, 6, 9)]
    assert [path.name for path in kept] == [f"m.step00000{step}.safetensors" for step in (3, 6, 9)]
    assert sorted(tmp_path.glob("m.step*")) == kept
    trainer = training.Trainer(read_corpus(corpus), OPTIONS, 12)
    for path in kept:
        model = load(str(path))
        while trainer.step < model.metadata["training"]["steps"]:  # type: ignore[index]
            trainer.advance()
        assert f"step{trainer.step:06d}" in path.name
        assert model.text is not None and model.text.heldout is not None
        for layer in range(model.num_layers):
            assert torch.equal(model.weight(layer), trainer.live()[f"blocks.{layer}.hopfield.W"])


def test_a_resumed_training_keeps_the_same_checkpoints(corpus: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    train(corpus, whole, OPTIONS, steps=12, keep_checkpoints=2)
    seen = [0]

    def after_6() -> bool:
        seen[0] += 1
        return seen[0] == 6

    with pytest.raises(training.Interrupted):
        train(corpus, out, OPTIONS, steps=12, should_stop=after_6, keep_checkpoints=2)
    train(corpus, out, Options(), resume=True, keep_checkpoints=2)
    for step in (4, 8):
        first, second = training.checkpoint_path(whole, step), training.checkpoint_path(out, step)
        assert first.read_bytes() == second.read_bytes()


def test_more_checkpoints_than_steps_are_refused_before_training(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(CorpusError, match="cannot keep 5"):
        train(corpus, out, OPTIONS, steps=5, keep_checkpoints=5, on_progress=lambda _: pytest.fail("a step"))
    assert not out.exists()


def test_the_loss_falls(corpus: Path) -> None:
    trainer = training.Trainer(read_corpus(corpus), OPTIONS, 80)
    losses = [trainer.advance()[0] for _ in range(80)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_a_driven_model_trains_too(corpus: Path) -> None:
    options = Options(tokenizer="word", turns=MARKERS, mode="drive", iterations=6)
    trainer = training.Trainer(read_corpus(corpus), options, 10)
    before = trainer.live()["blocks.0.hopfield.W"].detach().clone()
    trainer.advance()
    assert not torch.equal(trainer.live()["blocks.0.hopfield.W"], before)


def test_minutes_only_decide_the_number_of_steps(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = training.Trainer(read_corpus(corpus), OPTIONS, 50)
    start = trainer.state()
    assert trainer.measure_steps(1e-9) == 20
    assert trainer.state() == start


def test_the_baseline_has_the_same_budget() -> None:
    for config, _ in training.SIZES.values():
        wide = hlm.HLMConfig(
            1024, **{k: getattr(config, k) for k in ("context", "layers", "width", "dim", "heads")}
        )
        ours = sum(torch.Size(s).numel() for s in hlm.shapes(wide).values())
        theirs = sum(
            torch.Size(s).numel() for s in transformer.shapes(transformer.equal_budget(wide)).values()
        )
        assert abs(ours - theirs) / ours < 0.01


def test_batches_are_a_function_of_seed_and_step(corpus: Path) -> None:
    text = read_corpus(corpus)
    tokens = tokenise(text, "word", MARKERS, 24)
    one, two = batch(tokens, 24, 6, 1, 7), batch(tokens, 24, 6, 1, 7)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[0][:, 1:], one[1][:, :-1])
    assert not torch.equal(one[0], batch(tokens, 24, 6, 1, 8)[0])
    assert set(one[0][::2, 0].tolist()) == {0}  # every other window opens with a user's turn


def test_the_last_tenth_is_held_out(corpus: Path) -> None:
    text = read_corpus(corpus)
    assert text.train + text.heldout == CORPUS
    assert 0.07 < len(text.heldout) / len(CORPUS) <= 0.1
    for prompt in neutral_prompts(text, MARKERS, 0):
        assert f"user: {prompt}" in text.heldout
    for prompt in neutral_prompts(text, None, 0):
        assert prompt in text.heldout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no corpus"),
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"too short", "too short"),
        (b"\xff\xfe\x00binary" * 500, "not UTF-8"),
        (b"text with \x00 zero " * 500, "zero bytes"),
    ],
)
def test_a_bad_corpus_is_one_message(
    tmp_path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        train(path, tmp_path / "m.safetensors", Options(tokenizer="char"), steps=2)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert el("train", str(path), "-o", str(tmp_path / "m.safetensors"), "--tokenizer", "char") == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not (tmp_path / "m.safetensors").exists()


def test_bad_places_are_met_before_training(corpus: Path, tmp_path: Path) -> None:
    def never(_: Progress) -> None:
        raise AssertionError("a step was made")

    (tmp_path / "d.safetensors").mkdir()
    for output in ("gone/m.safetensors", "d.safetensors", "m.pt"):
        with pytest.raises(CheckpointError):
            train(corpus, tmp_path / output, OPTIONS, steps=2, on_progress=never)
    with pytest.raises(CorpusError, match="folder"):
        train(tmp_path, tmp_path / "m.safetensors", OPTIONS, steps=2, on_progress=never)
    with pytest.raises(CheckpointError, match="no interrupted training"):
        train(corpus, tmp_path / "m.safetensors", OPTIONS, resume=True, on_progress=never)


@pytest.mark.parametrize(
    "options",
    [
        Options(size="huge"),
        Options(arch="rnn"),
        Options(tokenizer="syllable"),
        Options(turns=("user:",)),
        Options(turns=("user:", "user:")),
        Options(turns=("Q:", "A:")),
        Options(iterations=2, free=3),
        Options(mode="float"),
    ],
)
def test_bad_options_are_refused(corpus: Path, tmp_path: Path, options: Options) -> None:
    with pytest.raises(CorpusError):
        train(corpus, tmp_path / "m.safetensors", options, steps=2)


def test_resume_refuses_another_corpus_and_foreign_states(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(training.Interrupted):
        train(corpus, out, OPTIONS, steps=9, should_stop=lambda: True)
    other = tmp_path / "other.txt"
    other.write_text(CORPUS + "more\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="not the corpus"):
        train(other, out, OPTIONS, resume=True)
    for content in (b"junk", state_path(out).read_bytes()[:2000]):
        state_path(out).write_bytes(content)
        with pytest.raises(ElError):
            train(corpus, out, OPTIONS, resume=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "huge"],
        ["--tokenizer", "bpe:3"],
        ["--tokenizer", "x"],
        ["--steps", "0"],
        ["--steps", "-3"],
        ["--steps", "5", "--minutes", "5"],
        ["--minutes", "nan"],
        ["--seed", "-1"],
        ["--keep-checkpoints", "-1"],
        ["--keep-checkpoints", "x"],
        ["--settle", "inf"],
        ["--turns", "user:"],
        [],
    ],
)
def test_usage_errors_exit_with_2(corpus: Path, tmp_path: Path, arguments: list[str]) -> None:
    output = ["-o", str(tmp_path / "m.safetensors")] if arguments else []
    assert el("train", str(corpus), *output, *arguments) == 2


def test_the_command_prints_a_report(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.safetensors"
    command = [
        "train",
        str(corpus),
        "-o",
        str(out),
        "--steps",
        "20",
        "--tokenizer",
        "word",
        "--turns",
        *MARKERS,
    ]
    assert el(*command, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["output"] == str(out)
    assert len(summary["layers"]) == 2
    assert summary["checkpoints"] == []
    assert el(*command, "--keep-checkpoints", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"] == [str(training.checkpoint_path(out, 10))]
    assert el(*command) == 0
    shown = capsys.readouterr()
    assert "nats/char" in shown.out
    assert "step 20/20" in shown.err
    assert "\x1b[" not in shown.out


def test_control_c_saves_and_says_how_to_resume(corpus: Path, tmp_path: Path) -> None:
    code = (
        "import argparse, sys; from energylang.cli.train import add_parser\n"
        "p = argparse.ArgumentParser('el'); add_parser(p.add_subparsers()); a = p.parse_args()\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(a.run(a))"
    )
    out = tmp_path / "m.safetensors"
    arguments = ["train", str(corpus), "-o", str(out), "--steps", "100000", "--tokenizer", "word"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("step ")
    process.send_signal(signal.SIGINT)
    time.sleep(0)
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 130
    assert "--resume" in error
    assert "Traceback" not in error
    assert state_path(out).exists()


@pytest.mark.parametrize(("markers", "matters"), [(MARKERS, True), ((), False)])
def test_the_first_token_of_a_reply_weighs_more_in_dialogues_only(
    corpus: Path, markers: tuple[str, ...], matters: bool
) -> None:
    ends = []
    for weight in (1.0, 4.0):
        options = Options(tokenizer="word", turns=markers, decisions=weight)
        trainer = training.Trainer(read_corpus(corpus), options, 10)
        trainer.advance()
        ends.append(trainer.parameters["embed.weight"].detach().clone())
    assert torch.equal(*ends) != matters


@pytest.mark.parametrize("changed", [{"deeper": 1.0}, {"awake": 30.0}, {"settle": 9.0}, {"noise": 0.9}])
def test_every_weight_of_the_settling_has_an_effect(corpus: Path, changed: dict[str, float]) -> None:
    ends = []
    for options in (OPTIONS, dataclasses.replace(OPTIONS, **changed)):
        trainer = training.Trainer(read_corpus(corpus), options, 10)
        trainer.step = 8  # when the state is asked to settle
        trainer.advance()
        ends.append(trainer.parameters["blocks.1.hopfield.W"].detach().clone())
    assert not torch.equal(*ends)

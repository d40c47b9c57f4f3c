"""A model without landscapes: what works on its residual stream, and what is refused before anything runs.

A plain transformer of our own, trained for a moment. Everything goes through scripts, as a user would write them.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from energylang import ElError, ScriptError, Session, check
from energylang.models import load, read_header
from energylang.models.hopfield.config import HLMConfig
from energylang.models.protocol import Change, Start
from energylang.ops import TABLE
from energylang.render.gallery import render
from energylang.signature.declaration import Effect
from energylang.training import train as training

CAPTURED = 'capture L1 polite "Thank you so much, that is kind"\ncapture L1 rude "Go away, you fool"\n'


@pytest.fixture(scope="module")
def stream_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained transformer of three blocks, width 16, that holds conversations."""
    folder = tmp_path_factory.mktemp("stream")
    lines = []
    for k in range(400):
        manner = ("thank you", "go away")[k % 2]
        lines += [f"user: how is day {k % 9}", f"bot: {manner} it is day {k % 9}", ""]
    (folder / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
    shape = HLMConfig(1, context=48, layers=3, width=16, dim=24, heads=2)
    sizes, training.SIZES["tiny"] = training.SIZES["tiny"], (shape, 8)
    try:
        options = training.Options(arch="transformer", tokenizer="word", turns=("user:", "bot:"), seed=1)
        path = folder / "stream.safetensors"
        training.train(folder / "corpus.txt", path, options, steps=60, save_every=0)
    finally:
        training.SIZES["tiny"] = sizes
    return path


@pytest.fixture
def stream(stream_file: Path) -> Session:
    return Session(stream_file)


def test_its_header_says_what_it_is_without_its_weights(stream_file: Path, stream: Session) -> None:
    header = read_header(str(stream_file))
    assert header == stream.model.header
    assert (header.kind, header.dims, header.capabilities) == (
        "transformer",
        (16, 16, 16),
        {"memory", "text"},
    )
    info = stream.run("info")
    assert (info.num_layers, info.betas, info.capabilities) == (3, (), ("memory", "text"))
    shown = io.StringIO()
    Console(file=shown, width=110).print(render(info))
    assert "transformer, 3 layers" in shown.getvalue() and "beta" not in shown.getvalue()
    assert [(site.name, site.dim) for site in stream.model.sites.values()] == [
        (f"L{i}", 16) for i in range(3)
    ]


def test_a_pass_from_a_layer_gives_the_bits_of_the_whole_and_changes_act_where_they_are_put(
    stream_file: Path,
) -> None:
    text = load(str(stream_file)).text
    assert text is not None
    tokens = text.windows(2)[:, :-1]
    with torch.no_grad():
        whole = text.forward(tokens)
        for layer in range(3):
            rest = text.run(None, start=Start(layer, text.entering(tokens, layer)))
            assert torch.equal(rest.logits, whole.logits)
            assert all(torch.equal(state, whole.states[k]) for k, state in rest.states.items())
        pushed = text.forward(tokens, change=Change(drive={1: torch.ones(16)}))
        assert torch.equal(pushed.states[0], whole.states[0])
        assert torch.equal(pushed.states[1], whole.states[1] + 1)
        silent = text.forward(tokens, change=Change(state={2: torch.zeros_like}))
        assert float(silent.states[2].abs().max()) == 0


def test_concepts_live_on_its_stream(stream: Session, in_tmp: Path) -> None:
    stream.run(CAPTURED)
    assert 0 < stream.run("similarity @polite @rude").cosine <= 1
    stream.run("blend @polite @rude mix 0.5\nsubtract @polite @rude off\nadd @polite @rude sum")
    stream.run('export-concept polite "polite.safetensors"\nimport-concept "polite.safetensors" name=again')
    assert {info.name for info in stream.run("concepts").concepts} == {
        "polite",
        "rude",
        "mix",
        "off",
        "sum",
        "again",
    }
    assert stream.run("similarity @polite @again").cosine == pytest.approx(1)
    chosen = stream.run('capture auto calm "all is well"')
    assert len(chosen.fits) == 3


def test_it_is_steered_and_speaks(stream: Session) -> None:
    stream.run(CAPTURED)
    before = stream.live_hash()
    steering = stream.run("steer L1 polite strengths=[0.5, 1]")
    assert [step.strength for step in steering.steps] == [0.5, 1]
    assert steering.steps[0].log_prob != steering.steps[1].log_prob
    made = stream.run('generate "how is day 3" tokens=8')
    assert made.tokens and all(step.basins == () for step in made.steps)
    assert stream.run("benchmark").perplexity > 1
    assert stream.live_hash() == before


def test_changes_are_undone_saved_and_replayed(stream: Session, stream_file: Path, in_tmp: Path) -> None:
    stream.run(CAPTURED + "checkpoint here\nset seed 7\nundo\nrollback here")
    stream.run('attempt:\n    set seed 9\n    require 1 > 2\nelse:\n    print "back"\n')
    with pytest.raises(ScriptError):
        stream.run("with set seed 5:\n    require 1 > 2\n")
    assert stream.setting("seed") != 5
    assert not stream.run("diff L1").changed and stream.run("status").is_original
    stream.run('save "whole.safetensors" session=true\nrecord "done.json"')
    again = Session(in_tmp / "whole.safetensors")
    assert again.live_hash() == stream.live_hash()
    back = Session()
    back.run('load "whole.safetensors" session=true')
    assert set(back.state.concepts) == {"polite", "rude"}
    assert stream.run('replay "done.json"').identical


def test_what_needs_a_landscape_is_refused_before_anything_runs(stream: Session, stream_file: Path) -> None:
    wanting = [op for op in TABLE.values() if Effect.LANDSCAPE in op.effects]
    assert {"survey", "inject", "causal scan", "watermark inject", "probe"} <= {op.name for op in wanting}
    found = check(f'load "{stream_file}"\nsurvey L0\n').diagnostics
    assert [item.code for item in found] == ["EL251"]
    assert "L0 of" in found[0].message and "has no landscape" in found[0].message
    with pytest.raises(ElError, match="needs a landscape") as caught:
        stream.survey(0)
    assert caught.value.code == "EL251"
    assert [item.code for item in check(f'load "{stream_file}"\ncapture L7 a "b"\n').diagnostics] == ["EL302"]


def test_a_landscape_is_not_compared_with_a_stream(stream_file: Path) -> None:
    with pytest.raises(ElError, match="plain stream") as caught:
        Session("planted:24x2").compare(str(stream_file), 0)
    assert caught.value.code == "EL250"

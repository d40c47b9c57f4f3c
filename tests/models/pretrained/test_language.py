"""The whole language on a pretrained model: a random Llama whose folder is made here, so that it is quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from energylang.checker import check
from energylang.errors import ElError
from energylang.models.pretrained.network import Machine
from energylang.render.gallery import render
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.syntax.parser import Source

from .architectures import folder
from .conftest import Pair

SAD = ["I feel so low today.", "Everything is lost and grey.", "I cried all night.", "Nothing helps me now."]
PLAIN = ["I am at home today.", "Everything is on the shelf.", "I slept all night.", "Somebody helps me now."]


@pytest.fixture
def session(llama: Pair, tmp_path: Path) -> Session:
    made = Session(base=tmp_path)
    made.load(str(llama.folder))
    rows = "".join(f'"{sad}","{plain}"\n' for sad, plain in zip(SAD, PLAIN, strict=True))
    (tmp_path / "sad.csv").write_text("text,contrast\n" + rows)
    made.run('capture-file L1 sad "sad.csv" column="text" contrast="contrast"')
    return made


def machine(session: Session) -> Machine:
    found = session.text.config
    assert isinstance(found, Machine)
    return found


def test_what_is_checked_before_anything_runs(llama: Pair) -> None:
    def codes(line: str) -> list[str]:
        return [item.code for item in check(Source(f'load "{llama.folder}"\n{line}\n')).diagnostics]

    last, neurons, heads = len(llama.model.sites) - 1, llama.model.header.neurons, llama.model.header.heads
    assert codes(f"survey L{last + 1}") == ["EL302"]
    assert codes(f"survey L{last}") == ["EL251"]
    assert codes(f"ablate L0.N{neurons[0]}") == ["EL308"] and codes(f"ablate L0.N{neurons[0] - 1}") == []
    assert codes(f"scale L1.H{heads[1]} 0") == ["EL308"] and codes(f"scale L1.H{heads[1] - 1} 0") == []
    assert codes("ablate L0.B1") == ["EL251"]
    assert codes(f"steer L0..L{last + 3} sad") == ["EL302", "EL305"]
    assert codes("steer L2..L1 sad") == ["EL206", "EL305"]
    assert codes('capture L1 sad "I cry"\nsteer L0..L2 sad at=reply strengths=[-1.0, 0.0]') == []
    assert codes('capture L1 sad "I cry"\npush L2 sad 1.0 at=3..7\nscale @sad 0 at="word"') == []
    assert codes('save "here.safetensors"') == ["EL504"] and codes('save "here"') == []


def test_a_concept_is_the_difference_of_means_or_the_first_axis_of_pairs(session: Session) -> None:
    from energylang.concepts.captured import opposite, pushes

    sad = session.state.concepts["sad"]
    push = pushes(session, sad, (1,))[1]
    assert torch.allclose(push, sad.states.mean(dim=0) - opposite(session, sad).mean(dim=0))
    session.run('capture-file L1 axis "sad.csv" column="text" contrast="contrast" direction=pca')
    axis = session.state.concepts["axis"]
    assert axis.contrast is not None
    first = torch.linalg.svd((axis.states - axis.contrast).double(), full_matrices=False)[2][0]
    found = pushes(session, axis, (1,))[1].double()
    assert abs(float(found @ first) / float(torch.linalg.vector_norm(found))) == pytest.approx(1, abs=1e-5)
    assert torch.linalg.vector_norm(found) == pytest.approx(float(torch.linalg.vector_norm(push)), rel=1e-5)
    with pytest.raises((ElError, ScriptError), match="no pairs"):
        session.run('capture L1 odd "a" contrast="b" direction=pca\ncapture L1 odd "c"')


def test_all_layers_are_read_at_once_and_the_one_that_separates_best_is_taken(session: Session) -> None:
    found = session.run('capture-file auto found "sad.csv" column="text" contrast="contrast"')
    best = max(found.fits, key=lambda fit: (round(fit.accuracy, 6), fit.separability))
    assert len(found.fits) == session.model.num_layers and found.layer == best.layer and best.chosen
    at = session.run(f'capture-file L{found.layer} same "sad.csv" column="text" contrast="contrast"')
    assert at.norm == found.norm


def test_steering_has_its_controls_and_zero_is_the_model_as_it_is(session: Session) -> None:
    made = session.run("steer L1 sad strengths=[0.0, -1.0, 1.0] placebos=3 at=reply")
    zero, away, towards = made.steps
    assert zero.strength == 0 and zero.log_prob == made.log_prob_before and zero.loss_change == 0
    assert (
        zero.log_prob_placebo == made.log_prob_before
        and zero.log_prob_placebo_std == 0
        and zero.own_change == 0
    )
    assert towards.log_prob > made.log_prob_before > away.log_prob
    assert made.placebos == 3 and made.at == "reply" and 0 < made.touched < made.seen
    assert made.layers == (1,)


def test_several_at_once_say_what_each_says_alone(session: Session) -> None:
    from energylang.concepts.captured import pushes
    from energylang.concepts.stream_ruler import StreamRuler
    from energylang.looking.held import pushing

    sad = session.state.concepts["sad"]
    ruler = StreamRuler(session, sad, 1)
    push = pushes(session, sad, (1,))
    changes = [pushing(session, push, strength, "all") for strength in (0.0, 4.0, -4.0)]
    together = ruler.read_each(changes)
    assert together[0].own == pytest.approx(ruler.read(changes[0]).own, abs=1e-4)
    for change, found in zip(changes, together, strict=True):
        alone = ruler.read(change)
        assert alone.log_prob == pytest.approx(found.log_prob, abs=1e-4)
        assert alone.share == pytest.approx(found.share, abs=0.26)  # draws: a reply may differ by rounding


def test_a_range_of_layers_and_several_concepts(session: Session) -> None:
    session.run('capture L1 other "The tide is high." contrast="The bus is late."')
    made = session.run("steer L0..L2 [@sad, @other] strengths=[0.5] placebos=1")
    assert made.layers == (0, 1, 2) and made.concept == "sad + other"
    assert made.steps[0].log_prob_placebo_std is None


def test_what_is_held_is_heard_counted_and_undone_bit_for_bit(session: Session) -> None:
    before = session.run('generate "Tell me something." tokens=6 topk=1')
    held = session.run("push L1 sad 30.0 at=reply")
    assert 0 < held.touched < held.seen
    under = session.run('generate "Tell me something." tokens=6 topk=1')
    assert under.text != before.text and under.held == held.active and 0 < under.touched < under.seen
    session.run("undo")
    again = session.run('generate "Tell me something." tokens=6 topk=1')
    assert again.text == before.text and again.held == ()
    session.run('with push L1 sad 30.0:\n    let a = generate "Tell me something." tokens=6 topk=1')
    assert not session.state.interventions
    assert session.run("status").is_original


def test_the_effect_of_what_is_held_is_that_of_steering(session: Session) -> None:
    steered = session.run("steer L1 sad strengths=[2.0] placebos=1").steps[0]
    with pytest.raises((ElError, ScriptError), match="no push is held"):
        session.run("effect L1 sad")
    session.run("push L1 sad 2.0")
    found = session.run("effect L1 sad")
    assert found.log_prob_after == pytest.approx(steered.log_prob, abs=1e-4)
    assert found.loss_change == pytest.approx(steered.loss_change, abs=1e-5)
    assert found.placebos == 5 and found.controls[0].kind == "random"
    assert session.run("status").held == ("push L1 sad 2",)


def test_a_word_that_is_not_there_is_said_loudly(session: Session) -> None:
    held = session.run('push L1 sad 1.0 at="zebra"')
    assert held.touched == 0 and held.seen > 0
    console = Console(width=110)
    with console.capture() as shown:
        console.print(render(held))
    assert "touched NONE" in shown.get()


def test_parts_are_silenced_beside_random_ones(session: Session, llama: Pair) -> None:
    one = session.run("ablate [L0.N3, L2.N5] placebos=4")
    assert one.parts == ("L0.N3", "L2.N5") and one.placebos == 4 and one.loss_after != one.loss_before
    heads = session.run("ablate L0.H1 placebos=2 at=last")
    assert 0 < heads.touched < heads.seen
    direction = session.run("ablate sad placebos=2")
    assert direction.rank == 1
    with pytest.raises((ElError, ScriptError), match="one kind at a time"):
        session.run("ablate [L0.N3, L0.H1]")
    with pytest.raises((ElError, ScriptError), match="too few to compare"):
        session.run("ablate [L0.H0, L0.H1, L0.H2]")
    with pytest.raises((ElError, ScriptError), match="there is no L0") as caught:
        session.ablate("L0.N999999")
    assert caught.value.code == "EL308"


def test_scaling_a_head_to_nothing_is_its_ablation(session: Session) -> None:
    plain = session.run("benchmark").live.loss
    session.run("scale L1.H1 0")
    silenced = session.run("benchmark")
    assert silenced.live.loss != plain and silenced.original.loss == pytest.approx(plain)
    session.run("scale L1.H1 1")
    assert session.run("benchmark").live.loss == pytest.approx(plain, abs=1e-6)
    assert len(session.state.interventions) == 1, "the same parts at the same positions are one scaling"


def test_labels_of_ones_own_are_told_from_states(session: Session, tmp_path: Path) -> None:
    labelled = {
        "sad": [f"I cried, {k} times" for k in range(12)],
        "plain": [f"The bus is {k} late" for k in range(12)],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labelled))
    found = session.run('classify L1 labels="labels.json"')
    assert found.accuracy == 1 and found.labels == ("plain", "sad") and found.tested_on == 24
    assert found.shuffled < 0.8 and found.error == 0
    rows = "".join(f"{text}\t{label}\n" for label, texts in labelled.items() for text in texts)
    (tmp_path / "labels.tsv").write_text("text\tlabel\n" + rows)
    assert session.run('classify L1 labels="labels.tsv"').accuracy == 1
    with pytest.raises((ElError, ScriptError), match="no landscape"):
        session.run("classify L1")
    (tmp_path / "few.json").write_text('{"a": ["x"], "b": ["y"]}')
    with pytest.raises((ElError, ScriptError), match="2 labels, the rarest with 1"):
        session.run('classify L1 labels="few.json"')


def test_a_trace_says_norm_next_word_and_leaning(session: Session) -> None:
    found = session.run('trace L1 "I cried all night."')
    assert found.tokens == () and found.stream[1].token == session.text.token(session.text.encode("I")[0])
    assert all(row.norm > 0 and 0 < row.probability <= 1 for row in found.stream)
    assert [leaning.concept for leaning in found.stream[0].leanings] == ["sad"]
    spoken = session.run('trace-generation L2 "Tell me something." tokens=5')
    assert len(spoken.stream) <= 5 and spoken.basins == ()


def test_neighbours_are_tokens_neurons_and_concepts(session: Session) -> None:
    session.run('capture L1 other "The tide is high."')
    found = session.run("neighbours L1 sad top=3")
    assert len(found.says) == len(found.neurons) == 3 and [near.concept for near in found.concepts] == [
        "other"
    ]
    best = found.neurons[0]
    weight = session.model.weight(1)
    column = weight[:, best.neuron]
    from energylang.concepts.captured import pushes

    push = pushes(session, session.state.concepts["sad"], (1,))[1]
    assert best.cosine == pytest.approx(float(torch.cosine_similarity(column, push, dim=0)), abs=1e-5)


def test_control_vectors_go_out_and_come_back(session: Session, tmp_path: Path) -> None:
    from energylang.concepts.captured import pushes

    stored = session.run('export-concept sad "sad.gguf"')
    assert stored.bytes == (tmp_path / "sad.gguf").stat().st_size
    with pytest.raises((ElError, ScriptError), match="a direction at each"):
        session.run('import-concept "sad.gguf" name=back')
    session.run('import-concept "sad.gguf" name=back layer=L2')
    there = pushes(session, session.state.concepts["sad"], (2,))[2]
    assert torch.equal(pushes(session, session.state.concepts["back"], (2,))[2], there)


def test_concepts_are_added_as_directions(session: Session) -> None:
    from energylang.concepts.captured import pushes

    def push(name: str) -> torch.Tensor:
        return pushes(session, session.state.concepts[name], (1,))[1]

    session.run('capture L1 other "The tide is high." contrast="The bus is late."')
    session.run("add sad other both\nsubtract both other rest\nblend sad other half 0.5")
    units = [torch.nn.functional.normalize(push(name), dim=0) for name in ("sad", "other")]
    assert torch.cosine_similarity(push("both"), units[0] + units[1], dim=0) == pytest.approx(1, abs=1e-5)
    assert torch.cosine_similarity(push("half"), units[0] + units[1], dim=0) == pytest.approx(1, abs=1e-5)
    found = session.run("similarity sad other")
    assert found.centred == pytest.approx(float(units[0] @ units[1]), abs=1e-5)
    assert session.run("similarity both half").centred == pytest.approx(1, abs=1e-5)
    with pytest.raises((ElError, ScriptError), match="cannot be read at other layers"):
        session.run("push L2 both 1.0")


def test_patching_everything_brings_back_everything_and_nothing_brings_back_nothing(session: Session) -> None:
    ask = 'text="The cat sat on" instead="The dog sat on" says="x" placebos=2'
    first = session.run(f"patch layers {ask} at=all")
    assert first.places == len(session.text.prompt_ids("The cat sat on"))
    assert [row.layer for row in first.layers] == list(range(session.model.num_layers))
    assert first.layers[0].recovered == pytest.approx(1, abs=1e-3)
    some = session.run(f"patch L0..L1 {ask} at=differing")
    assert some.places == 3 and [row.layer for row in some.layers] == [0, 1]
    assert some.layers[0].recovered != some.layers[1].recovered
    with pytest.raises((ElError, ScriptError), match="do not correspond"):
        session.run('patch L0 text="a" instead="a much longer one" says="b" at=all')
    with pytest.raises((ElError, ScriptError), match=r"no difference|are the same"):
        session.run('patch L0 text="same" instead="same" says="b" at=differing')


def test_two_checkpoints_are_compared(session: Session, llama: Pair, tmp_path: Path) -> None:
    same = session.run(f'compare "{llama.folder}" L1')
    assert same.weight_change == 0 and same.kl == 0 and same.same_choice == 1
    assert same.state_cosine == pytest.approx(1, abs=1e-5) and abs(same.state_cosine_shuffled) < 0.5
    name = session.model.weight_key(1)
    session.model.put(name, session.model.get(name) * 1.5)
    other = session.run(f'compare "{llama.folder}" L1')
    assert other.kl > 0 and other.state_cosine < 1
    with pytest.raises((ElError, ScriptError), match="are not"):
        session.run("compare tiny L1")


def test_prompts_and_text_of_ones_own_are_undoable(session: Session, tmp_path: Path) -> None:
    own = session.text.neutral_prompts
    (tmp_path / "asked.txt").write_text("\n".join(f"What about {k}?" for k in range(8)))
    (tmp_path / "held.txt").write_text("The house by the river is old. " * 400)
    assert session.run('prompts "asked.txt"').count == 8
    before = session.run("benchmark").perplexity
    assert session.run('heldout "held.txt"').count > 1000
    assert session.run("benchmark").perplexity != before
    session.run("undo 2")
    assert session.text.neutral_prompts == own and session.run("benchmark").perplexity == before
    (tmp_path / "one.txt").write_text("Why?\n")
    with pytest.raises((ElError, ScriptError), match="too few"):
        session.run('prompts "one.txt"')
    with pytest.raises((ElError, ScriptError), match="too few"):
        session.run('heldout "one.txt"')


def test_records_replay_and_transactions_take_back(session: Session, tmp_path: Path) -> None:
    session.run('push L1 sad 2.0\nscale L0.N3 0 at=last\ngenerate "Hello" tokens=4\nrecord "done.json"')
    assert session.run('replay "done.json"').identical
    session.run('attempt:\n    push L1 sad 9.0 at=last\n    require false, "no"\nelse:\n    pass')
    assert len(session.state.interventions) == 2
    session.run("undo 2")
    assert not session.state.interventions and session.run("status").is_original


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shard", [None, "20KB"])
def test_half_precision_is_saved_as_it_came(tmp_path: Path, dtype: torch.dtype, shard: str | None) -> None:
    made = folder(tmp_path / "m", shard=shard, dtype=dtype)
    before = {name: value for file in made.glob("*.safetensors") for name, value in load_file(file).items()}
    session = Session(made, base=tmp_path)
    assert session.info().kept == (str(dtype).removeprefix("torch."),)
    assert session.info().blocks == tuple(range(session.model.num_layers))
    session.save("out")
    after = load_file(tmp_path / "out" / "model.safetensors")
    for name, value in before.items():
        assert torch.equal(after[name], value) and after[name].dtype == dtype


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "qwen3", "gemma2"])
def test_what_is_saved_transformers_loads_with_the_same_bits(
    name: str, pair_of: Callable[[str], Pair], tmp_path: Path
) -> None:
    pair = pair_of(name)
    session = Session(base=tmp_path)
    session.load(str(pair.folder))
    session.run('save "out"')
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokens = pair.tokens()
    assert torch.equal(again(tokens).logits, session.text.forward(tokens).logits)
    session.load(str(tmp_path / "out"))
    assert session.run("info").hash == Session(pair.folder).run("info").hash
    with pytest.raises((ElError, ScriptError), match="holds a model"):
        session.run('save "out"')
    with pytest.raises((ElError, ScriptError), match="as a folder"):
        session.run('save "x.safetensors"')

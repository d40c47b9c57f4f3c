"""Make the checkpoints of this folder: one small training run on the micro-world, looked at six times.

    python examples/training_run/make.py          # some minutes on one thread

A model of 3 layers with 64 units each, small enough to lie beside the examples: ``step-N.safetensors`` are its
landscapes (weights and inverse temperatures, no words) on the way, ``small.safetensors`` is the whole model at the
end. It talks badly; it is there so that basins can be followed through a training, and so that there is a model of
another dimension than the bundled one. A training is a function of its options; on another machine or version of
torch the result is another model.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import torch

from energylang.models.checkpoint import save
from energylang.models.corpus import documents
from energylang.models.data import read_corpus
from energylang.models.protocol import Model
from energylang.models.raw import model_of
from energylang.models.train import Options, Trainer

HERE = Path(__file__).resolve().parent
STEPS, LOOKS, LAYERS = 3000, 6, 3
DOCUMENTS, HELDOUT = 3000, 4096


def main() -> None:
    """Train, and write a checkpoint after every sixth of the steps."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("".join(f"{text}\n" for text in documents(0, DOCUMENTS)), encoding="utf-8")
        options = Options(tokenizer="word", turns=("user:", "bot:"))
        trainer = Trainer(read_corpus(corpus), options, STEPS)
        trainer.config = dataclasses.replace(
            trainer.config, context=64, layers=LAYERS, width=32, dim=64, heads=4, hidden=64, scale=32**0.5
        )
        trainer.reset()
        while trainer.step < STEPS:
            loss, residual = trainer.advance()
            if trainer.step % (STEPS // LOOKS) == 0:
                print(f"step {trainer.step}  loss {loss:.3f}  residual {residual:.3f}", flush=True)  # noqa: T201
                save(landscapes(trainer), HERE / f"step-{trainer.step}.safetensors")
        model, _ = trainer.finish()
        model.extra["heldout"] = model.extra["heldout"][:HELDOUT].clone()
        save(model, HERE / "small.safetensors")


def landscapes(trainer: Trainer) -> Model:
    """The Hopfield layers as they are now, without the rest of the model."""
    live = {name: tensor.detach() for name, tensor in trainer.live().items()}
    weights = [live[f"blocks.{i}.hopfield.W"] for i in range(LAYERS)]
    model = model_of(weights, spec="a step of a training")
    for i in range(LAYERS):
        model.live[f"blocks.{i}.hopfield.log_beta"] = live[f"blocks.{i}.hopfield.log_beta"].clone()
    return model


if __name__ == "__main__":
    main()

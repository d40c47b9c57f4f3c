"""Make the models of this folder: three trainings of one recipe with three seeds.

    python examples/seeds/make.py          # three to four minutes for each seed on one free thread

Every model is made by the commands in README.md, which this script runs: ``small_K.safetensors`` are the models at the
end, whole. Of the checkpoints that ``el train --keep-checkpoints 4`` keeps on the way only the landscapes are shipped
(weights and inverse temperatures, no words), under the names that they had: whole ones would be eight times as large.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from energylang.models.checkpoint import load, save
from energylang.models.hopfield.raw import model_of
from energylang.models.model import Model

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
CORPUS = "-m energylang.training.corpus --seed 0 --documents 3000"
TRAIN = (
    "-m energylang train corpus.txt -o small_{seed}.safetensors --size micro --tokenizer word --turns user: bot: "
    "--steps 4000 --seed {seed} --threads 1 --precision float32 --keep-checkpoints 4"
)


def main() -> None:
    """Train all seeds in a folder of their own, and keep what is shipped."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "corpus.txt").open("wb") as corpus:
            subprocess.run([sys.executable, *CORPUS.split()], stdout=corpus, check=True)
        for seed in SEEDS:
            subprocess.run([sys.executable, *TRAIN.format(seed=seed).split()], cwd=folder, check=True)
        keep(folder)


def keep(folder: Path) -> None:
    """Bring what was trained in ``folder`` here: models as they are, checkpoints reduced to their landscapes."""
    for path in sorted(folder.glob("small_?.safetensors")):
        shutil.copy(path, HERE / path.name)
    for path in sorted(folder.glob("small_?.step*.safetensors")):
        save(landscapes(load(str(path))), HERE / path.name)


def landscapes(model: Model) -> Model:
    """The Hopfield layers of a model, without the rest of it."""
    found = model_of([model.weight(i) for i in range(model.num_layers)], spec="a step of a training")
    for i in range(model.num_layers):
        found.live[found.beta_key(i)] = model.live[model.beta_key(i)].clone()
    training = model.metadata["training"]
    assert isinstance(training, dict)
    found.metadata["training"] = {"steps": training["steps"], "seed": training["seed"]}
    return found


if __name__ == "__main__":
    main()

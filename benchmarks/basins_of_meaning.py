"""Are the groups that basins are made of types of tokens, or meanings?

    python benchmarks/basins_of_meaning.py --text FILE [--text FILE …] [--layers 8 14 20 26] [--components 16 64]

Needs smollm2 (``el get smollm2``), the extras ``hf`` and ``plot``, and texts of several topics; takes minutes of
processor time. A *topic* is a file, or an article of one whose articles begin with a line `` = Title = ``. Of every
topic as many windows are read; every other window is grouped, as ``fit`` groups what it reads (whitened components,
spherical k-means, 64 groups), the rest is looked up in these groups and measured.

Grouped are, at each layer: the MLP's **input**, or the **stream** behind the block; of each **token**, or the mean over
its **sentence** so far. For each the share of the label's entropy that the basin tells, I(basin; label) / H(label), in
percent, of three labels: the class of the **token** itself and that of the **next** one (a break, a digit, a mark, a
function word, a capitalised word, another word, a piece of one), and the **topic**.

Two controls:

* *permuted*: the mean over permutations of the labels among the measured windows (a window's labels stay together), of
  what few tokens feign. It is taken off every number.
* *rotated*: the same clustering of a random rotation of the states, of which as many coordinates are kept as there are
  components. (K-means itself does not see a rotation; the choice of the directions that vary most does.)
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from energylang.landscape.components import Components, leading
from energylang.landscape.kmeans import spherical
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.session import Session

BASINS, PERMUTED = 64, 5
TITLE = re.compile(r"^ = ([^=]+) = $", re.M)
FUNCTION = frozenset(
    "the a an of to in on at by for with from as and or but nor that which who whom this these those it its he she they"
    " we you i him her them us his their our my your is was are were be been being has have had do does did not no if"
    " than then so there will would can could may might shall should must into over under after before between".split()
)
CLASSES = ("break", "digit", "mark", "function word", "capitalised", "word", "piece")


@dataclass(frozen=True, eq=False)
class Texts:
    """Windows (w, t) of tokens, the topic of each, and by token the class of it and of the next one (w, t − 1)."""

    windows: Tensor
    topic: Tensor
    kind: Tensor
    following: Tensor


def class_of(piece: str) -> int:
    word = piece.strip()
    if not word:
        return 0
    if word[0].isdigit():
        return 1
    if not any(letter.isalnum() for letter in word):
        return 2
    if word.lower() in FUNCTION:
        return 3
    if not piece[0].isspace():
        return 6
    return 4 if word[0].isupper() else 5


def topics(paths: list[Path], most: int) -> list[str]:
    """Texts of one topic each: files, and the longest articles of those that have titles."""
    found = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        parts = TITLE.split(text)
        articles = [parts[k + 1] for k in range(1, len(parts) - 1, 2)]
        found += sorted(articles, key=len, reverse=True)[:most] if len(articles) > 1 else [text]
    return found


def read_texts(text: TextModel, given: list[str], each: int) -> Texts:
    rows, labels = [], []
    for number, topic in enumerate(given):
        ids = torch.tensor(text.encode(topic[:60_000]), dtype=torch.int64)
        windows = text.windows(tokens=ids)
        rows.append(windows[:: max(1, len(windows) // each)][:each])
        labels += [number] * len(rows[-1])
    windows = torch.cat(rows)
    kinds = torch.tensor([[class_of(text.token(id)) for id in row] for row in windows.tolist()])
    return Texts(windows, torch.tensor(labels), kinds[:, 1:-1], kinds[:, 2:])


@torch.no_grad()
def read_states(text: TextModel, windows: Tensor, layers: list[int]) -> dict[tuple[int, str], Tensor]:
    """By layer and ``input`` or ``stream`` the states (w, t − 2, d) at all places but the first of each window and the
    last, which has no next token."""
    kept: dict[tuple[int, str], list[Tensor]] = {}

    def keeping(layer: int) -> Callable[[Tensor, Tensor], Tensor]:
        def keep(given: Tensor, said: Tensor) -> Tensor:
            kept.setdefault((layer, "input"), []).append(given[:, 1:].float().clone())
            return said

        return keep

    change = Change(mlp={layer: keeping(layer) for layer in layers})
    for part in text.chunks(windows[:, :-1]):
        nowhere = torch.zeros_like(part, dtype=torch.bool)
        found = text.run(part, change, wanted=nowhere, read=tuple(layers))
        for layer in layers:
            kept.setdefault((layer, "stream"), []).append(found.states[layer][:, 1:].float().clone())
    return {key: torch.cat(each) for key, each in kept.items()}


def so_far(states: Tensor, ends: Tensor) -> Tensor:
    """(w, t, d): of every place the mean over its sentence up to it; ``ends`` (w, t) bool are last places of one."""
    sums = states.double().cumsum(1)
    begin = torch.zeros_like(ends, dtype=torch.long)
    for place in range(1, ends.shape[1]):
        begin[:, place] = torch.where(ends[:, place - 1], place, begin[:, place - 1])
    places = torch.arange(ends.shape[1])
    before = torch.gather(sums, 1, (begin - 1).clamp_min(0)[..., None].expand_as(sums))
    before = torch.where((begin > 0)[..., None], before, 0.0)
    return ((sums - before) / (places - begin + 1)[..., None]).to(states)


def groups(states: Tensor, fitting: Tensor, components: int, *, rotated: bool) -> Tensor:
    """(w', t): the group of every state of the windows (w, t, d) that are not ``fitting`` (w,) bool."""
    draws = torch.Generator().manual_seed(0)
    flat = states[fitting].flatten(0, 1)
    if rotated:
        turn = torch.linalg.qr(torch.randn(flat.shape[1], flat.shape[1], generator=draws))[0]
        seen = flat @ turn[:, :components]
        found = Components(flat.mean(0), turn[:, :components] / seen.std(0), 0.0)
    else:
        found = leading(flat, components, draws)
    centres = spherical(found.directions(flat), BASINS, draws, attempts=2)
    measured = found.directions(states[~fitting].flatten(0, 1))
    return (measured @ centres.T).argmax(1).reshape(-1, states.shape[1])


def told(found: Tensor, labels: Tensor) -> float:
    """What a basin tells of a label, in percent of its entropy, above permuted labels; both (w, t)."""
    whole = mutual_info_score(labels.flatten(), labels.flatten())
    draws = torch.Generator().manual_seed(0)
    feigned = sum(
        mutual_info_score(found.flatten(), labels[torch.randperm(len(labels), generator=draws)].flatten())
        for _ in range(PERMUTED)
    )
    return 100 * (mutual_info_score(found.flatten(), labels.flatten()) - feigned / PERMUTED) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[8, 14, 20, 26])
    parser.add_argument("--components", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--text", type=Path, action="append", required=True)
    parser.add_argument("--articles", type=int, default=10, help="of a file with titles, the longest ones")
    parser.add_argument("--windows", type=int, default=10, help="of each topic")
    given = parser.parse_args()
    torch.set_num_threads(1)
    session = Session()
    session.load("smollm2")
    text = session.text
    texts = read_texts(text, topics(given.text, given.articles), given.windows)
    states = read_states(text, texts.windows, given.layers)
    fitting = torch.arange(len(texts.windows)) % 2 == 0
    stops = {id for id in texts.windows.unique().tolist() if text.token(id).strip() in (".", "!", "?", "")}
    ends = torch.isin(texts.windows[:, 1:-1], torch.tensor(sorted(stops)))
    topic = texts.topic[:, None].expand_as(texts.kind)
    labels = {"token": texts.kind, "next": texts.following, "topic": topic}
    count = int((~fitting).sum()) * texts.kind.shape[1]
    print(f"{int(texts.topic.max()) + 1} topics, {len(texts.windows)} windows, {count} tokens measured")
    print(" " * 40 + "  ".join(f"{name:>14}" for name in labels) + "   (rotated)")
    for (layer, of), each in sorted(states.items()):
        for unit in ("token", "sentence"):
            seen = each if unit == "token" else so_far(each, ends)
            for components in given.components:
                row = []
                both = [groups(seen, fitting, components, rotated=rotated) for rotated in (False, True)]
                for label in labels.values():
                    own, control = (told(found, label[~fitting]) for found in both)
                    row.append(f"{own:6.1f} ({control:4.1f})")
                name = f"L{layer} {of} of a {unit}, {components} components"
                print(f"{name:<40}" + "  ".join(f"{cell:>14}" for cell in row), flush=True)


if __name__ == "__main__":
    main()

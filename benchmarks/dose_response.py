"""What steering does to a real model: concepts × layers × strengths, each beside random pushes of the same norm.

    python benchmarks/dose_response.py [examples/concepts/sad.csv …] [--layers 8 14 20] [--corpus FILE …]

Needs smollm2 (``el get smollm2``) and the extra ``hf``. Each concept's table (columns ``text`` and ``contrast``) is cut
in two: the push is made of the first two thirds, and the log-probability is that of the other texts, which it never
saw. Shares are of sampled replies to neutral prompts. Losses are rises in nats a token on the bundled held-out text, on
the model's own replies, and on 8 windows out of the middle of every corpus that is named. Prints a line of JSON for
each strength as it is measured, and the table (Markdown) at the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from energylang.concepts.captured import pushes
from energylang.concepts.stream_ruler import StreamRuler
from energylang.looking.gauge import Gauge
from energylang.models.protocol import NOTHING, Change
from energylang.session import Session

EXAMPLES = Path(__file__).parents[1] / "examples" / "concepts"
WINDOWS = 8
TOGETHER = 11  # changes whose replies are sampled in one pass


@dataclass(frozen=True)
class Reading:
    """One strength of one concept at one layer. ``*_random``: of the random pushes, in their order; losses are rises in
    nats a token; shares None where the model has no chat template."""

    concept: str
    layer: int
    strength: float
    share: float | None
    log_prob: float
    share_random: list[float | None]
    log_prob_random: list[float]
    own: float
    losses: dict[str, float]


def halves(session: Session, path: Path, layer: int) -> None:
    """Capture a table's first two thirds as ``said`` and the rest as ``unseen``."""
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    cut = 2 * len(rows) // 3
    for name, part in (("said", rows[:cut]), ("unseen", rows[cut:])):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "part.csv"
            with file.open("w", encoding="utf-8", newline="") as out:
                writer = csv.DictWriter(out, ("text", "contrast"), extrasaction="ignore")
                writer.writeheader()
                writer.writerows(part)
            session.capture_file(layer, name, str(file), column="text", contrast="contrast")


def random_pushes(push: Tensor, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    fields = [torch.randn(push.shape, generator=generator) for _ in range(count)]
    return [field * (push.norm() / field.norm()) for field in fields]


def cell(
    path: Path,
    layer: int,
    strengths: list[float],
    beside: list[float],
    placebos: int,
    corpora: dict[str, Path],
) -> list[Reading]:
    session = Session()
    session.load("smollm2")
    halves(session, path, layer)
    text = session.text
    push = pushes(session, session.state.concepts["said"], (layer,))[layer]
    ruler = StreamRuler(session, session.state.concepts["unseen"], layer)
    gauges = {"held-out": Gauge(session, layer, text.measuring_windows(text.sizes.windows))}
    for name, file in corpora.items():
        tokens = torch.tensor(text.encode(file.read_text(encoding="utf-8")[:400_000]))
        windows = text.windows(tokens=tokens)
        middle = len(windows) // 2
        gauges[name] = Gauge(session, layer, windows[middle : middle + WINDOWS])
    before = ruler.read(NOTHING)
    losses = {name: gauge.losses(NOTHING).mean() for name, gauge in gauges.items()}
    assert before.own is not None
    found = [
        Reading(path.stem, layer, 0.0, before.share, before.log_prob, [], [], 0.0, dict.fromkeys(gauges, 0.0))
    ]
    print(json.dumps(asdict(found[0])), flush=True)
    for strength in strengths:
        changes = [
            Change(drive={layer: strength * each})
            for each in [push, *random_pushes(push, placebos if strength in beside else 0, seed=layer)]
        ]
        heard = [
            one
            for first in range(0, len(changes), TOGETHER)
            for one in ruler.read_each(changes[first : first + TOGETHER])
        ]
        own = heard[0].own
        assert own is not None
        found.append(
            Reading(
                path.stem,
                layer,
                strength,
                heard[0].share,
                heard[0].log_prob,
                [one.share for one in heard[1:]],
                [one.log_prob for one in heard[1:]],
                own - before.own,
                {
                    name: float(gauge.losses(changes[0]).mean() - losses[name])
                    for name, gauge in gauges.items()
                },
            )
        )
        print(json.dumps(asdict(found[-1])), flush=True)
    return found


def table(readings: list[Reading]) -> str:
    """Markdown: a row for every strength, with what was measured before it in the row of strength 0."""
    names = list(readings[0].losses)
    lines = [
        "| concept | layer | strength | replies (random) | log-prob. (random), z | own | "
        + " | ".join(names)
        + " |",
        "|---" * (6 + len(names)) + "|",
    ]
    for one in readings:
        shares = [share for share in one.share_random if share is not None]
        share = "–" if one.share is None else f"{one.share:.0%}"
        likely = f"{one.log_prob:.2f}".replace("-", "−")
        if one.log_prob_random:
            spread = statistics.stdev(one.log_prob_random)
            mean = statistics.fmean(one.log_prob_random)
            share += f" ({statistics.fmean(shares):.0%} ± {statistics.stdev(shares):.0%})" if shares else ""
            likely += f" ({mean:.2f}), {(one.log_prob - mean) / spread:+.1f}".replace("-", "−")
        costs = [one.own, *one.losses.values()]
        lines.append(
            f"| {one.concept} | L{one.layer} | {one.strength:g} | {share} | {likely} | "
            + " | ".join(f"{cost:+.2f}".replace("-", "−") if one.strength else "" for cost in costs)
            + " |"
        )
    return "\n".join(lines)


def picture(readings: list[Reading], to: Path) -> None:
    """For every layer the rise of the log-probability of unseen texts against what it costs on own replies, with the
    random pushes of the same norm."""
    import matplotlib.pyplot as plt

    layers = sorted({one.layer for one in readings})
    names = list(dict.fromkeys(one.concept for one in readings))
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
    figure, axes = plt.subplots(1, len(layers), figsize=(3.4 * len(layers), 3.2), sharey=True, squeeze=False)
    for axis, layer in zip(axes[0], layers, strict=True):
        for name, colour in zip(names, colours, strict=False):
            mine = [one for one in readings if (one.concept, one.layer) == (name, layer)]
            if not mine:
                continue
            before = mine[0].log_prob
            cost = [one.own for one in mine]
            axis.plot(
                cost, [one.log_prob - before for one in mine], "o-", color=colour, label=name, markersize=4
            )
            for one in mine[1:]:
                random = [each - before for each in one.log_prob_random]
                axis.plot([one.own] * len(random), random, ".", color=colour, alpha=0.35, markersize=3)
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set_title(f"L{layer}", fontsize=10)
        axis.set_xlabel("own replies, nats lost a token")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0][0].set_ylabel("unseen texts of the concept,\nrise of log-probability (nats)")
    axes[0][-1].legend(frameon=False, fontsize=8, loc=(0.45, 0.45), labelspacing=0.2)
    figure.tight_layout()
    figure.savefig(to, metadata={"Date": None} if to.suffix == ".svg" else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("concepts", type=Path, nargs="*", default=sorted(EXAMPLES.glob("*.csv")))
    parser.add_argument("--layers", type=int, nargs="+", default=[8, 14, 20])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--placebos", type=int, default=10)
    parser.add_argument("--beside", type=float, nargs="+", default=[1.0], help="strengths that have placebos")
    parser.add_argument("--corpus", type=Path, nargs="*", default=[], help="text files to read the loss on")
    parser.add_argument(
        "--again", type=Path, help="the lines of JSON of an earlier run, instead of measuring"
    )
    parser.add_argument("--picture", type=Path, help="draw them, with matplotlib")
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpora = {file.stem: file for file in given.corpus}
    readings: list[Reading] = []
    if given.again is not None:
        lines = given.again.read_text(encoding="utf-8").splitlines()
        readings = [Reading(**json.loads(line)) for line in lines if line.startswith("{")]
    else:
        with torch.no_grad():
            for path in given.concepts:
                for layer in given.layers:
                    readings += cell(path, layer, given.strengths, given.beside, given.placebos, corpora)
    if given.picture is not None:
        picture(readings, given.picture)
    print(table(readings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What do memory edits of a real model reach, beside random values and beside steering that costs as much?

    python benchmarks/memory_edits.py [--layer 14] [--damage 0.02] [sad formal sea]

Needs smollm2 (``el get smollm2``) and the extra ``hf``; takes minutes of processor time for each concept of
``examples/concepts``. The edit is written by every other text of a concept and measured by the rest. Steering adds the
concept's direction to the stream, at the strength whose loss on own replies is that of the edit.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from energylang.concepts.captured import pushes
from energylang.concepts.halves import halves
from energylang.concepts.stream_ruler import StreamRuler
from energylang.looking.gauge import Gauge
from energylang.looking.held import pushing
from energylang.models.protocol import NOTHING
from energylang.session import Session

CONCEPTS = Path(__file__).parents[1] / "examples" / "concepts"
_HALVINGS = 6


@torch.no_grad()
def steered_as_dearly(session: Session, name: str, layer: int, own: float) -> str:
    """The row of a push whose rise of the loss on own replies is at most ``own``, the largest found by bisection."""
    written, measured = halves(session.state.concepts[name])
    push = pushes(session, written, (layer,))
    ruler = StreamRuler(session, measured, layer)
    usual = -float(torch.cat(ruler.own.log_probs(NOTHING)).mean())
    low, high = 0.005, 2.0
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        change = pushing(session, push, middle, "all")
        rise = -float(torch.cat(ruler.own.log_probs(change)).mean()) - usual
        low, high = (middle, high) if rise <= own else (low, middle)
    before, after = (ruler.read(change) for change in (NOTHING, pushing(session, push, low, "all")))
    gauge = Gauge(session, layer, session.text.measuring_windows(session.text.sizes.windows))
    held = float((gauge.losses(pushing(session, push, low, "all")) - gauge.losses(NOTHING)).mean())
    cost = (after.own or 0.0) - (before.own or 0.0)
    return (
        f"{name:<8} steer ×{low:.3f}: concept {after.log_prob - before.log_prob:+.3f}, share "
        f"{before.share or 0:.2f} → {after.share or 0:.2f}, own {cost:+.4f}, held-out {held:+.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("concepts", nargs="*", default=["sad", "formal", "sea"])
    parser.add_argument("--layer", type=int, default=14)
    parser.add_argument("--damage", type=float, default=0.02)
    given = parser.parse_args()
    session = Session()
    session.load("smollm2")
    for name in given.concepts:
        session.capture_file(
            given.layer, name, str(CONCEPTS / f"{name}.csv"), column="text", contrast="contrast"
        )
        began = time.process_time()
        edit = session.inject_concept(given.layer, name, damage=given.damage)
        took = time.process_time() - began
        found = edit.effect
        assert found is not None  # an edit by memory is always measured
        rise, own = found.log_prob_after - found.log_prob_before, found.own_change or 0.0
        shares = tuple(share or 0.0 for share in (found.share_before, found.share_after, found.share_placebo))
        print(
            f"{name:<8} edit, dose {edit.dose}: concept {rise:+.3f}, ",
            f"contrast {rise - (found.plain_change or 0):+.3f}, ",
            "share {:.2f} → {:.2f} (random {:.2f}), ".format(*shares),
            f"own {own:+.4f} (random {found.own_change_placebo or 0:+.4f}), ",
            f"held-out {found.loss_after - found.loss_before:+.4f}; {took:.0f} processor seconds; {edit.reason}",
            sep="",
        )
        if edit.applied:
            session.undo()
        print(steered_as_dearly(session, name, given.layer, max(own, 0.003)), flush=True)


if __name__ == "__main__":
    main()

"""Descent is Adam, without what its class imports."""

from __future__ import annotations

import subprocess
import sys

import torch

from energylang.concepts.descent import Optimiser
from energylang.landscape.draws import stable_generator


def test_descent_is_adam_bit_for_bit():
    drawn = torch.randn(2, 5, 7, generator=stable_generator("descent"))
    ours = [part.clone().requires_grad_() for part in drawn]
    theirs = [part.clone().requires_grad_() for part in drawn]
    descent, adam = Optimiser(ours, 0.1), torch.optim.Adam(theirs, lr=0.1)
    for step in range(20):
        descent.rate = adam.param_groups[0]["lr"] = 0.1 * (1 - step / 20)
        descent.step((ours[0] * ours[1]).square().sum() + ours[0].sum())
        adam.zero_grad()
        ((theirs[0] * theirs[1]).square().sum() + theirs[0].sum()).backward()
        adam.step()
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_descent_does_not_import_the_compiler():
    script = (
        "import sys, torch\n"
        "from energylang.concepts.descent import Optimiser\n"
        "x = torch.ones(3, requires_grad=True)\n"
        "Optimiser([x], 0.1).step(x.square().sum())\n"
        "assert float(x[0].detach()) < 1\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

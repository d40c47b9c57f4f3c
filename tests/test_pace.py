"""How long an operation has taken and will take, said from counts alone."""

from __future__ import annotations

from energylang.render.pace import Pace


def test_time_left_is_that_of_the_present_phase() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.told(0, 4, "controls") == "0 of 4 controls"
    now[0] = 20.0
    assert pace.told(2, 4, "controls") == "2 of 4 controls · 20 s · about 20 s left"
    now[0] = 200.0
    assert pace.told(0, 3, "others") == "0 of 3 others · 3 min 20 s"
    now[0] = 210.0
    assert pace.told(1, 3, "others") == "1 of 3 others · 3 min 30 s · about 20 s left"

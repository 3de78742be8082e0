"""Calipers: what two feet measure."""

import math

import numpy as np
import pytest

from ecgstudio.core.caliper import Caliper


def test_a_time_caliper_tells_interval_and_rate_whichever_foot_comes_first() -> None:
    for feet in ((1.0, 1.8), (1.8, 1.0)):
        caliper = Caliper("time", "II", *feet)
        assert caliper.interval_s == pytest.approx(0.8)
        assert caliper.rate_per_min == pytest.approx(75.0)


def test_a_march_goes_on_from_the_second_foot_in_equal_steps() -> None:
    np.testing.assert_allclose(Caliper("time", "II", 1.8, 1.0, count=3).feet_s, [1.0, 1.8, 2.6, 3.4])


def test_an_amplitude_caliper_is_negative_downwards() -> None:
    assert Caliper("amplitude", "V2", 1.0, 1.2, 0.1, -1.4).amplitude_mv == pytest.approx(-1.5)


def test_feet_that_stand_together_have_no_rate() -> None:
    assert math.isnan(Caliper("time", "II", 1.0, 1.0).rate_per_min)


@pytest.mark.parametrize(
    ("lead", "t1_s", "count"), [("X", 1.0, 1), ("II", math.nan, 1), ("II", 1.0, 0), ("II", 1.0, 100_000)]
)
def test_a_caliper_refuses_what_cannot_be_drawn(lead: str, t1_s: float, count: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Caliper("time", lead, 0.5, t1_s, count=count)

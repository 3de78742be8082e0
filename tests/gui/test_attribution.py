"""What drove a finding, made fit to be drawn: what spoke for it, where something was read, as wide as it was strong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ecgstudio.core.ecg import EcgRecord, LeadTrace
from ecgstudio.core.leads import LEADS
from ecgstudio.gui.attribution import LEVELS, attribution_of, driving_runs

FS, COUNT = 500.0, 2000


def record(missing: slice = slice(0, 0)) -> EcgRecord:
    mv = np.zeros((12, COUNT), np.float32)
    mv[:, missing] = np.nan
    return EcgRecord(mv, FS)


def parts(**leads: np.ndarray) -> dict[str, np.ndarray]:
    none = np.zeros(COUNT, np.float32)
    return {lead: leads.get(lead, none).astype(np.float32) for lead in LEADS}


def bump(at: int, height: float = 1.0, width: int = 60) -> np.ndarray:
    return height * np.exp(-(((np.arange(COUNT) - at) / width) ** 2))


def trace(lead: str, *, t0_s: float = 0.0, fs: float = FS, count: int = COUNT) -> LeadTrace:
    xy = np.column_stack([np.arange(count, dtype=float), np.zeros(count)])
    return LeadTrace(lead, t0_s, fs, np.zeros(count, np.float32), xy, np.ones(count, np.float32))


def test_what_speaks_against_a_finding_is_not_drawn() -> None:
    made = attribution_of("MI", parts(V1=bump(500), V2=-bump(500)), record())
    assert driving_runs(trace("V1"), made)
    assert not driving_runs(trace("V2"), made)
    assert dict(made.main_leads()) == {"V1": pytest.approx(1.0)}


def test_the_band_is_widest_where_most_spoke_for_the_finding() -> None:
    made = attribution_of("MI", parts(V1=bump(500), V2=bump(1500, 0.4)), record())
    strongest = max(driving_runs(trace("V1"), made), key=lambda run: run[0])
    assert strongest[0] == len(LEVELS)
    assert strongest[1] <= 500 <= strongest[2]
    assert max(run[0] for run in driving_runs(trace("V2"), made)) == sum(level <= 0.4 for level in LEVELS)


def test_the_leads_that_spoke_most_are_named_with_their_shares() -> None:
    made = attribution_of("MI", parts(V1=bump(500, 3), V2=bump(500, 1), aVF=bump(500, 0.1)), record())
    assert [lead for lead, _ in made.main_leads()] == ["V1", "V2"]
    assert [share for _, share in made.main_leads()] == pytest.approx([3 / 4.1, 1 / 4.1], rel=1e-3)


def test_nothing_is_drawn_where_nothing_was_read() -> None:
    made = attribution_of("MI", parts(V1=np.ones(COUNT)), record(slice(0, 1000)))
    assert not made.strength[:, :1000].any()
    assert all(start >= 1000 for _, start, _ in driving_runs(trace("V1"), made))


def test_a_finding_that_nothing_spoke_for_draws_nothing() -> None:
    made = attribution_of("MI", parts(), record())
    assert not made.strength.any()
    assert made.main_leads() == ()


def test_a_trace_with_a_time_base_of_its_own_shows_the_same_moments() -> None:
    made = attribution_of("MI", parts(V1=bump(1250)), record())
    strongest = max(driving_runs(trace("V1", t0_s=2.0, fs=250.0, count=300), made), key=lambda run: run[0])
    middle_s = 2.0 + (strongest[1] + strongest[2]) / 2 / 250
    assert middle_s == pytest.approx(2.5, abs=0.03)


def test_a_trace_that_goes_on_after_the_record_is_plain_there() -> None:
    made = attribution_of("MI", parts(V1=np.ones(COUNT)), record())
    runs = driving_runs(trace("V1", t0_s=3.0), made)
    assert max(end for _, _, end in runs) == 500


@given(
    arrays.arrays(np.float32, (3, 300), elements=st.floats(-5, 5, width=32) | st.just(np.float32("nan"))),
    st.integers(0, 300),
)
def test_strength_is_a_share_of_the_strongest_whatever_a_network_says(values: np.ndarray, known: int) -> None:
    mv = np.where(np.arange(300) < known, 0.0, np.nan).astype(np.float32)
    there = EcgRecord(np.stack([mv] * 3), 100.0, ("I", "II", "V1"))
    made = attribution_of("MI", dict(zip(there.leads, values, strict=True)), there)
    assert made.strength.shape == (3, 300)
    assert np.isfinite(made.strength).all()
    assert made.strength.min() >= 0
    assert made.strength.max() <= 1
    assert not made.strength[:, known:].any()
    assert sum(made.shares) == pytest.approx(1.0, abs=1e-6) or not any(made.shares)

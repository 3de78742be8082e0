"""Every lead stands in the record at the time at which it was printed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.leads import LEADS
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.contract import StageError
from ecgstudio.stages.settings import AssembleSettings

FS = 500.0
patient = settings(deadline=None, max_examples=40)


def trace(lead: str, *, t0_s: float = 0.0, seconds: float = 2.5, level_mv: float = 1.0, read: float = 1.0) -> LeadTrace:
    count = round(seconds * FS)
    mv = np.full(count, level_mv, np.float32)
    mv[round(read * count) :] = np.nan
    return LeadTrace(lead, t0_s, FS, mv, np.zeros((count, 2)), np.ones(count, np.float32))


def record_of(*traces: LeadTrace) -> EcgRecord:
    y, x = np.mgrid[:4, :4] * 40.0
    grid = GridFit(np.stack([x, y], axis=-1), PaperScale(50.0, 5.0, "printed"), 0.9)
    return assemble(DigitizedEcg(traces, "3x4"), grid, settings=AssembleSettings())


def printed_s(record: EcgRecord, lead: str) -> tuple[float, float]:
    known = record.t_s[np.isfinite(record.lead_mv(lead))]
    return float(known[0]), float(known[-1] + 1 / record.fs)


@patient
@given(t0_s=st.floats(0, 7), seconds=st.floats(0.2, 3))
def test_a_lead_stands_at_its_time(t0_s: float, seconds: float) -> None:
    record = record_of(trace("V2", t0_s=t0_s, seconds=seconds))
    assert printed_s(record, "V2") == pytest.approx((t0_s, t0_s + seconds), abs=1.1 / FS)
    assert np.isnan(record.mv[[lead != "V2" for lead in LEADS]]).all()


def test_columns_follow_each_other() -> None:
    record = record_of(trace("I"), trace("aVR", t0_s=2.5), trace("V1", t0_s=5.0), trace("V4", t0_s=7.5))
    assert [printed_s(record, lead) for lead in ("I", "aVR", "V1", "V4")] == pytest.approx(
        np.array([(0, 2.5), (2.5, 5.0), (5.0, 7.5), (7.5, 10.0)])
    )
    assert record.mv.shape == (12, 5000)


def test_of_two_prints_the_longer_one_counts() -> None:
    short, long = trace("II", level_mv=1.0), trace("II", seconds=10.0, level_mv=2.0)
    for traces in ((short, long), (long, short)):
        assert np.unique(record_of(*traces).lead_mv("II")).tolist() == [2.0]


def prints(*, late_s: float = 0.0, noise_mv: float = 0.02, drawn: tuple[str, ...] = ()) -> tuple[LeadTrace, LeadTrace]:
    """Return a long and a short print of one lead, each with its own errors; the short one .2 mV higher."""
    rng, t_s = np.random.default_rng(3), np.arange(5000) / FS
    out = []
    for name, part, level, late in (("long", slice(0, 5000), 0.0, 0.0), ("short", slice(1250, 2500), 0.2, late_s)):
        mv = beats(t_s[part] - late) + level + rng.normal(0, noise_mv, len(t_s[part]))
        confidence = np.full(len(mv), 1.0 if name in drawn else 0.95, np.float32)
        out.append(LeadTrace("II", t_s[part][0], FS, mv.astype(np.float32), np.zeros((len(mv), 2)), confidence))
    return out[0], out[1]


def beats(t_s: F64) -> F64:
    return np.asarray(sum(np.exp(-0.5 * ((t_s - beat) / 0.015) ** 2) for beat in np.arange(0.3, 10, 0.83)))


def errors_mv(record: EcgRecord) -> tuple[float, float]:
    """Return the rms error where both prints are and where only the long one is."""
    error = record.lead_mv("II") - beats(record.t_s)
    both = np.zeros(len(error), bool)
    both[1250:2500] = True
    return float(np.sqrt(np.mean(error[both] ** 2))), float(np.sqrt(np.mean(error[~both] ** 2)))


@pytest.mark.parametrize("late_s", [0.0, 0.004, -0.006])
def test_where_two_prints_are_alike_the_record_is_their_mean(late_s: float) -> None:
    both, one = errors_mv(record_of(*prints(late_s=late_s)))
    assert one == pytest.approx(0.02, rel=0.1)
    assert both == pytest.approx(0.02 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("late_s", [0.016, 0.2])
def test_prints_that_lie_apart_are_not_mixed(late_s: float) -> None:
    long, short = prints(late_s=late_s)
    assert np.array_equal(record_of(long, short).lead_mv("II"), long.mv)


def test_prints_that_differ_are_not_mixed() -> None:
    long, short = prints(noise_mv=0.4)
    assert np.array_equal(record_of(long, short).lead_mv("II"), long.mv)


@pytest.mark.parametrize("drawn", ["long", "short"])
def test_what_a_human_drew_is_not_mixed(drawn: str) -> None:
    long, short = prints(drawn=(drawn,))
    assert np.array_equal(record_of(long, short).lead_mv("II"), long.mv)


def test_what_only_the_other_print_shows_stays_missing() -> None:
    long, short = prints()
    mv = np.array(long.mv)
    mv[1500:1600] = np.nan
    found = record_of(LeadTrace("II", 0.0, FS, mv, long.xy, long.confidence), short).lead_mv("II")
    assert np.array_equal(np.isnan(found), np.isnan(mv))
    short_mv = np.array(short.mv)
    short_mv[250:350] = np.nan
    found = record_of(long, LeadTrace("II", short.t0_s, FS, short_mv, short.xy, short.confidence)).lead_mv("II")
    assert np.array_equal(found[1500:1600], long.mv[1500:1600])


def test_what_counts_is_how_much_was_read() -> None:
    record = record_of(trace("II", level_mv=1.0), trace("II", seconds=10.0, level_mv=2.0, read=0.1))
    assert np.nanmax(record.lead_mv("II")) == 1.0


def test_a_short_page_makes_a_record_of_ten_seconds() -> None:
    assert record_of(trace("I", seconds=1.0)).mv.shape == (12, 5000)


@pytest.mark.parametrize(("seconds", "expected_s"), [(10.2, 10.0), (12.0, 12.0)])
def test_a_long_print_makes_a_long_record(seconds: float, expected_s: float) -> None:
    record = record_of(trace("II", seconds=seconds))
    assert record.mv.shape[1] / record.fs == expected_s
    assert np.isfinite(record.lead_mv("II")).all()


def test_a_trace_that_a_human_moved_before_the_start_loses_what_lies_before_it() -> None:
    early = trace("I", t0_s=-0.1)
    ramp = np.arange(1250, dtype=np.float32)
    record = record_of(LeadTrace("I", early.t0_s, FS, ramp, early.xy, early.confidence))
    np.testing.assert_array_equal(record.lead_mv("I")[:1200], ramp[50:])
    assert np.isnan(record.lead_mv("I")[1200:]).all()


def test_a_record_knows_where_leads_were_printed_though_they_could_not_be_read() -> None:
    record = record_of(trace("V2", t0_s=1.0, seconds=2.0, read=0.5), trace("I", t0_s=-0.5, seconds=2.0))
    assert record.span("V2") == (500, 1500)
    assert printed_s(record, "V2") == pytest.approx((1.0, 2.0))
    assert record.span("I") == (0, 750)
    assert record.span("aVF") == (0, 0)
    with pytest.raises(ValueError, match="cannot be printed"):
        EcgRecord(record.mv, FS, printed={"I": (0, 5001)})


def test_a_trace_beyond_either_end_leaves_its_lead_empty() -> None:
    record = record_of(trace("I"), trace("V1", t0_s=-4.0))
    assert np.isnan(record.lead_mv("V1")).all()


def test_the_record_says_where_it_came_from() -> None:
    meta = record_of(trace("I")).meta
    assert (meta["layout"], meta["mm_per_s"], meta["mm_per_mV"], meta["scale_source"]) == ("3x4", 50.0, 5.0, "printed")


def test_no_trace_is_an_error_with_a_hint() -> None:
    with pytest.raises(StageError, match="no lead was read") as error:
        record_of()
    assert error.value.hint

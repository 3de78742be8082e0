"""Stage 2 follows the ink: the right lead at the right place, time and voltage, and nothing where nothing is."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS, LEADS
from ecgstudio.stages.contract import NULL_STATUS, Cancelled, FloatMap, GridMaps, Image, Runtime, StageError, TraceMaps
from ecgstudio.stages.printed import Row
from ecgstudio.stages.settings import TraceSettings
from ecgstudio.stages.stage2_trace import END_DOUBT_MM, read_traces
from ecgstudio.stages.strip_reading import read_strips
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from tests.pulses_before import PulsesBefore
from tests.synth_page import BlindRuntime, SynthPage, TruthRuntime, synth_page, true_grid, true_keypoints
from training.synth.truth import LeadTruth


def read(
    synth: SynthPage,
    *,
    keypoints: Keypoints | None = None,
    runtime: Runtime | None = None,
    settings: TraceSettings | None = None,
    skew: float = 0.0,
) -> DigitizedEcg:
    return read_traces(
        synth.page,
        keypoints if keypoints is not None else true_keypoints(synth),
        true_grid(synth, skew=skew),
        runtime=runtime if runtime is not None else TruthRuntime(synth),
        settings=settings if settings is not None else TraceSettings(),
        status=NULL_STATUS,
    )


@functools.cache
def plain() -> tuple[SynthPage, DigitizedEcg]:
    synth = synth_page("3x4+1")
    return synth, read(synth)


def without_names(synth: SynthPage, *lost: str) -> Keypoints:
    """Forget printed names; "rhythm" is the last one of the page."""
    lies = true_keypoints(synth)
    last = max(i for i, name in enumerate(lies.names) if name in LEADS)
    keep = [name not in lost and not ("rhythm" in lost and i == last) for i, name in enumerate(lies.names)]
    return replace(lies, names=tuple(np.array(lies.names)[keep]), xy=lies.xy[keep], confidence=lies.confidence[keep])


def pairs(synth: SynthPage, ecg: DigitizedEcg) -> list[tuple[LeadTruth, LeadTrace]]:
    """Return every printed stretch with the trace that was read of it."""
    out = []
    for lead in synth.sheet.leads:
        traces = [t for t in ecg.of(lead.lead) if abs(t.t0_s - lead.t0_s) < 0.1]
        printed_s = (lead.end_mm - lead.start_mm) / synth.sheet.mm_per_s
        assert traces, f"{lead.lead} at {lead.t0_s:.1f} s was not read"
        out.append((lead, min(traces, key=lambda t: abs(t.duration_s - printed_s))))
    return out


def off_the_ink_mm(synth: SynthPage, ecg: DigitizedEcg) -> list[float]:
    """Return each trace's rms distance from its printed line, over the samples that were read."""
    out = []
    for lead, trace in pairs(synth, ecg):
        mm = synth.to_sheet(trace.xy[np.isfinite(trace.mv)])
        vertices = np.arange(len(lead.line_mm))
        dense = [np.interp(np.linspace(0, vertices[-1], 12 * len(vertices)), vertices, x) for x in lead.line_mm.T]
        away = np.min([np.hypot(dense[0] - x, dense[1] - y) for x, y in mm[::7]], axis=1)
        out.append(float(np.sqrt((away**2).mean())))
    return out


def test_leads_that_the_picture_cuts_off_are_named_and_weighed() -> None:
    synth, whole = plain()
    kept = round(0.85 * synth.page.width)
    part = replace(synth.page, pixels=np.ascontiguousarray(synth.page.pixels[:, :kept]))
    ecg = read(replace(synth, page=part))
    assert (whole.cut_share, any("outside" in note for note in whole.notes)) == (0.0, False)
    assert "partly outside the picture: II, V4, V5, V6" in ecg.notes
    assert 0.05 < ecg.cut_share < 0.2


# --- what is printed is read --------------------------------------------------------------------------------


def test_every_printed_stretch_is_read_at_its_time() -> None:
    synth, ecg = plain()
    assert len(ecg.traces) == len(synth.sheet.leads)
    for lead, trace in pairs(synth, ecg):
        doubt_s = END_DOUBT_MM / 25.0  # a lead is held as far as its ends may lie, though not before the record
        before_s = min(doubt_s, lead.t0_s)
        printed_s = (lead.end_mm - lead.start_mm) / 25.0
        assert trace.t0_s == pytest.approx(lead.t0_s - before_s, abs=0.006)
        assert trace.duration_s == pytest.approx(before_s + printed_s + doubt_s, abs=0.01)
        assert np.isfinite(trace.mv).mean() > 0.98


@pytest.mark.parametrize("orientation", [0, 3, 5])
def test_traces_lie_on_the_ink(orientation: int) -> None:
    synth = synth_page("3x4+1", orientation=orientation)
    assert max(off_the_ink_mm(synth, plain()[1] if orientation == 0 else read(synth))) < 0.1


def test_voltages_are_those_that_were_printed() -> None:
    synth, ecg = plain()
    for lead, trace in pairs(synth, ecg):
        t_s = lead.t0_s + (lead.line_mm[:, 0] - lead.start_mm) / 25.0
        true = np.interp(trace.t_s, t_s, (lead.zero_mm - lead.line_mm[:, 1]) / 10.0)
        away = (trace.mv - true)[10:-10]
        assert np.nanstd(away) < 0.06
        assert abs(np.nanmean(away)) < 0.15  # the level of a strip is its own middle


def test_what_is_sure_is_said_to_be_sure() -> None:
    for trace in plain()[1].traces:
        read_samples = np.isfinite(trace.mv)
        assert trace.confidence[read_samples].mean() > 0.9
        assert (trace.confidence[~read_samples] == 0).all()


def test_a_fast_page_is_read_on_its_own_time() -> None:
    synth = synth_page("6x2+1", mm_per_s=50.0, width_mm=90.0)
    ecg = read(synth)
    assert ecg.layout == "6x2+1"
    for lead, trace in pairs(synth, ecg):
        assert trace.duration_s == pytest.approx((lead.end_mm - lead.start_mm) / 50.0, abs=0.01)


@pytest.mark.parametrize("layout", ["3x4+1", "6x2"])
def test_columns_that_show_the_same_seconds_start_together(layout: str) -> None:
    ecg = read(synth_page(layout, width_mm=150.0, sequential=False))
    assert [trace.t0_s for trace in ecg.traces] == pytest.approx([0.0] * len(ecg.traces), abs=0.01)


def test_tall_traces_are_read_to_their_peaks() -> None:
    synth = synth_page("3x4", gain=20.0, pulse="none")
    for lead, trace in pairs(synth, read(synth)):
        height_mv = np.ptp(lead.line_mm[:, 1]) / 20.0
        assert np.nanmax(trace.mv) - np.nanmin(trace.mv) == pytest.approx(height_mv, abs=0.1)


def test_all_strips_of_a_page_share_their_columns() -> None:
    synth = synth_page("3x4", gain=13.0, pulse="none", scale_text="none")
    axes = sorted({(lead.row, lead.axis_mm) for lead in synth.sheet.leads if lead.column == 0})
    rows = tuple(Row(y + 3.0, 18.0 + 2.5 * i, 140.0 - 1.5 * i, 0.9) for i, y in axes)
    readings = read_strips(synth.page, true_grid(synth), rows, runtime=TruthRuntime(synth))
    assert len({reading.half_px for reading in readings}) > 1  # some were read again, taller
    assert len({reading.x0_mm for reading in readings}) == 1
    assert len({len(reading.height_px) for reading in readings}) == 1


def test_reading_both_ways_gives_the_same_traces() -> None:
    synth, ecg = plain()
    both = read(synth, settings=TraceSettings(flip=True))
    for one, other in zip(ecg.traces, both.traces, strict=True):
        n = min(len(one.mv), len(other.mv))
        assert (one.lead, one.t0_s) == (other.lead, pytest.approx(other.t0_s, abs=0.004))
        assert np.nanmedian(np.abs(one.mv[:n] - other.mv[:n])) < 0.01


# --- names --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Illiterate(TruthRuntime):
    """Reads no name at a second look."""

    def names(self, crops: FloatMap) -> FloatMap:
        """See no name."""
        return BlindRuntime().names(crops)


def test_a_name_that_stage_0_overlooked_is_read_at_a_second_look() -> None:
    synth = synth_page("3x4")
    ecg = read(synth, keypoints=without_names(synth, "aVL"))
    assert sorted({trace.lead for trace in ecg.traces}) == sorted(LEADS)
    assert ecg.of("aVL")[0].confidence.max() > 0.85


def test_strips_that_nothing_names_are_counted_and_left_out() -> None:
    synth = synth_page("3x4")
    lies = without_names(synth, "V2", "V5")
    order = ("V4", "aVL", "V1", "I", "V6", "II", "aVF", "V2", "III", "V3", "V5", "aVR")
    shuffled = dict(zip(LEADS, order, strict=True))
    names = tuple(shuffled.get(name, name) for name in lies.names)
    ecg = read(synth, keypoints=replace(lies, names=names), runtime=Illiterate(synth))
    assert ecg.nameless == 2
    assert "2 strip(s) without a readable name were left out" in ecg.notes
    assert {trace.lead for trace in ecg.traces} == {name for name in names if name in LEADS}


def test_a_name_that_cannot_be_read_is_inferred_with_less_confidence() -> None:
    synth = synth_page("3x4")
    ecg = read(synth, keypoints=without_names(synth, "aVL"), runtime=Illiterate(synth))
    assert sorted({trace.lead for trace in ecg.traces}) == sorted(LEADS)
    assert ecg.of("aVL")[0].confidence.max() < 0.75 < ecg.of("aVF")[0].confidence.max()


@pytest.mark.parametrize("rhythm", ["V5", "II", "aVF"])
def test_a_rhythm_strip_without_a_name_is_known_by_its_short_twin(rhythm: str) -> None:
    synth = synth_page("3x4+1", rhythm=rhythm)
    ecg = read(synth, keypoints=without_names(synth, "rhythm"), runtime=Illiterate(synth))
    longest = max(ecg.traces, key=lambda trace: trace.duration_s)
    assert longest.lead == rhythm
    assert len(ecg.of(rhythm)) == 2


@pytest.mark.parametrize("layout", ["3x4", "6x2-cabrera"])
def test_a_page_without_names_is_read_as_the_layout_that_the_user_names(layout: str) -> None:
    synth = synth_page(layout)
    nameless = without_names(synth, *LEADS)
    ecg = read(synth, keypoints=nameless, runtime=Illiterate(synth), settings=TraceSettings(layout=layout))
    assert ecg.layout == layout
    assert max(off_the_ink_mm(synth, ecg)) < 0.1
    assert len(ecg.traces) == len(LAYOUTS[layout].leads)


# --- where leads begin --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FaintlyBegun(TruthRuntime):
    """Sees no trace in the first millimetres of every strip."""

    faint_mm: float = 5.0

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Take the first presence away."""
        maps = TruthRuntime.trace(self, strips)
        presence = np.array(maps.presence)
        for row in presence:
            first = int(np.argmax(row > 0.5))
            row[first : first + round(self.faint_mm * 2 * STRIP_PX_PER_MM)] = 0.02
        return replace(maps, presence=presence)


def test_a_faint_beginning_moves_no_lead_in_time_and_is_missing() -> None:
    synth = synth_page("3x4", pulse="none")
    ecg = read(synth, runtime=FaintlyBegun(synth))  # 0.2 s
    for lead, trace in pairs(synth, ecg):
        assert trace.t0_s == pytest.approx(lead.t0_s, abs=END_DOUBT_MM / 25.0 + 0.006)
        unread_s = np.isnan(trace.mv).sum() / trace.fs
        assert unread_s == pytest.approx(0.2 if lead.t0_s == 0.0 else 0.0, abs=0.05)


# --- a print that is skewed on its paper --------------------------------------------------------------------

SKEWS = (0.006, -0.009)  # mm to the right per mm downwards
LAGS_S = np.arange(-60, 61) * 0.0005


@functools.cache
def skewed(skew: float) -> tuple[SynthPage, DigitizedEcg]:
    synth = synth_page("3x4+1")
    return synth, read(synth, skew=skew)


def late_s(trace: LeadTrace, t_s: F64, mv: F64) -> float:
    """Return how much later a trace shows what a curve shows, by their cross-correlation."""

    def likeness(lag_s: float) -> float:
        curve = np.interp(trace.t_s - lag_s, t_s, mv, left=np.nan, right=np.nan)
        both = np.isfinite(trace.mv) & np.isfinite(curve)
        return float(np.corrcoef(trace.mv[both], curve[both])[0, 1])

    return float(LAGS_S[np.argmax([likeness(lag_s) for lag_s in LAGS_S])])


@pytest.mark.parametrize("skew", SKEWS)
def test_both_prints_of_a_lead_lie_at_the_same_time_though_the_print_is_skewed(skew: float) -> None:
    short, long = sorted(skewed(skew)[1].of("II"), key=lambda trace: trace.duration_s)
    assert abs(late_s(short, long.t_s, long.mv.astype(np.float64))) < 0.002  # of 15 and 23 ms


@pytest.mark.parametrize("skew", SKEWS)
def test_every_row_of_a_skewed_print_lies_at_its_time(skew: float) -> None:
    synth, ecg = skewed(skew)
    late = {}
    for lead, trace in pairs(synth, ecg):
        t_s = lead.t0_s + (lead.line_mm[:, 0] - lead.start_mm) / 25.0
        late[lead.row, lead.column] = late_s(trace, t_s, (lead.zero_mm - lead.line_mm[:, 1]) / 10.0)
    assert len(late) == 13
    assert max(map(abs, late.values())) < 0.004  # of 12 to 18 ms


# --- what is not printed is not read ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OneMoreAxis(TruthRuntime):
    """Sees a strip axis where there is none, this far below the first row's."""

    below_mm: float = 16.0

    def grid(self, image: Image) -> GridMaps:
        """Copy the first row's axis further down."""
        maps = TruthRuntime.grid(self, image)
        row = int(np.flatnonzero(maps.axis.max(axis=1) > 0.5)[0])
        axis, first = np.array(maps.axis), maps.axis[row : row + 5].max(axis=0)
        down = row + round(self.below_mm / 0.8)
        axis[down : down + 2] = np.maximum(axis[down : down + 2], first)
        return replace(maps, axis=axis)


@pytest.mark.parametrize("below_mm", [16.0, 8.0])
def test_an_axis_without_a_trace_of_its_own_is_no_strip(below_mm: float) -> None:
    synth = synth_page("3x4")
    ecg = read(synth, runtime=OneMoreAxis(synth, below_mm=below_mm))
    assert ecg.layout == "3x4"
    assert max(off_the_ink_mm(synth, ecg)) < 0.1
    assert max(abs(float(np.nanmedian(trace.mv))) for trace in ecg.traces) < 0.4  # about the trace's own axis


@pytest.mark.parametrize("layout", ["3x4+1", "12x1"])
def test_leads_begin_where_the_foot_of_their_pulse_ends(layout: str) -> None:
    synth = synth_page(layout)
    ecg = read(synth, runtime=PulsesBefore(synth))
    lasts_s = synth.sheet.leads[0].end_mm / 25.0 - synth.sheet.leads[0].start_mm / 25.0
    assert ecg.of("I")[0].duration_s == pytest.approx(lasts_s, abs=0.03)
    assert max(off_the_ink_mm(synth, ecg)) < 0.1


@dataclass(frozen=True, slots=True)
class RuledBelow(OneMoreAxis):
    """Sees a straight line along the axis that is one too many."""

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Draw it in strips that show no lead."""
        maps = OneMoreAxis.trace(self, strips)
        columns, presence = np.array(maps.columns), np.array(maps.presence)
        height = columns.shape[1]
        for column, printed in zip(columns, presence, strict=True):
            if printed.max() < 0.5:
                column[:] = -12.0
                column[height // 2 + 3] = 0.0
                printed[:] = 0.97
        return replace(maps, columns=columns, presence=presence)


def test_a_ruled_line_without_a_name_is_no_strip() -> None:
    synth = synth_page("3x4")
    ecg = read(synth, runtime=RuledBelow(synth, below_mm=16.0))
    assert ecg.layout == "3x4"
    assert len(ecg.traces) == 12


@dataclass(frozen=True, slots=True)
class DimAxes(TruthRuntime):
    """Hardly sees the axis of the first row, or loses sight of all rows on their way to the right."""

    first_row: float = 1.0
    seen_mm: float = 1000.0

    def grid(self, image: Image) -> GridMaps:
        """Dim the axes."""
        maps = TruthRuntime.grid(self, image)
        axis = np.array(maps.axis)
        row = int(np.flatnonzero(axis.max(axis=1) > 0.5)[0])
        axis[row - 2 : row + 6] *= self.first_row
        axis[:, int(self.seen_mm / 0.8) :] = 0.0
        return replace(maps, axis=axis)


@pytest.mark.parametrize("seen", [0.17, 0.0])
def test_a_row_that_is_hardly_seen_or_not_at_all_is_read(seen: float) -> None:
    synth = synth_page("12x1")
    ecg = read(synth, runtime=DimAxes(synth, first_row=seen))
    assert ecg.layout == "12x1"
    assert len(pairs(synth, ecg)) == len(synth.sheet.leads)
    assert max(off_the_ink_mm(synth, ecg)) < 0.1


def test_rows_are_read_as_far_as_their_traces_go() -> None:
    synth = synth_page("12x1")
    ecg = read(synth, runtime=DimAxes(synth, seen_mm=90.0))
    assert ecg.layout == "12x1"
    for lead, trace in pairs(synth, ecg):
        assert trace.duration_s == pytest.approx((lead.end_mm - lead.start_mm) / 25.0, abs=0.1)


@dataclass(frozen=True, slots=True)
class Interrupted(TruthRuntime):
    """Sees no trace in some columns of every strip."""

    first: int = 500
    last: int = 600

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Blank half-columns first..last."""
        maps = TruthRuntime.trace(self, strips)
        columns, presence = np.array(maps.columns), np.array(maps.presence)
        columns[:, :, self.first : self.last] = -np.log(columns.shape[1])
        presence[:, self.first : self.last] = 0.02
        return replace(maps, columns=columns, presence=presence)


def test_a_stretch_that_cannot_be_read_is_missing() -> None:
    synth = synth_page("3x4")
    ecg = read(synth, runtime=Interrupted(synth))  # 6 mm, 0.25 s
    lost = {trace.lead: np.isnan(trace.mv) for trace in ecg.traces}
    assert sorted(lead for lead in lost if lost[lead].sum() > 110) == ["I", "II", "III"]
    assert (np.diff(np.flatnonzero(lost["I"])) == 1).sum() > 110  # one stretch
    assert (ecg.of("I")[0].confidence[lost["I"]] == 0).all()


def test_a_short_break_is_bridged() -> None:
    synth = synth_page("3x4")
    ecg = read(synth, runtime=Interrupted(synth, first=600, last=614))
    assert all(np.isfinite(trace.mv).mean() > 0.98 for trace in ecg.traces)


# --- what cannot be read is said ----------------------------------------------------------------------------


def test_paper_without_strips_is_refused() -> None:
    synth = synth_page("3x4")
    with pytest.raises(StageError, match="no ECG strip was found") as error:
        read(synth, runtime=BlindRuntime())
    assert error.value.hint


def test_strips_without_a_trace_are_refused() -> None:
    synth = synth_page("3x4")

    class SeesOnlyAxes(TruthRuntime):
        def trace(self, strips: FloatMap) -> TraceMaps:
            return BlindRuntime().trace(strips)

    with pytest.raises(StageError, match="no ECG strip could be followed"):
        read(synth, runtime=SeesOnlyAxes(synth))


def test_the_caller_may_stop_it() -> None:
    class Stopped:
        def checkpoint(self, fraction: float, note: str = "") -> None:
            raise Cancelled

    synth = synth_page("3x4")
    with pytest.raises(Cancelled):
        read_traces(
            synth.page, true_keypoints(synth), true_grid(synth), runtime=TruthRuntime(synth),
            settings=TraceSettings(), status=Stopped(),
        )  # fmt: skip

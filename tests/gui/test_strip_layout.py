"""Where strips stand: rows are found from the traces themselves, however the page lies."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.leads import LEADS, limb_leads
from ecgstudio.gui.strip_layout import EINTHOVEN, Arrangement, StripLayout, lay_out, page_rows

FS, PX_PER_MM, COLUMN_S, ROW_MM = 500.0, 8.0, 2.5, 25.0
PAGE = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))


def heart_mv(lead: str, t_s: np.ndarray) -> np.ndarray:
    beats = np.exp(-0.5 * ((t_s % 0.8 - 0.4) / 0.012) ** 2)
    limbs = limb_leads(0.6 * beats, 1.0 * beats)
    return limbs[LEADS.index(lead)] if lead in LEADS[:6] else (LEADS.index(lead) - 8.5) / 3 * beats


def page_ecg(*, simultaneous: bool = False, turn: float = 0.0, mirrored: bool = False) -> DigitizedEcg:
    """Return the traces of a 3x4+1 page that lies at an angle, perhaps seen from behind."""
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([1 - 2 * mirrored, 1])
    traces = []
    for row, leads in enumerate(PAGE):
        for column, lead in enumerate(leads):
            count = round((10.0 if len(leads) == 1 else COLUMN_S) * FS)
            paper_s = column * COLUMN_S + np.arange(count) / FS
            t0_s = 0.0 if simultaneous else column * COLUMN_S
            mv = heart_mv(lead, paper_s - column * COLUMN_S + t0_s)
            mm = np.column_stack([paper_s * 25, row * ROW_MM - mv * 10])
            traces.append(LeadTrace(lead, t0_s, FS, mv, 900 + mm * PX_PER_MM @ matrix.T, np.ones(count)))
    return DigitizedEcg(tuple(traces[::-1]), "3x4+1")  # the order of the traces must not matter


def record() -> EcgRecord:
    t_s = np.arange(5000) / FS
    return EcgRecord(np.stack([heart_mv(lead, t_s) for lead in LEADS]), FS)


def arranged(ecg: DigitizedEcg | None, record: EcgRecord | None = None, **asked: object) -> StripLayout:
    return lay_out(ecg, record, **({"arrangement": Arrangement.PAGE, "mm_per_mV": 10.0, "checks": True} | asked))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 2, np.pi, -2.0])
def test_rows_are_those_of_the_page_however_it_lies(turn: float, mirrored: bool) -> None:
    rows = page_rows(page_ecg(turn=turn, mirrored=mirrored).traces)
    assert [tuple(trace.lead for trace in row) for row in rows] == list(PAGE)


def test_a_trace_without_a_place_has_a_row_of_its_own() -> None:
    ecg = page_ecg()
    lost = replace(ecg.traces[0], xy=np.full((len(ecg.traces[0].mv), 2), np.nan))
    rows = page_rows((*ecg.traces, lost))
    assert [trace.lead for trace in rows[-1]] == [lost.lead]
    assert len(rows) == 5


def test_columns_stand_at_the_times_at_which_they_were_printed() -> None:
    for strip in arranged(page_ecg()).strips:
        assert strip.at_s == strip.trace.t0_s


def test_columns_of_the_same_seconds_stand_side_by_side() -> None:
    layout = arranged(page_ecg(simultaneous=True))
    first_row = [strip for strip in layout.strips if strip.row == 0]
    for left, right in itertools.pairwise(first_row):
        assert right.at_s >= left.end_s
        assert right.trace.t0_s == 0


def test_twelve_leads_are_stacked_with_the_longer_print_and_the_missing_named() -> None:
    ecg = page_ecg()
    ecg = replace(ecg, traces=tuple(trace for trace in ecg.traces if trace.lead != "V3"))
    layout = arranged(ecg, arrangement=Arrangement.STACKED, checks=False)
    assert [row.label for row in layout.rows] == ["V3" if lead == "V3" else "" for lead in LEADS]
    assert layout.of("II")[0].trace.duration_s == 10.0
    assert not layout.of("V3")


def test_a_record_without_a_page_is_shown_too() -> None:
    layout = arranged(None, record(), arrangement=Arrangement.STACKED)
    assert [strip.trace.lead for strip in layout.strips] == list(LEADS)
    assert layout.duration_s == 10.0


def test_what_should_be_zero_stands_under_the_leads_it_is_made_of() -> None:
    line = next(line for line in arranged(page_ecg(), record()).checks if line.name == EINTHOVEN)
    assert line.at_s == 0.0
    np.testing.assert_allclose(line.mv, 0, atol=1e-6)


def test_swapped_leads_show_in_what_should_be_zero() -> None:
    mv = np.array(record().mv)
    mv[[1, 2]] = mv[[2, 1]]
    line = next(line for line in arranged(page_ecg(), EcgRecord(mv, FS)).checks if line.name == EINTHOVEN)
    assert np.abs(line.mv).max() > 0.5


def test_rows_do_not_overlap_and_leave_room_for_tall_beats() -> None:
    layout = arranged(page_ecg(), mm_per_mV=20.0)
    for above, below in itertools.pairwise(layout.rows):
        assert above.bottom_mm == pytest.approx(below.top_mm)
    row = layout.rows[3]
    assert row.zero_mm - row.top_mm >= 20.0


def test_nothing_is_laid_out_for_nothing() -> None:
    layout = arranged(None)
    assert not layout.strips
    assert layout.height_mm == 0

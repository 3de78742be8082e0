"""A page that contradicts itself is sent to review, and says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.arrays import F64
from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LEADS, limb_leads
from ecgstudio.stages.assemble import assemble
from ecgstudio.stages.quality import (
    DOUBT_WEIGHTS,
    REVIEW_DOUBT,
    LeadQuality,
    QualityReport,
    assess,
    evidence,
    reasons_of_doubt,
)  # fmt: skip
from ecgstudio.stages.settings import AssembleSettings, QualitySettings
from ecgstudio.stages.trace_signs import TraceSigns

FS = 500.0
SECONDS = 10.0
SCALE = PaperScale(25.0, 10.0, "speed printed, gain pulse", pulse_height_mm=10.0, printed_mm_per_s=25.0)
SURE = Keypoints((), np.zeros((0, 2)), np.zeros(0), 0, 0.98, 8.0, 0.0, mirrored=False)


def heart_mv(noise_mv: float = 0.0) -> F64:
    """Return twelve leads [12, 5000] in mV that obey Einthoven but for some noise."""
    rng = np.random.default_rng(1)
    t_s = np.arange(round(SECONDS * FS)) / FS

    def beat() -> F64:
        waves = zip((-0.2, 0.0, 0.03, 0.3), (0.04, 0.01, 0.012, 0.06), rng.normal(0, 0.5, 4), strict=True)
        return np.sum([a * np.exp(-0.5 * (((t_s + 0.4) % 0.8 - 0.4 - at) / w) ** 2) for at, w, a in waves], axis=0)

    sources = np.array([beat(), beat()])
    across = np.linspace(0, 2.5, 6)  # chest leads change little from one to the next
    mv = np.concatenate([limb_leads(beat(), beat()), np.column_stack([np.cos(across), np.sin(across)]) @ sources])
    return mv + rng.normal(0, noise_mv, mv.shape) if noise_mv else mv


def trace(lead: str, mv: F64, *, t0_s: float = 0.0, confidence: float = 0.95) -> LeadTrace:
    sure = np.where(np.isfinite(mv), confidence, 0.0)
    return LeadTrace(lead, t0_s, FS, mv.astype(np.float32), np.zeros((len(mv), 2)), sure.astype(np.float32))


def page_of(mv: F64, *, confidence: float = 0.95) -> DigitizedEcg:
    """Print all leads side by side in time, one per row."""
    return DigitizedEcg(tuple(trace(lead, mv[i], confidence=confidence) for i, lead in enumerate(LEADS)), "12x1")


def report_on(
    ecg: DigitizedEcg, *, scale: PaperScale = SCALE, grid_confidence: float = 0.9, keypoints: Keypoints = SURE
) -> QualityReport:
    y, x = np.mgrid[:4, :4] * 40.0
    grid = GridFit(np.stack([x, y], axis=-1), scale, grid_confidence)
    return assess(keypoints, grid, ecg, assemble(ecg, grid, settings=AssembleSettings()), settings=QualitySettings())


PLAIN = report_on(page_of(heart_mv()))


def test_a_consistent_page_is_ok() -> None:
    report = report_on(page_of(heart_mv()))
    assert (report.status, report.reasons) == ("ok", ())
    assert report.confidence == pytest.approx(0.95)
    assert report.scale_agrees is True


# --- leads against each other -------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [("I", "II"), ("II", "III"), ("III", "aVR"), ("II", "V2"), ("aVF", "V4")])
def test_swapped_leads_are_told(pair: tuple[str, str]) -> None:
    mv, (a, b) = heart_mv(), map(LEADS.index, pair)
    mv[[a, b]] = mv[[b, a]]
    report = report_on(page_of(mv))
    assert report.status == "review"
    assert any("swapped" in reason for reason in report.reasons)


@pytest.mark.parametrize("lead", ["I", "II", "III", "aVR", "aVL", "aVF"])
def test_a_limb_lead_upside_down_is_told(lead: str) -> None:
    mv = heart_mv()
    mv[LEADS.index(lead)] *= -1
    assert any("swapped or misread" in reason for reason in report_on(page_of(mv)).reasons)


@pytest.mark.parametrize("noise_mv", [0.01, 0.03])
def test_einthoven_is_told_in_decibel_of_lead_ii(noise_mv: float) -> None:
    mv = heart_mv(noise_mv)
    expected_db = 10 * np.log10(mv[1].var() / (3 * noise_mv**2))
    report = report_on(page_of(mv))
    assert report.einthoven_db == pytest.approx(expected_db, abs=0.5)
    assert report.status == "ok"


def test_the_level_of_a_lead_does_not_count() -> None:
    mv = heart_mv() + np.linspace(-1, 1, 12)[:, None]
    assert report_on(page_of(mv)).status == "ok"


def test_leads_that_were_not_printed_together_are_not_compared() -> None:
    mv = heart_mv()
    columns = [trace(lead, mv[i, :1250], t0_s=2.5 * (i // 3)) for i, lead in enumerate(LEADS)]
    moved = [replace(t, t0_s=2.0) if t.lead == "I" else t for t in columns]  # half a second together with II and III
    report = report_on(DigitizedEcg(tuple(moved), "3x4"))
    assert report.einthoven_db is None
    assert report.goldberger_db is not None


# --- twins --------------------------------------------------------------------------------------------------


def with_twin(second_mv: F64, *, t0_s: float = 0.0) -> DigitizedEcg:
    mv = heart_mv()
    short = trace("II", second_mv, t0_s=t0_s)
    return DigitizedEcg((*page_of(mv).traces, short), "3x4+1")


@pytest.mark.parametrize("t0_s", [0.0, 2.5, 7.4])
@pytest.mark.parametrize("shift_s", [0.0, 0.04, -0.04])
def test_two_prints_of_a_lead_that_agree_confirm_each_other(t0_s: float, shift_s: float) -> None:
    first = round((t0_s + shift_s) * FS)
    if first < 0:
        first = 0
    report = report_on(with_twin(heart_mv()[1, first : first + 1250], t0_s=t0_s))
    assert report.twin_lead == "II"
    assert report.twin_db is not None
    assert report.twin_db > 40
    assert report.status == "ok"


def test_two_prints_of_a_lead_that_differ_are_told() -> None:
    other = heart_mv()[8, :1250]
    report = report_on(with_twin(other))
    assert report.status == "review"
    assert any("two prints of lead II differ" in reason for reason in report.reasons)


def test_the_difference_of_two_prints_is_told_in_microvolt() -> None:
    noisy = heart_mv()[1, :1250] + np.random.default_rng(2).normal(0, 0.02, 1250)
    report = report_on(with_twin(noisy))
    assert report.twin_uv == pytest.approx(20, rel=0.1)


def test_of_several_leads_printed_twice_the_one_that_agrees_least_is_told() -> None:
    mv = heart_mv()
    good, wrong = trace("II", mv[1, :1250]), trace("V6", mv[6, :1250])  # what is named V6 is V1
    report = report_on(DigitizedEcg((*page_of(mv).traces, good, wrong), "3x4+2"))
    assert report.twin_lead == "V6"
    assert any(reason.startswith("the two prints of lead V6 differ") for reason in report.reasons)


def test_a_lead_printed_once_has_no_twin() -> None:
    report = report_on(page_of(heart_mv()))
    assert (report.twin_lead, report.twin_db, report.twin_uv) == (None, None, None)


# --- scale, grid, orientation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (replace(SCALE, mm_per_mV=5.0), "10.0 mm high but 5 mm/mV is used"),
        (replace(SCALE, mm_per_s=50.0), "25 mm/s is printed but 50 mm/s is used"),
        (replace(SCALE, printed_mm_per_mV=20.0), "20 mm/mV is printed but 10 mm/mV is used"),
    ],
)
def test_a_scale_against_the_evidence_is_told(scale: PaperScale, words: str) -> None:
    report = report_on(page_of(heart_mv()), scale=scale)
    assert report.scale_agrees is False
    assert any(words in reason for reason in report.reasons)


def test_without_evidence_the_scale_is_not_judged() -> None:
    report = report_on(page_of(heart_mv()), scale=PaperScale(25.0, 10.0, "speed assumed, gain assumed"))
    assert report.scale_agrees is None


def test_a_scale_that_nothing_on_the_page_tells_is_told() -> None:
    report = report_on(page_of(heart_mv()), scale=PaperScale(25.0, 10.0, "speed assumed, gain assumed"))
    assert report.status == "review"
    assert any("25 mm/s and 10 mm/mV are assumed" in reason for reason in report.reasons)


@pytest.mark.parametrize("speed_from", ["printed", "set", "pulse"])
def test_a_gain_that_nothing_tells_is_said_to_be_assumed(speed_from: str) -> None:
    report = report_on(page_of(heart_mv()), scale=PaperScale(50.0, 10.0, f"speed {speed_from}, gain assumed"))
    assert report.status == "review"
    assert "no pulse and no printed gain: 10 mm/mV is assumed" in report.reasons


@pytest.mark.parametrize("gain_from", ["printed", "set", "pulse"])
def test_a_gain_that_is_told_is_not_said_to_be_assumed(gain_from: str) -> None:
    report = report_on(page_of(heart_mv()), scale=PaperScale(25.0, 10.0, f"speed printed, gain {gain_from}"))
    assert not any("assumed" in reason for reason in report.reasons)


def test_the_gain_may_be_known_without_the_speed() -> None:
    report = report_on(page_of(heart_mv()), scale=PaperScale(25.0, 10.0, "speed assumed, gain pulse"))
    assert report.status == "ok"


@pytest.mark.parametrize(("names", "source", "told"), [
    (("gain10", "gain5"), "speed printed, gain printed", True),
    (("gain10", "gain10"), "speed printed, gain printed", False),
    (("gain10", "gain5"), "speed printed, gain set", False),
])  # fmt: skip
def test_two_printed_gains_are_told(names: tuple[str, ...], source: str, told: bool) -> None:
    printed = replace(SURE, names=names, xy=np.zeros((len(names), 2)), confidence=np.ones(len(names)))
    report = report_on(page_of(heart_mv()), scale=PaperScale(25.0, 10.0, source), keypoints=printed)
    assert any("5 and 10 mm/mV are printed" in reason for reason in report.reasons) == told
    assert (report.status == "review") == told


def test_an_uncertain_grid_is_told() -> None:
    report = report_on(page_of(heart_mv()), grid_confidence=0.1)
    assert report.status == "review"
    assert any("grid is uncertain" in reason for reason in report.reasons)


def test_an_uncertain_orientation_is_told() -> None:
    report = report_on(page_of(heart_mv()), keypoints=replace(SURE, orientation_confidence=0.3))
    assert any("orientation" in reason for reason in report.reasons)


# --- what was read ------------------------------------------------------------------------------------------


def test_missing_leads_are_named() -> None:
    traces = tuple(t for t in page_of(heart_mv()).traces if t.lead not in ("aVL", "V6"))
    report = report_on(DigitizedEcg(traces, "12x1"))
    assert report.status == "review"
    assert "not found: aVL, V6" in report.reasons


def test_weak_leads_are_named() -> None:
    traces = [trace(t.lead, t.mv, confidence=0.3 if t.lead == "V3" else 0.9) for t in page_of(heart_mv()).traces]
    assert "low confidence: V3" in report_on(DigitizedEcg(tuple(traces), "12x1")).reasons


def test_leads_with_holes_are_named() -> None:
    mv = heart_mv()
    mv[7, 1000:2500] = np.nan
    report = report_on(page_of(mv))
    assert "parts not readable: V2" in report.reasons
    assert report.leads[7].read == pytest.approx(0.7)


def test_a_page_of_which_hardly_anything_was_read_has_failed() -> None:
    report = report_on(page_of(heart_mv(), confidence=0.05))
    assert report.status == "failed"
    assert "hardly any sample could be read" in report.reasons


def test_a_swapped_augmented_lead_is_noticed() -> None:
    mv = heart_mv()
    mv[[3, 4]] = mv[[4, 3]]  # the sum of the augmented leads does not change
    report = report_on(page_of(mv))
    assert report.status == "review"
    assert [reason.split()[0] for reason in report.reasons] == ["aVR", "aVL"]


@pytest.mark.parametrize(("layout", "printed"), [("6x1", LEADS[:6]), ("6x1-chest", LEADS[6:])])
def test_half_a_record_lacks_nothing(layout: str, printed: tuple[str, ...]) -> None:
    mv = heart_mv()
    ecg = DigitizedEcg(tuple(trace(lead, mv[LEADS.index(lead)]) for lead in printed), layout)
    assert report_on(ecg).reasons == ()


def spikes_mv(period_s: float) -> F64:
    """Return twelve leads [12, 5000] in mV that beat at one pace, each lead with an amplitude of its own."""
    t_s = np.arange(round(SECONDS * FS)) / FS
    beat = np.exp(-0.5 * (((t_s + period_s / 2) % period_s - period_s / 2) / 0.012) ** 2)
    limbs = limb_leads(0.8 * beat, 1.4 * beat)
    return np.concatenate([limbs, np.outer([-0.7, -1.1, 0.6, 1.3, 1.6, 1.0], beat)])


@pytest.mark.parametrize(("period_s", "pace"), [(2.0, "30"), (0.25, "240"), (1.0, None)])
def test_a_heart_that_beats_impossibly_fast_or_slowly_questions_the_paper_speed(
    period_s: float, pace: str | None
) -> None:
    expected = (f"{pace} beats per minute at 25 mm/s: check the paper speed",) if pace else ()
    assert report_on(page_of(spikes_mv(period_s))).reasons == expected


def test_leads_whose_beats_lie_at_other_times_are_named() -> None:
    mv = spikes_mv(0.8)
    mv[6:9] = np.pad(mv[6:9, 150:], ((0, 0), (0, 150)))
    report = report_on(page_of(mv))
    assert report.reasons == ("beats at other times than in the other leads: V1, V2, V3: check columns and names",)
    assert report.doubt > 3 * report_on(page_of(spikes_mv(0.8))).doubt


# --- what the traces show -----------------------------------------------------------------------------------


def placed(ecg: DigitizedEcg, *, pitch_mm: float) -> DigitizedEcg:
    """Lay the traces under each other on the paper, at 25 mm/s, 10 mm/mV and 8 px/mm."""
    rows = []
    for row, each in enumerate(ecg.traces):
        mm = np.column_stack([25.0 * each.t_s + 10, pitch_mm * (row + 1) - 10.0 * np.nan_to_num(each.mv)])
        rows.append(replace(each, xy=8.0 * mm))
    return replace(ecg, traces=tuple(rows))


def told_of(ecg: DigitizedEcg, *, grid_confidence: float = 0.9, scale: PaperScale = SCALE) -> QualityReport:
    y, x = np.mgrid[:60, :60] * 40.0
    grid = GridFit(np.stack([x, y], axis=-1), scale, grid_confidence)
    return assess(SURE, grid, ecg, assemble(ecg, grid, settings=AssembleSettings()), settings=QualitySettings())


def test_leads_whose_lines_lie_on_each_other_are_named_where_the_page_is_doubted() -> None:
    apart = told_of(placed(page_of(heart_mv(), confidence=0.6), pitch_mm=20.0), grid_confidence=0.46)
    together = told_of(placed(page_of(heart_mv(), confidence=0.6), pitch_mm=0.1), grid_confidence=0.46)
    assert apart.crowded == 0
    assert together.crowded > 0.3
    assert together.doubt > apart.doubt
    assert [r for r in apart.reasons if "other rows" in r] == []
    assert any(r.startswith("lines lie on those of other rows: ") and "V2" in r for r in together.reasons)


def test_voltages_that_no_heart_has_question_a_gain_that_nothing_tells() -> None:
    untold = replace(SCALE, source="speed printed, gain assumed")
    assert any(
        "for the gain in use" in reason for reason in report_on(page_of(0.4 * spikes_mv(0.8)), scale=untold).reasons
    )
    assert not any("for the gain in use" in reason for reason in report_on(page_of(0.4 * spikes_mv(0.8))).reasons)


def test_a_doubted_page_says_why_though_no_check_of_its_own_failed() -> None:
    vague = page_of(heart_mv(), confidence=0.55)
    short = replace(vague, traces=tuple(replace_span(each, 4700) for each in vague.traces))
    report = told_of(placed(short, pitch_mm=0.1), grid_confidence=0.46)
    assert report.doubt >= REVIEW_DOUBT
    assert report.status == "review"
    assert any("shorter or longer" in reason for reason in report.reasons)
    assert told_of(placed(page_of(heart_mv()), pitch_mm=20.0)).reasons == ()


def test_of_a_doubted_page_whose_signs_are_all_small_the_heaviest_is_said() -> None:
    report = replace(
        PLAIN, confidence=0.5, leads=(LeadQuality("I", 0.5, 1.0),), vague=0.5, twin_db=7.0, einthoven_db=7.0
    )
    assert report.reasons == ()
    assert len(reasons_of_doubt(replace(report, grid_confidence=0.46), TraceSigns())) == 1
    assert reasons_of_doubt(PLAIN, TraceSigns()) == []


def test_a_doubted_page_says_in_which_lead_its_heaviest_sign_is() -> None:
    shaky = replace(PLAIN, grid_confidence=0.46, chest=0.3, leap=3.0, vague=0.4)
    (reason,) = reasons_of_doubt(shaky, TraceSigns(unlike={"V2": 0.1, "V5": 0.3}))
    assert reason == "chest leads are unlike those beside them, most in V5: check the page"
    (reason,) = reasons_of_doubt(shaky, TraceSigns(unlike={"V2": 0.1, "V5": 0.6}))
    assert reason.startswith("unlike the chest leads beside: V5: ")
    (reason,) = reasons_of_doubt(replace(shaky, leap=9.0), TraceSigns(leaps={"I": 1.0, "V3": 9.0}))
    assert reason == "lines leap: V3"


def replace_span(each: LeadTrace, samples: int) -> LeadTrace:
    """Cut a trace off after so many samples."""
    return LeadTrace(each.lead, each.t0_s, each.fs, each.mv[:samples], each.xy[:samples], each.confidence[:samples])


# --- the page as a whole ------------------------------------------------------------------------------------


def test_a_consistent_page_is_hardly_doubted() -> None:
    assert report_on(page_of(heart_mv())).doubt < 0.15


@pytest.mark.parametrize(
    "worse",
    [
        {"confidence": 0.4},
        {"leads": (LeadQuality("I", 0.2, 1.0), LeadQuality("II", 0.9, 0.1))},
        {"einthoven_db": -3.0},
        {"goldberger_db": 0.0},
        {"twin_db": -1.0},
        {"scale_agrees": False},
        {"grid_confidence": 0.1},
        {"orientation_confidence": 0.2},
        {"coincidence": 0.5},
        {"missing": 3},
        {"missing": 1, "nameless": 1},
        {"assumed": 1},
        {"reasons": ("one", "two", "three")},
        {"crowded": 0.3},
        {"leap": 5.0},
        {"vague": 0.6},
        {"chest": 0.7},
        {"other_gain": 0.6},
        {"other_speed": 0.6},
        {"odd_length": 0.01},
        {"cut_share": 0.1},
    ],
)
def test_whatever_speaks_against_a_page_never_lessens_its_doubt(worse: dict[str, Any]) -> None:
    good = report_on(with_twin(heart_mv()[1, :1250]))
    bad = replace(good, **worse)
    assert bad.doubt >= good.doubt
    assert evidence(bad) != evidence(good)


@given(
    confidence=st.floats(0, 1), einthoven_db=st.none() | st.floats(-60, 120), twin_db=st.none() | st.floats(-60, 120),
    scale_agrees=st.none() | st.booleans(), grid_confidence=st.floats(0, 1), orientation_confidence=st.floats(0, 1),
    coincidence=st.none() | st.floats(-1, 1), missing=st.integers(0, 12), nameless=st.integers(0, 30),
    crowded=st.floats(0, 1), leap=st.floats(0, 90), vague=st.floats(0, 1), chest=st.none() | st.floats(0, 1),
    other_gain=st.floats(0, 1), other_speed=st.floats(0, 1), odd_length=st.floats(0, 9), cut_share=st.floats(0, 1),
    assumed=st.integers(0, 2), reasons=st.lists(st.just("why"), max_size=9).map(tuple),
    leads=st.lists(st.builds(LeadQuality, st.just("I"), st.floats(0, 1), st.floats(0, 1)), max_size=13).map(tuple),
)  # fmt: skip
def test_a_doubt_is_a_probability_and_so_is_its_evidence(**checks: Any) -> None:  # noqa: ANN401 - all kinds of checks
    report = replace(PLAIN, **checks)
    assert 0 <= report.doubt <= 1
    assert set(evidence(report)) == set(DOUBT_WEIGHTS)
    assert all(0 <= value <= 1 for value in evidence(report).values())


def test_strips_that_were_left_out_speak_against_a_page_only_where_leads_are_missing() -> None:
    whole, partial = replace(PLAIN, missing=0), replace(PLAIN, missing=3)
    assert replace(whole, nameless=2).doubt == whole.doubt
    assert replace(partial, nameless=2).doubt > partial.doubt


def test_no_check_that_speaks_against_a_page_counts_for_it() -> None:
    assert min(DOUBT_WEIGHTS.values()) >= 0


def test_doubts_about_the_names_ask_for_a_review() -> None:
    ecg = replace(page_of(heart_mv()), notes=("lead name(s) not read, inferred from the layout: V3",))
    report = report_on(ecg)
    assert (report.status, report.reasons) == ("review", ecg.notes)

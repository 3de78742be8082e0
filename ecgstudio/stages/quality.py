"""How far a page's answer can be trusted, judged without any truth: the page is asked whether it agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from ecgstudio.core.arrays import Floats
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.leads import LAYOUTS, LEADS, einthoven_residual, goldberger_residual, limb_leads
from ecgstudio.stages.beats import coincidence, find_beats
from ecgstudio.stages.calibration import printed_gains
from ecgstudio.stages.settings import QualitySettings
from ecgstudio.stages.trace_signs import TraceSigns, look_at

Verdict = Literal["ok", "review", "failed"]

LOW_LEAD_CONFIDENCE = 0.5
LOW_GRID_CONFIDENCE = 0.45
LOW_ORIENTATION_CONFIDENCE = 0.6
MIN_EINTHOVEN_DB = 6.0
MIN_TWIN_DB = 6.0
MAX_SHIFT_S = 0.06
MIN_COMMON_S = 1.0
MISSING_SHARE = 0.15
PULSE_TOLERANCE = 0.08
FLAT_MV = 0.03  # a lead that hardly moves agrees with anything
PACE_BPM = (38.0, 220.0)  # beyond, a wrong paper speed is likelier than such a heart
LEAST_BEATS = 5
ASTRAY = 0.65  # correlation of beats below which a lead lies at a wrong time, where so many do:
MANY_ASTRAY = 3
COINCIDES = 0.85  # from which on leads that coincide better say no more

DOUBT_BIAS: Final = -6.29
DOUBT_WEIGHTS: Final[Mapping[str, float]] = {
    "unsure": 3.92,
    "weakest": 0.78,
    "limbs": 0.53,
    "twin": 1.00,
    "scale": 0.00,
    "grid": 1.34,
    "orientation": 0.55,
    "beats": 0.95,
    "missing": 1.17,
    "lost": 2.00,
    "assumed": 0.80,
    "reasons": 0.77,
    "crowded": 1.77,
    "leap": 1.96,
    "vague": 1.32,
    "chest": 1.96,
    "gain": 1.67,
    "speed": 1.20,
    "length": 0.76,
    "cut": 3.00,
}
"""Log odds of an SNR below 10 dB, per `evidence`; fitted by ``python -m training doubt`` on rendered pages, but for
`cut`, `assumed` and `lost`, chosen by the AUC on 328 others."""
REVIEW_DOUBT: Final = 0.06  # from which a page wants a human; most good pages stay below half of it
LIKELY: Final = 0.5
ODD_LENGTH: Final = 0.02  # share by which no cart's record is too short or too long
CROWDED: Final = 0.25  # of a lead's power
LEAPS: Final = 3.5  # standard deviations
UNLIKE: Final = 0.4  # of a chest lead's power
DOUBT_WORDS: Final[Mapping[str, str]] = {
    "unsure": "many samples are uncertain",
    "weakest": "the weakest leads are uncertain",
    "limbs": "the limb leads agree only roughly",
    "twin": "the two prints of a lead agree only roughly",
    "grid": "the grid is not clearly seen",
    "beats": "beats lie only roughly at the same times in all leads",
    "crowded": "lines lie on those of other rows",
    "leap": "lines leap",
    "vague": "tall waves are uncertain",
    "chest": "chest leads are unlike those beside them",
    "length": "the record is a little shorter or longer than carts print",
    "cut": "a part lies outside the picture",
}
"""What to say of a doubted page where no check has failed."""
AGREES_DB: Final = 20.0  # two ways to the same lead that agree so well say no more by agreeing better
UNKNOWN_EVIDENCE: Final = 0.5  # of a check that the page does not allow
NOISE_SHARE: Final = 0.1  # of power, at which a page's SNR is 10 dB
PEN_LEAP: Final = 2.0  # standard deviations: a pen's largest steps
WILD_LEAP: Final = 6.0  # and such as none takes
FEW_LEADS: Final = 3
MANY_REASONS: Final = 4
MANY_MISSING: Final = 6


@dataclass(frozen=True, slots=True)
class LeadQuality:
    """One printed lead: its mean confidence and the share of its printed samples that were read."""

    lead: str
    confidence: float
    read: float


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The self-checks; a check that the page does not allow is None.

    einthoven_db, goldberger_db: 10 log10 of the power of II (aVR) over that of II - I - III (aVR + aVL + aVF).
    twin_db, twin_lead: the same for the short against the long print of the lead whose prints agree least, `twin_uv`
    its rms in microvolt.
    coincidence: how well the beats of the third worst lead lie at the times of the others', as a correlation.
    missing: leads that the layout prints but nobody found. nameless: strips that were left out. assumed: of speed and
    gain, how many nothing told.
    crowded, leap, vague, chest, other_gain, other_speed, odd_length: see `TraceSigns`. cut_share: of what is printed.
    """

    status: Verdict
    reasons: tuple[str, ...]
    confidence: float
    leads: tuple[LeadQuality, ...]
    einthoven_db: float | None
    goldberger_db: float | None
    twin_lead: str | None
    twin_db: float | None
    twin_uv: float | None
    pulse_mm: float | None
    scale_agrees: bool | None
    grid_confidence: float
    orientation_confidence: float
    coincidence: float | None = None
    missing: int = 0
    nameless: int = 0
    assumed: int = 0
    crowded: float = 0.0
    leap: float = 0.0
    vague: float = 0.0
    chest: float | None = None
    other_gain: float = 0.0
    other_speed: float = 0.0
    odd_length: float = 0.0
    cut_share: float = 0.0

    @property
    def doubt(self) -> float:
        """Return the chance, 0..1, that the page was read badly (its SNR below 10 dB), by all checks together."""
        log_odds = DOUBT_BIAS + sum(DOUBT_WEIGHTS[name] * value for name, value in evidence(self).items())
        return float(1 / (1 + np.exp(-log_odds)))


def evidence(report: QualityReport) -> dict[str, float]:
    """Return what speaks against a page, each check between 0 (nothing) and 1.

    unsure, weakest: what lacks to full confidence on average and in the weakest FEW_LEADS leads. limbs, twin: how far
    Einthoven's and Goldberger's sums, and the two prints of a lead, are from agreeing by AGREES_DB. scale: pulse or
    print against the scale in use. grid, orientation: what lacks to their full confidence. beats: how far those of
    several leads are from lying at the times of the others'. missing: leads that were not found, of half a record.
    lost: whether strips were left out while leads are missing. assumed: of speed and gain, what nothing told. reasons:
    how many there are. crowded, vague, chest: what may be noise. leap: steps that no pen takes. gain, speed: the chance
    that it is another. length: time that no cart prints. cut: what lies outside the picture is as good as noise.
    """
    sure = np.sort([lead.confidence * lead.read for lead in report.leads])
    limbs_db = [db for db in (report.einthoven_db, report.goldberger_db) if db is not None]
    return {
        "unsure": 1 - report.confidence,
        "weakest": 1 - float(sure[:FEW_LEADS].mean()) if len(sure) else 1.0,
        "limbs": _disagreement(min(limbs_db, default=None)),
        "twin": _disagreement(report.twin_db),
        "scale": UNKNOWN_EVIDENCE if report.scale_agrees is None else float(not report.scale_agrees),
        "grid": 1 - report.grid_confidence,
        "orientation": 1 - report.orientation_confidence,
        "beats": 0.0 if report.coincidence is None else _astray(report.coincidence),
        "missing": min(report.missing / MANY_MISSING, 1.0),
        "lost": float(report.missing > 0 and report.nameless > 0),
        "assumed": min(report.assumed / 2, 1.0),
        "reasons": min(len(report.reasons), MANY_REASONS) / MANY_REASONS,
        "crowded": _noise(report.crowded),
        "leap": float(np.clip((report.leap - PEN_LEAP) / (WILD_LEAP - PEN_LEAP), 0, 1)),
        "vague": _noise(report.vague),
        "chest": UNKNOWN_EVIDENCE if report.chest is None else _noise(report.chest),
        "gain": report.other_gain,
        "speed": report.other_speed,
        "length": min(report.odd_length / ODD_LENGTH, 1.0),
        "cut": _noise(report.cut_share),
    }


def _noise(share: float) -> float:
    """Turn a share of power that may be noise into evidence: half of all that there can be where it makes 10 dB."""
    return share / (share + NOISE_SHARE)


def _disagreement(db: float | None) -> float:
    return UNKNOWN_EVIDENCE if db is None else float(np.clip(1 - db / AGREES_DB, 0, 1))


def _astray(coincidence: float) -> float:
    return float(np.clip((COINCIDES - coincidence) / (COINCIDES - ASTRAY) / 2, 0, 1))


def assess(
    keypoints: Keypoints, grid: GridFit, ecg: DigitizedEcg, record: EcgRecord, *, settings: QualitySettings
) -> QualityReport:
    """Judge a page by its own evidence and say in words what looks wrong."""
    leads = tuple(_lead_quality(trace) for trace in ecg.traces)
    mv = record.mv.astype(np.float64)
    einthoven = _ratio_db(mv[1], einthoven_residual(mv), record.fs)
    goldberger = _ratio_db(mv[3], goldberger_residual(mv), record.fs)
    twin = _twin(ecg)
    agrees, conflict = _scale_check(grid.scale)
    confidence = float(np.mean([lead.confidence * lead.read for lead in leads])) if leads else 0.0
    reasons = [conflict] if conflict else []
    if grid.confidence < LOW_GRID_CONFIDENCE:
        reasons.append(f"the grid is uncertain (confidence {grid.confidence:.2f}): check the scale")
    if keypoints.orientation_confidence < LOW_ORIENTATION_CONFIDENCE:
        reasons.append("the page's orientation is uncertain")
    if grid.scale.source.count("assumed") > 1 or grid.scale.source == "assumed":
        assumed = f"{grid.scale.mm_per_s:g} mm/s and {grid.scale.mm_per_mV:g} mm/mV"
        reasons.append(f"no pulse and no printed scale: {assumed} are assumed")
    elif "gain assumed" in grid.scale.source:
        reasons.append(f"no pulse and no printed gain: {grid.scale.mm_per_mV:g} mm/mV is assumed")
    gains = printed_gains(keypoints)
    if len(gains) > 1 and "gain set" not in grid.scale.source:
        several = " and ".join(f"{gain:g}" for gain in gains)
        reasons.append(f"{several} mm/mV are printed: check the gain of limb and of chest leads")
    reasons.extend(ecg.notes)
    missing = [lead for lead in _printed_leads(ecg.layout) if not np.isfinite(record.lead_mv(lead)).any()]
    if missing:
        reasons.append(f"not found: {', '.join(missing)}")
    weak = sorted({lead.lead for lead in leads if lead.confidence < LOW_LEAD_CONFIDENCE})
    if weak:
        reasons.append(f"low confidence: {', '.join(weak)}")
    holes = sorted({lead.lead for lead in leads if lead.read < 1 - MISSING_SHARE})
    if holes:
        reasons.append(f"parts not readable: {', '.join(holes)}")
    if einthoven is not None and einthoven < MIN_EINTHOVEN_DB:
        reasons.append(f"II differs from I + III ({einthoven:.1f} dB): leads may be swapped or misread")
    if goldberger is not None and goldberger < MIN_EINTHOVEN_DB:
        reasons.append(f"aVR + aVL + aVF is not zero ({goldberger:.1f} dB): leads may be swapped or misread")
    for lead, unlike_db in _limb_mismatch(record).items():
        reasons.append(f"{lead} does not follow from I and II ({unlike_db:.1f} dB): leads may be swapped or misread")
    if twin is not None and twin[1] < MIN_TWIN_DB:
        reasons.append(f"the two prints of lead {twin[0]} differ by {twin[2]:.0f} uV")
    signs = look_at(ecg.traces, mv, fs=record.fs, grid=grid)
    together = coincidence(mv, record.fs)
    reasons.extend(_beat_reasons(mv, together, fs=record.fs, mm_per_s=grid.scale.mm_per_s))
    status: Verdict = "review" if reasons else "ok"
    if not leads or confidence < 0.1:
        status, reasons = "failed", [*reasons, "hardly any sample could be read"]
    report = QualityReport(
        status=status, reasons=tuple(reasons), confidence=confidence, leads=leads,
        einthoven_db=einthoven, goldberger_db=goldberger,
        twin_lead=twin[0] if twin else None, twin_db=twin[1] if twin else None, twin_uv=twin[2] if twin else None,
        pulse_mm=grid.scale.pulse_height_mm, scale_agrees=agrees,
        grid_confidence=grid.confidence, orientation_confidence=keypoints.orientation_confidence,
        coincidence=_third_worst(together), missing=len(missing), nameless=ecg.nameless,
        assumed=grid.scale.source.count("assumed"),
        crowded=signs.crowded_share, leap=max(signs.leaps.values(), default=0.0), vague=signs.vague,
        chest=signs.chest, other_gain=signs.gain, other_speed=signs.speed, odd_length=signs.length,
        cut_share=ecg.cut_share,
    )  # fmt: skip
    doubted = reasons_of_doubt(report, signs)
    if not doubted:
        return report
    return replace(report, status="failed" if status == "failed" else "review", reasons=(*report.reasons, *doubted))


def reasons_of_doubt(report: QualityReport, signs: TraceSigns) -> list[str]:
    """Say what else speaks against a page that is doubted, and why it is if no check of its own has said so."""
    said = evidence(report)
    reasons = []
    if said["gain"] > LIKELY:
        reasons.append("waves are unusually high or low for the gain in use: check it")
    if said["speed"] > LIKELY:
        reasons.append("beats are unusually long or short for the paper speed in use: check it")
    if report.doubt < REVIEW_DOUBT:
        return reasons
    crowded = _above(signs.crowded, CROWDED)
    if crowded and report.crowded > NOISE_SHARE:
        reasons.append(f"lines lie on those of other rows: {crowded}: check their tall waves")
    if report.odd_length > ODD_LENGTH:
        reasons.append(f"{DOUBT_WORDS['length']}: check its ends and the grid")
    if wild := _above(signs.leaps, LEAPS):
        reasons.append(f"lines leap: {wild}")
    if unlike := _above(signs.unlike, UNLIKE):
        reasons.append(f"unlike the chest leads beside: {unlike}: check names, columns and rows")
    if not reasons and not report.reasons:
        reasons.append(_heaviest(report, signs, said=said))
    return reasons


def _above(shares: Mapping[str, float], limit: float) -> str:
    """Name the leads, in their order, for which a sign is above a limit."""
    return ", ".join(lead for lead in LEADS if shares.get(lead, 0.0) > limit)


def _heaviest(report: QualityReport, signs: TraceSigns, *, said: Mapping[str, float]) -> str:
    """Say what speaks loudest against a page, and in which lead it does where that can be told."""
    most = max(DOUBT_WORDS, key=lambda name: DOUBT_WEIGHTS[name] * said[name])
    vague = {lead.lead: 1 - lead.confidence * lead.read for lead in report.leads}
    of_leads = {"crowded": signs.crowded, "leap": signs.leaps, "chest": signs.unlike}
    shares = of_leads.get(most, vague if most in ("unsure", "weakest", "vague") else {})
    where = f", most in {max(shares, key=lambda lead: shares[lead])}" if shares else ""
    return f"{DOUBT_WORDS[most]}{where}: check the page"


def _third_worst(agreement: Floats) -> float | None:
    """Return the agreement of the MANY_ASTRAY-th worst lead; None where fewer leads have company."""
    known = np.sort(agreement[np.isfinite(agreement)])
    return float(known[MANY_ASTRAY - 1]) if len(known) >= MANY_ASTRAY else None


def _beat_reasons(mv: Floats, agreement: Floats, *, fs: float, mm_per_s: float) -> list[str]:
    """Say where the times of the beats look wrong."""
    reasons = []
    astray = [lead for lead, value in zip(LEADS, agreement, strict=True) if value < ASTRAY]
    if len(astray) >= MANY_ASTRAY:
        reasons.append(f"beats at other times than in the other leads: {', '.join(astray)}: check columns and names")
    beats_s = find_beats(mv, fs)
    if len(beats_s) >= LEAST_BEATS:
        pace = 60 / float(np.median(np.diff(beats_s)))
        if not PACE_BPM[0] <= pace <= PACE_BPM[1]:
            reasons.append(f"{pace:.0f} beats per minute at {mm_per_s:g} mm/s: check the paper speed")
    return reasons


def _printed_leads(layout: str) -> tuple[str, ...]:
    """Return the leads that a page of this layout prints: all twelve, unless it is known to be half a record."""
    template = LAYOUTS.get(layout)
    return template.leads if template is not None else LEADS


def _limb_mismatch(record: EcgRecord) -> dict[str, float]:
    """Return the augmented leads that differ from what I and II, printed at the same time, make them, with the dB."""
    if any(not np.isfinite(record.lead_mv(lead)).any() for lead in ("I", "II")):
        return {}
    expected = limb_leads(record.lead_mv("I"), record.lead_mv("II"))
    wrong = {}
    for lead in LEADS[3:6]:
        mv = record.lead_mv(lead).astype(np.float64)
        made = expected[LEADS.index(lead)]
        reach = round(MAX_SHIFT_S * record.fs)  # columns that show the same seconds begin a little apart
        found = [_ratio_db(mv, mv - np.roll(made, shift), record.fs) for shift in range(-reach, reach + 1, 2)]
        db = max((value for value in found if value is not None), default=None)
        if db is not None and db < MIN_EINTHOVEN_DB and np.nanstd(mv) > FLAT_MV:
            wrong[lead] = db
    return wrong


def _lead_quality(trace: LeadTrace) -> LeadQuality:
    read = np.isfinite(trace.mv)
    confidence = float(trace.confidence[read].mean()) if read.any() else 0.0
    return LeadQuality(trace.lead, confidence, float(read.mean()) if len(read) else 0.0)


def _ratio_db(signal: Floats, residual: Floats, fs: float) -> float | None:
    """Return signal over residual power in dB where both are known for long enough; offsets do not count."""
    both = np.isfinite(signal) & np.isfinite(residual)
    if both.sum() < MIN_COMMON_S * fs:
        return None
    return float(10 * np.log10(max(float(np.var(signal[both])), 1e-12) / max(float(np.var(residual[both])), 1e-12)))


def _twin(ecg: DigitizedEcg) -> tuple[str, float, float] | None:
    """Compare the two prints of every lead that has them; return the one that agrees least: (lead, dB, rms uV)."""
    found = [(lead, *told) for lead in LEADS if (told := _prints_agree(ecg.of(lead))) is not None]
    return min(found, key=lambda twin: twin[1], default=None)


def _prints_agree(traces: Sequence[LeadTrace]) -> tuple[float, float] | None:
    """Compare a lead's shortest and longest print over the time they share, allowing a small shift: dB, rms uV."""
    prints = sorted(traces, key=lambda t: t.duration_s)
    if len(prints) < 2:
        return None
    short, long = prints[0], prints[-1]
    best: tuple[float, float] | None = None
    reach = round(MAX_SHIFT_S * short.fs)
    first = round((short.t0_s - long.t0_s) * short.fs)
    for shift in range(-reach, reach + 1):
        start = first + shift
        a = short.mv[max(0, -start) :]
        b = long.mv[max(0, start) : max(0, start) + len(a)]
        a = a[: len(b)].astype(np.float64)
        both = np.isfinite(a) & np.isfinite(b)
        if both.sum() < MIN_COMMON_S * short.fs:
            continue
        difference = a[both] - b[both]
        rms = float(np.std(difference))
        if best is None or rms < best[0]:
            best = rms, float(np.std(b[both]))
    if best is None:
        return None
    return float(20 * np.log10(max(best[1], 1e-6) / max(best[0], 1e-6))), best[0] * 1000


def _scale_check(scale: PaperScale) -> tuple[bool | None, str]:
    """Compare pulse, printed texts and the scale in use; None when there is nothing to compare."""
    checked, wrong = False, []
    if scale.pulse_height_mm is not None:
        checked = True
        if abs(scale.pulse_height_mm / scale.mm_per_mV - 1) > PULSE_TOLERANCE:
            wrong.append(f"the pulse is {scale.pulse_height_mm:.1f} mm high but {scale.mm_per_mV:g} mm/mV is used")
    for printed, used, unit in (
        (scale.printed_mm_per_s, scale.mm_per_s, "mm/s"),
        (scale.printed_mm_per_mV, scale.mm_per_mV, "mm/mV"),
    ):
        if printed is not None:
            checked = True
            if printed != used:
                wrong.append(f"{printed:g} {unit} is printed but {used:g} {unit} is used")
    return (not wrong if checked else None), "; ".join(wrong)

"""The tables of an evaluation, made once from the pages' scores: the same numbers as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from ecgstudio.core.leads import LEADS
from training.metrics import summarize_db
from training.oracle import FOUND
from training.page_score import PageScore, by_layout, by_tier
from training.report_table import Column, Table, csv_cell, ratio
from training.stage_report import count_names, losses, stage_tables
from training.trust_report import VERDICTS, suspicion, trust_tables

WORST_SHOWN: Final = 12


def make_tables(scores: Sequence[PageScore], *, worst: int = WORST_SHOWN) -> list[Table]:
    """Return every table for which these pages have something to say; `worst` pages are listed."""
    scored = [score for score in scores if np.isfinite(score.snr_db)]
    unscored = [score for score in scores if not np.isfinite(score.snr_db)]
    tables: list[Table] = []
    if scored:
        tables += [score_table(scored)]
        tables += [layout_table(scored)] if any(score.stages is not None for score in scored) else []
        tables += [*trust_tables(scored), *stage_tables(scored), worst_table(scored, count=worst)]
    if unscored:
        tables.append(unscored_table(unscored))
    return tables


# --- the page as a whole ------------------------------------------------------------------------------------


def score_table(scores: Sequence[PageScore]) -> Table:
    """SNR and verdicts per tier."""
    return _score_table("scores", "SNR per tier (aggregate: the challenge's)", "tier", by_tier(scores))


def layout_table(scores: Sequence[PageScore]) -> Table:
    """SNR and verdicts per printed layout."""
    return _score_table("scores_by_layout", "SNR by printed layout", "printed", by_layout(scores))


def _score_table(key: str, title: str, group: str, groups: Iterable[tuple[str, list[PageScore]]]) -> Table:
    rows = []
    for name, pages in groups:
        s = summarize_db([page.snr_db for page in pages])
        verdicts = [sum(page.status == verdict for page in pages) for verdict in VERDICTS]
        seconds = float(np.median([page.seconds for page in pages]))
        db = (s.mean_db, s.median_db, s.min_db, s.aggregate_db)
        rows.append((name, s.pages, *db, s.failures, ratio(s.failures, s.pages), *verdicts, seconds))
    numbers = ("mean_db", "median_db", "min_db", "aggregate_db")
    columns = (
        Column(group),
        Column("pages", "d"),
        *(Column(name, ".2f") for name in numbers),
        Column("below_5db", "d"),
        Column("failure_rate", ".3f"),
        *(Column(name, "d") for name in VERDICTS),
        Column("median_s", ".1f"),
    )
    return Table(key, title, columns, tuple(rows))


def worst_table(scores: Sequence[PageScore], *, count: int = WORST_SHOWN) -> Table:
    """The pages to look at first."""
    rows = [
        (
            score.name,
            score.tier,
            score.snr_db,
            score.status,
            score.confidence,
            score.doubt,
            score.stages.printed_layout if score.stages is not None else "",
            score.layout,
            max(losses(score).items(), key=lambda item: item[1])[0] if score.rungs else "",
            "; ".join(score.reasons),
        )
        for score in worst_pages(scores, count=count)
    ]
    names = ("name", "tier", "snr_db", "status", "confidence", "doubt", "printed", "layout", "loses_most", "reasons")
    forms = {"snr_db": ".1f", "confidence": ".2f", "doubt": ".2f"}
    return Table("worst", "Worst pages", tuple(Column(name, forms.get(name, "")) for name in names), tuple(rows))


def worst_pages(scores: Iterable[PageScore], *, count: int = WORST_SHOWN) -> list[PageScore]:
    """Return the pages of the lowest SNR; where there is no truth, of the worst verdict and lowest confidence."""
    return sorted(scores, key=lambda s: (np.nan_to_num(s.snr_db), -suspicion(s), s.name))[:count]


def unscored_table(scores: Sequence[PageScore]) -> Table:
    """What pages without truth say about themselves."""
    rows = [
        (s.name, s.tier, s.status, s.layout, s.confidence, s.doubt, *_checks(s), "; ".join(s.reasons))
        for s in sorted(scores, key=lambda s: (s.tier, s.name))
    ]
    names = ("name", "tier", "status", "layout", "confidence", "doubt", "einthoven_db", "twin", "reasons")
    forms = {"confidence": ".2f", "doubt": ".2f", "einthoven_db": ".1f"}
    columns = tuple(Column(name, forms.get(name, "")) for name in names)
    return Table("unscored", "Pages without truth", columns, tuple(rows))


def _checks(score: PageScore) -> tuple[float, str]:
    """Return Einthoven's ratio in dB, and how well the two prints of a lead agree."""
    quality = score.quality
    if quality is None:
        return np.nan, ""
    einthoven_db, twin_db, twin_uv = (
        np.nan if value is None else value for value in (quality.einthoven_db, quality.twin_db, quality.twin_uv)
    )
    return einthoven_db, f"{quality.twin_lead} {twin_db:.1f} dB {twin_uv:.0f} uV" if quality.twin_lead else ""


# --- page by page -------------------------------------------------------------------------------------------


def pages_csv(scores: Sequence[PageScore]) -> str:
    """Write one line per page with all that is known about it."""
    out = io.StringIO()
    lines = [_line(score) for score in scores]
    writer = csv.DictWriter(out, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _line(score: PageScore) -> dict[str, object]:
    einthoven_db, twin = _checks(score)
    line: dict[str, object] = {
        "name": score.name,
        "tier": score.tier,
        "status": score.status,
        "confidence": score.confidence,
        "doubt": score.doubt,
        "swapped": score.swapped,
        "layout": score.layout,
        "seconds": score.seconds,
        "einthoven_db": einthoven_db,
        "twin": twin,
        "snr_db": score.snr_db,
        **{f"{lead}_db": score.lead_db.get(lead, np.nan) for lead in LEADS},
    }
    if score.stages is not None:
        count = count_names([score.stages], LEADS)
        stages = {name: value for name, value in asdict(score.stages).items() if name != "labels"}
        line |= stages | {"names_printed": count.printed, "names_found": count.found, "names_right": count.right}
    if score.rungs:
        line |= {f"{rung}_rung_db": snr_db for rung, snr_db in score.rungs.items() if rung != FOUND}
        line |= {f"{what}_loss_db": lost_db for what, lost_db in losses(score).items()}
    line["reasons"] = "; ".join(score.reasons)
    return {name: csv_cell(value) for name, value in line.items()}

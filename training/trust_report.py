"""What an answer's own word is worth, in tables: confidences, verdicts, doubts, and leads taken for others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from training.metrics import CONFIDENCE_EDGES, Reliability, no_samples, roc_auc, summarize_db
from training.page_score import PageScore, by_tier
from training.report_table import Column, Table, ratio

BAD_PAGE_DB: Final = 10.0
SURE: Final = 0.95
VERDICTS: Final = ("ok", "review", "failed")
DOUBT_EDGES: Final = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def trust_tables(scores: Sequence[PageScore]) -> list[Table]:
    """Return all tables of pages that have a truth."""
    return [
        verdict_table(scores), reliability_table(scores), sure_table(scores), trust_table(scores),
        doubt_table(scores), order_table(scores),
    ]  # fmt: skip


def is_bad(score: PageScore) -> bool:
    """Tell whether a page was read so badly that it should have been doubted."""
    return score.snr_db < BAD_PAGE_DB


def verdict_table(scores: Sequence[PageScore]) -> Table:
    """What the pipeline's own verdict says about the SNR."""
    rows = []
    for verdict in VERDICTS:
        pages = [score for score in scores if score.status == verdict]
        s = summarize_db([page.snr_db for page in pages])
        rows.append((verdict, s.pages, s.mean_db, s.min_db, sum(map(is_bad, pages))))
    columns = (
        Column("status"),
        Column("pages", "d"),
        Column("mean_db", ".2f"),
        Column("min_db", ".2f"),
        Column("below_10db", "d"),
    )
    return Table("verdicts", "SNR by the page's own verdict", columns, tuple(rows))


# --- samples ------------------------------------------------------------------------------------------------


def total_reliability(scores: Iterable[PageScore]) -> Reliability:
    """Add up all pages' samples."""
    total = no_samples()
    for score in scores:
        total += score.reliability
    return total


def reliability_table(scores: Sequence[PageScore]) -> Table:
    """Share of samples within 50 uV by their confidence."""
    total = total_reliability(scores)
    rows = []
    for index, (low, high) in enumerate(pairwise(CONFIDENCE_EDGES)):
        count = int(total.samples[index])
        mean, kept = (ratio(float(sums[index]), count) for sums in (total.confidence, total.good))
        rows.append((f"{low:.2f}-{high:.2f}", count, mean, kept))
    columns = (Column("confidence"), Column("samples", "d"), Column("mean", ".3f"), Column("within_50uv", ".3f"))
    return Table("reliability", "Reliability of the samples' confidence", columns, tuple(rows))


def sure_table(scores: Sequence[PageScore]) -> Table:
    """How many samples are called sure, and how many of those are within 50 uV, per tier."""
    rows = []
    for tier, pages in by_tier(scores):
        total = total_reliability(pages)
        read, (count, kept) = int(total.samples.sum()), total.kept_from(SURE)
        rows.append((tier, read, ratio(count, read), kept, ratio(int(total.good.sum()), read), total.calibration_error))
    numbers = ("sure", "sure_within_50uv", "all_within_50uv", "calibration_error")
    columns = (Column("tier"), Column("samples", "d"), *(Column(name, ".3f") for name in numbers))
    title = "Samples called >= 95 % sure: their share, and how many are within 50 uV"
    return Table("sure", title, columns, tuple(rows))


# --- pages --------------------------------------------------------------------------------------------------


def suspicion(score: PageScore) -> float:
    """Return how bad the pipeline itself thinks a page is: its verdict first, then its confidence."""
    return VERDICTS.index(score.status) + _unsure(score)


def _unsure(score: PageScore) -> float:
    return 1.0 - float(np.nan_to_num(score.confidence))


def trust_table(scores: Sequence[PageScore]) -> Table:
    """How well bad pages are told from good ones, by what is said about them."""
    by: dict[str, Callable[[PageScore], float]] = {
        "status": lambda s: VERDICTS.index(s.status),
        "confidence": _unsure,
        "both": suspicion,
        "doubt": lambda s: s.doubt,
    }
    rows = []
    for tier, pages in by_tier(scores):
        bad = [is_bad(page) for page in pages]
        aucs = [roc_auc([measure(page) for page in pages], bad) for measure in by.values()]
        rows.append((tier, len(pages), sum(bad), *aucs))
    columns = (Column("tier"), Column("pages", "d"), Column("below_10db", "d"))
    return Table(
        "trust",
        "Trust: AUC for a page below 10 dB (both: status, then confidence)",
        (*columns, *(Column(f"auc_{what}", ".3f") for what in by)),
        tuple(rows),
    )


def doubt_table(scores: Sequence[PageScore]) -> Table:
    """How many pages are bad, by the chance of it that they tell."""
    rows = []
    for low, high in pairwise(DOUBT_EDGES):
        pages = [s for s in scores if low <= s.doubt < high or (high == DOUBT_EDGES[-1] and s.doubt >= high)]
        said = float(np.mean([page.doubt for page in pages])) if pages else np.nan
        rows.append((f"{low:.2f}-{high:.2f}", len(pages), said, ratio(sum(map(is_bad, pages)), len(pages))))
    columns = (Column("doubt"), Column("pages", "d"), Column("mean", ".3f"), Column("below_10db", ".3f"))
    return Table("doubts", "Reliability of the pages' doubt", columns, tuple(rows))


def order_table(scores: Sequence[PageScore]) -> Table:
    """How often leads were taken for others, and how often the page did not say so (its status is ok)."""
    rows = []
    for tier, pages in by_tier(scores):
        wrong = [page for page in pages if page.swapped]
        silent = sum(page.status == "ok" for page in wrong)
        ok = sum(page.status == "ok" for page in pages)
        rows.append((tier, len(pages), len(wrong), ok, silent, ratio(silent, len(pages)), ratio(silent, ok)))
    names = ("pages", "wrong_order", "ok", "silent")
    columns = (*(Column(name, "d") for name in names), Column("silent_share", ".3f"), Column("of_ok", ".3f"))
    title = "Leads taken for others (silent: and the status is ok)"
    return Table("order", title, (Column("tier"), *columns), tuple(rows))

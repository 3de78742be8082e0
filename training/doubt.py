"""``python -m training doubt``: fit the formula by which a page tells the chance that it was read badly."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ecgstudio.errors import UserError
from ecgstudio.stages.quality import DOUBT_BIAS, DOUBT_WEIGHTS, evidence
from training.metrics import roc_auc
from training.page_score import PageScore
from training.report_table import Column, Table
from training.score_store import read_scores
from training.trust_report import BAD_PAGE_DB, is_bad

RIDGE: Final = 1.0
BAD_SHARE: Final = 0.1
FOLDS: Final = 5
LEAST_PAGES: Final = 20

Floats = NDArray[np.float64]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m training doubt``."""
    parser.add_argument(
        "--scores", type=Path, required=True, nargs="+", metavar="OUT",
        help="folders of 'python -m training evaluate --out' over rendered pages that nothing else was fitted to",
    )  # fmt: skip
    parser.add_argument(
        "--ridge", type=float, default=RIDGE,
        help=f"pull towards the weights in use, so that few pages change little (default: {RIDGE})",
    )  # fmt: skip
    parser.add_argument(
        "--bad-share", type=float, default=BAD_SHARE,
        help=f"share of bad pages among those that users hand in; rendered sets are harder (default: {BAD_SHARE})",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Fit, and write the weights for ``ecgstudio/stages/quality.py`` with what they are worth; return the exit code."""
    if not (args.ridge > 0 and 0 < args.bad_share < 1):
        raise UserError("--ridge must be positive and --bad-share between 0 and 1.")
    scores = fit_pages(args.scores)
    seen, bad = design(scores)
    bias, weights = fit(seen, bad, ridge=args.ridge, bad_share=args.bad_share)
    for table in (weight_table(seen, bad, weights), worth_table(seen, bad, weights=weights, ridge=args.ridge)):
        sys.stdout.write(f"{table.text()}\n")
    sys.stdout.write(f"DOUBT_BIAS: Final = {bias:.2f}\nDOUBT_WEIGHTS: Final[Mapping[str, float]] = {{\n")
    sys.stdout.writelines(f'    "{name}": {weight:.2f},\n' for name, weight in zip(DOUBT_WEIGHTS, weights, strict=True))
    sys.stdout.write("}\n")
    return 0


def fit_pages(folders: Sequence[Path]) -> list[PageScore]:
    """Return the rendered pages of evaluations that came as far as their self-checks.

    Raises:
        UserError: there are none of either kind, too few, or pages that nobody here rendered.
    """
    try:
        scores = [score for folder in folders for score in read_scores(folder)]
    except ValueError as error:
        raise UserError(str(error)) from error
    if any(score.stages is None for score in scores):
        raise UserError("Only pages of 'python -m training synth' are fitted to: development pages are for measuring.")
    checked = [score for score in scores if score.quality is not None]
    bad = sum(map(is_bad, checked))
    if len(checked) < LEAST_PAGES or not 0 < bad < len(checked):
        raise UserError(
            f"There are {len(checked)} pages with self-checks, {bad} of them below {BAD_PAGE_DB:g} dB: at least "
            f"{LEAST_PAGES} with some of either kind are needed."
        )
    return checked


def design(scores: Sequence[PageScore]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the evidence of every page [n, k] in the order of DOUBT_WEIGHTS, and which pages are bad [n]."""
    told = [evidence(score.quality) for score in scores if score.quality is not None]
    return np.array([[each[name] for name in DOUBT_WEIGHTS] for each in told]), np.array([is_bad(s) for s in scores])


def fit(seen: Floats, bad: NDArray[np.bool_], *, ridge: float, bad_share: float = BAD_SHARE) -> tuple[float, Floats]:
    """Return bias and weights of a logistic regression, near those in use; evidence never speaks for a page.

    Good and bad pages count as if `bad_share` of all were bad.
    """
    sign = np.where(bad, 1.0, -1.0)
    counts = np.where(bad, bad_share / bad.mean(), (1 - bad_share) / (1 - bad.mean()))
    used = np.array(list(DOUBT_WEIGHTS.values()))

    def cost(values: Floats) -> tuple[float, Floats]:
        margin = sign * (values[0] + seen @ values[1:])
        pull = -sign * counts / (1 + np.exp(margin))
        loss = float((counts * np.logaddexp(0, -margin)).sum() + 0.5 * ridge * np.sum((values[1:] - used) ** 2))
        return loss, np.concatenate([[pull.sum()], pull @ seen + ridge * (values[1:] - used)])

    bounds = [(None, None), *[(0.0, None)] * len(used)]
    found = minimize(cost, np.concatenate([[DOUBT_BIAS], used]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), np.asarray(found.x[1:], np.float64)


def weight_table(seen: Floats, bad: NDArray[np.bool_], weights: Floats) -> Table:
    """Each check: its weight, what it says of good and bad pages, and what it is worth alone."""
    rows = [
        (name, float(weight), float(column[~bad].mean()), float(column[bad].mean()), roc_auc(list(column), list(bad)))
        for name, weight, column in zip(DOUBT_WEIGHTS, weights, seen.T, strict=True)
    ]
    columns = (Column("evidence"), Column("weight", ".2f"), Column("good", ".3f"), Column("bad", ".3f"))
    return Table("weights", "Evidence against a page, mean of good and bad ones", (*columns, Column("auc", ".3f")),
                 tuple(rows))  # fmt: skip


def worth_table(seen: Floats, bad: NDArray[np.bool_], *, weights: Floats, ridge: float) -> Table:
    """What the formula is worth on the pages that it was fitted to, on those left out of the fit, and as it was."""
    odds = {
        "fitted": seen @ weights,
        "left out": cross_validated(seen, bad, ridge=ridge),
        "as it is": seen @ np.array(list(DOUBT_WEIGHTS.values())),
    }
    rows = [(name, len(bad), int(bad.sum()), roc_auc(list(each), list(bad))) for name, each in odds.items()]
    columns = (Column("formula"), Column("pages", "d"), Column("below_10db", "d"), Column("auc", ".3f"))
    return Table("worth", "What the doubt is worth", columns, tuple(rows))


def cross_validated(seen: Floats, bad: NDArray[np.bool_], *, ridge: float) -> Floats:
    """Return every page's log odds by a fit to the other folds; good and bad pages are dealt out evenly."""
    fold = np.empty(len(bad), np.intp)
    for kind in (bad, ~bad):
        fold[kind] = np.arange(kind.sum()) % FOLDS
    odds = np.empty(len(bad))
    for k in range(FOLDS):
        bias, weights = fit(seen[fold != k], bad[fold != k], ridge=ridge)
        odds[fold == k] = bias + seen[fold == k] @ weights
    return odds

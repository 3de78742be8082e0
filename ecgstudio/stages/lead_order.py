"""Which lead each slot of a page holds: known orders of leads against what the printed names say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.core.leads import LAYOUTS, LEAD_INDEX, Layout, shape_name
from ecgstudio.stages.printed import Label, Slot

GAP_COST, CONTRADICTION_COST, FREE_COST = 0.35, 0.6, 1.2  # in names read for sure
SHORTENED = {"II": ("I",), "III": ("I", "II")}  # what is read where a trace hides a stroke
SHORTENED_WORTH = 0.5
GUESSED_CONFIDENCE = 0.35
UNLABELLED_CONFIDENCE = 0.12
NAMES_TO_TRUST = 3


@dataclass(frozen=True, slots=True)
class Naming:
    """The lead of one slot, and the printed name that says so, if one was read."""

    lead: str = ""
    confidence: float = 0.0
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A way of naming all slots; `template` is empty where the page's own names decide alone."""

    score: float
    names: tuple[Naming, ...]
    template: str = ""
    contradicted: int = 0


Candidates = list[list[tuple[Label, float]]]


def best_order(counts: list[int], at: Candidates, vouched: Layout | None) -> Order:
    """Choose between the known orders of leads and whatever the names say.

    A known order is believed against a single misread name; two names that changed places are enough to refute it.
    """
    slot_columns = [n for n in counts for _ in range(n)]
    orders = [(vouched.name, vouched.all_rows)] if vouched is not None else known_orders(counts)
    options = [_as_template(name, leads, counts, at, slot_columns) for name, leads in orders]
    if vouched is None or not options:
        options.append(_as_read(at, slot_columns))
    return max(options, key=lambda order: order.score)


def known_orders(counts: list[int]) -> list[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Return the orders of leads that are usual for rows of so many leads, by name."""
    shape = shape_of(counts)
    known = []
    for template in LAYOUTS.values():
        if template.shape == shape:
            known.append((template.name, template.all_rows))
        elif shape not in LAYOUTS and template.shape == shape.partition("+")[0]:
            rhythm = tuple(("",) for _ in range(len(counts) - len(template.rows)))
            known.append((shape + template.name.removeprefix(template.shape), template.rows + rhythm))
    return known


def _as_template(
    name: str, leads: tuple[tuple[str, ...], ...], counts: list[int], at: Candidates, slot_columns: list[int]
) -> Order:
    """Name the slots by a template, as far as what was read does not contradict it too much."""
    expected = [lead for row in leads for lead in row]
    if [len(row) for row in leads] != counts:
        return Order(-np.inf, tuple(Naming() for _ in at), name)
    wide = max(counts)
    score, agree, contradicted = 0.0, 0, []
    chosen: list[Naming] = []
    for i, (lead, names) in enumerate(zip(expected, at, strict=True)):
        is_rhythm = slot_columns[i] < wide or i >= len(LEAD_INDEX)
        own = [(x, w) for x, w in names if is_rhythm or x.lead == lead]
        if own:
            label, weight = max(own, key=lambda item: item[1])
            score, agree = score + weight, agree + (not is_rhythm)
            chosen.append(Naming(label.lead, label.confidence, label))
            continue
        score -= GAP_COST
        if names:
            label, weight = max(names, key=lambda item: item[1])
            shortened = label.lead in SHORTENED.get(lead, ())
            score += SHORTENED_WORTH * weight if shortened else -CONTRADICTION_COST * weight
            contradicted.append(i)
        chosen.append(Naming(lead, GUESSED_CONFIDENCE))
    # what merely follows from the template is worth little where the template itself is in doubt
    trusted = agree >= NAMES_TO_TRUST and not contradicted
    chosen = [
        x if x.label is not None or trusted else replace(x, confidence=UNLABELLED_CONFIDENCE if x.lead else 0.0)
        for x in chosen
    ]
    return Order(score, tuple(chosen), name, len(contradicted))


def _as_read(at: Candidates, slot_columns: list[int]) -> Order:
    """Name every slot by the name that stands there; a lead that was read twice keeps its surest place."""
    best = {i: max(names, key=lambda item: item[1]) for i, names in enumerate(at) if names}
    single = all(n == 1 for n in slot_columns)
    spare = max(0, len(at) - len(LEAD_INDEX)) if single else 0  # that many strips may repeat a lead
    taken: set[tuple[str, int]] = set()
    names = [Naming() for _ in at]
    score = -FREE_COST
    for i, (label, weight) in sorted(best.items(), key=lambda item: -item[1][1]):
        key = label.lead, slot_columns[i]
        if key in taken:
            if not spare:
                continue
            spare -= 1
        taken.add(key)
        names[i] = Naming(label.lead, label.confidence, label)
        score += weight
    unnamed = [i for i, x in enumerate(names) if not x.lead]
    score -= GAP_COST * len(unnamed)
    rest = [lead for lead in LEAD_INDEX if lead not in {x.lead for x in names}]
    if len(unnamed) == 1 and len(rest) == 1:  # whatever the order, the last name goes to the last strip
        names[unnamed[0]] = Naming(rest[0], GUESSED_CONFIDENCE)
    return Order(score, tuple(names))


def shape_of(counts: list[int]) -> str:
    """Return "3x4+1" for rows of 4, 4, 4 and 1 leads; beyond twelve, single strips are rhythm strips."""
    grid = [n for n in counts if n > 1]
    if grid:
        rows, columns, rhythm = len(grid), max(set(grid), key=grid.count), sum(n == 1 for n in counts)
    else:
        rows, columns, rhythm = min(len(counts), len(LEAD_INDEX)), 1, max(0, len(counts) - len(LEAD_INDEX))
    return shape_name(rows, columns, rhythm)


def name_doubts(slots: Sequence[Slot], *, contradicted: bool) -> tuple[str, ...]:
    """Say in words which names were not read, and whether one that was read does not fit."""
    inferred = [s.lead for s in slots if s.lead and not s.read and s.confidence <= GUESSED_CONFIDENCE]
    nameless = sum(not s.lead for s in slots)
    notes = []
    if inferred and not any(s.read for s in slots):
        notes.append("no lead name could be read: standard order assumed")
    elif inferred:
        notes.append(f"lead name(s) not read, inferred from the layout: {', '.join(inferred)}")
    if contradicted:
        notes.append("a printed lead name does not fit the layout: check the order of the leads")
    if nameless:
        notes.append(f"{nameless} strip(s) without a readable name were left out")
    return tuple(notes)

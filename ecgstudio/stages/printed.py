"""What is printed where on a page: names, rows, and the slots that leads take; values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A printed lead name at a paper position."""

    lead: str
    x_mm: float
    y_mm: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Row:
    """A strip: the height of its axis and where its ink starts and ends."""

    y_mm: float
    start_mm: float
    end_mm: float
    strength: float


@dataclass(frozen=True, slots=True)
class Slot:
    """One lead's place: row number, span on the paper, and how sure its name is (read or only inferred)."""

    lead: str
    row: int
    column: int
    columns: int
    start_mm: float
    end_mm: float
    confidence: float
    read: bool
    meets: bool = False  # the lead before it was seen to meet it where it begins
    blank_mm: float = 0.0  # of blank paper in its row before it, which is no time
    met: bool = False  # the lead after it was seen to meet it where it ends


@dataclass(frozen=True, slots=True)
class PageLayout:
    """What is printed where; `name` is a template's name or rows x columns.

    A slot without a lead could not be named.
    """

    name: str
    rows: tuple[Row, ...]
    slots: tuple[Slot, ...]
    names: tuple[Label, ...] = ()  # those that stand where names are printed; others that were read are something else
    contradicted: bool = False  # a name was read that the template does not have there
    name_offset_mm: tuple[float, float] | None = None  # from a slot's start and axis to its name; None: none was read

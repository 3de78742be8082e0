"""What is printed where on a page: names, rows, and the slots that leads take; values only."""

from __future__ import annotations

from dataclasses import dataclass

from ecgstudio.core.leads import LAYOUTS, LEADS


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

    @property
    def names_read(self) -> int:
        """How many different leads are named by what was read."""
        return len({slot.lead for slot in self.slots if slot.read})

    @property
    def lacks_names(self) -> bool:
        """Whether there is a lead whose name was not read."""
        return not all(slot.read for slot in self.slots)

    @property
    def lacks_leads(self) -> bool:
        """Whether the page shows less than all leads, or than those of its template."""
        template = LAYOUTS.get(self.name)
        return not {slot.lead for slot in self.slots}.issuperset(template.leads if template is not None else LEADS)

    @property
    def is_guessed(self) -> bool:
        """Whether neither names nor borders of columns say what is printed where."""
        undivided = self.name not in LAYOUTS or all(slot.columns == 1 for slot in self.slots)
        return undivided and self.names_read == 0

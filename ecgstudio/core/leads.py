"""The twelve leads, their algebra, and the templates of how pages lay them out."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ecgstudio.core.arrays import F64, Floats

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LEAD_INDEX: dict[str, int] = {lead: index for index, lead in enumerate(LEADS)}

MARKERS: tuple[str, ...] = ("pulse", "speed25", "speed50", "gain5", "gain10", "gain20")
"""Names of keypoints that are not lead names: the calibration pulse and the printed speed and gain texts."""

SCALE_TEXTS: tuple[str, ...] = MARKERS[1:]
"""The markers that are printed texts: paper speed in mm/s, gain in mm/mV."""

KEYPOINT_NAMES: tuple[str, ...] = LEADS + MARKERS

_CANONICAL = {lead.lower(): lead for lead in LEADS} | {
    "d1": "I", "d2": "II", "d3": "III", "di": "I", "dii": "II", "diii": "III",
    "l1": "I", "l2": "II", "l3": "III", "1": "I", "2": "II", "3": "III",
    "vr": "aVR", "vl": "aVL", "vf": "aVF",
    "c1": "V1", "c2": "V2", "c3": "V3", "c4": "V4", "c5": "V5", "c6": "V6",
}  # fmt: skip


def canonical_lead(name: str) -> str:
    """Return the standard spelling of a lead's name: "avr" gives "aVR", "DII" gives "II", "C4" gives "V4".

    "-aVR" is not the lead aVR and is refused. Raises ValueError for a name that is no lead.
    """
    key = name.strip().lower().removeprefix("lead").strip(" _-.") if name.strip()[:1] != "-" else ""
    try:
        return _CANONICAL[key]
    except KeyError:
        raise ValueError(f"{name!r} is not the name of an ECG lead") from None


# Every limb lead as a combination of I and II (Einthoven 1913, Goldberger 1942), in the order of LEADS.
LIMB_FROM_I_II: F64 = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]], np.float64)
LIMB_FROM_I_II.flags.writeable = False


def limb_leads(lead_i_mv: Floats, lead_ii_mv: Floats) -> F64:
    """Return the six limb leads [6, n] that follow from leads I and II."""
    return LIMB_FROM_I_II @ np.stack([np.asarray(lead_i_mv, np.float64), np.asarray(lead_ii_mv, np.float64)])


def einthoven_residual(mv: Floats) -> Floats:
    """Return II - (I + III) of a record [12, n] in mV; NaN where any of the three is not known."""
    return np.asarray(mv[1] - (mv[0] + mv[2]))


def goldberger_residual(mv: Floats) -> Floats:
    """Return aVR + aVL + aVF of a record [12, n] in mV; NaN where any of the three is not known."""
    return np.asarray(mv[3] + mv[4] + mv[5])


def shape_name(rows: int, columns: int, rhythm: int) -> str:
    """Return "3x4+1" for three rows of four leads and one rhythm strip."""
    return f"{rows}x{columns}" + (f"+{rhythm}" if rhythm else "")


@dataclass(frozen=True, slots=True)
class Layout:
    """A template of a page: rows of leads from left to right, then full-width rhythm strips below them."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    rhythm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rows or len({len(row) for row in self.rows}) != 1 or not self.rows[0]:
            raise ValueError(f"layout {self.name}: all rows must have the same number of leads, at least one")
        unknown = [lead for lead in self.leads + self.rhythm if lead not in LEAD_INDEX]
        if unknown:
            raise ValueError(f"layout {self.name}: {unknown} are no leads")
        if len(set(self.leads)) != len(self.leads):
            raise ValueError(f"layout {self.name}: a lead may occur only once outside the rhythm strips")

    @property
    def columns(self) -> int:
        """Number of leads side by side in a row."""
        return len(self.rows[0])

    @property
    def shape(self) -> str:
        """Rows x columns + rhythm strips, whatever the order of the leads: "3x4+1"."""
        return shape_name(len(self.rows), self.columns, len(self.rhythm))

    @property
    def leads(self) -> tuple[str, ...]:
        """The leads of the rows, in reading order, without the rhythm strips."""
        return tuple(lead for row in self.rows for lead in row)

    @property
    def all_rows(self) -> tuple[tuple[str, ...], ...]:
        """Rows and rhythm strips from top to bottom; a rhythm strip is a row of one lead."""
        return self.rows + tuple((lead,) for lead in self.rhythm)


# Cabrera prints -aVR between I and II; its trace is still that of lead aVR, upside down.
STANDARD_ORDER: tuple[str, ...] = LEADS
CABRERA_ORDER: tuple[str, ...] = ("aVL", "I", "aVR", "II", "aVF", "III", *LEADS[6:])

_RHYTHMS: dict[int, tuple[str, ...]] = {0: (), 1: ("II",), 2: ("II", "V1"), 3: ("V1", "II", "V5")}
_SHAPES: tuple[tuple[int, int, int], ...] = (  # rows, columns, rhythm strips
    (3, 4, 0), (3, 4, 1), (3, 4, 2), (3, 4, 3), (6, 2, 0), (6, 2, 1), (12, 1, 0), (12, 1, 1), (6, 1, 0), (4, 3, 0),
)  # fmt: skip


def _layout(rows: int, columns: int, rhythm: int, order: Iterable[str], suffix: str) -> Layout:
    leads = tuple(order)[: rows * columns]
    name = shape_name(rows, columns, rhythm) + suffix
    return Layout(name, tuple(leads[row::rows] for row in range(rows)), _RHYTHMS[rhythm])


AUTO_LAYOUT = "auto"
"""In the place of a template's name: whatever is found on the page."""

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for order, suffix in ((STANDARD_ORDER, ""), (CABRERA_ORDER, "-cabrera"))
    for layout in (_layout(*shape, order, suffix) for shape in _SHAPES)
} | {
    "6x1-chest": Layout("6x1-chest", tuple((lead,) for lead in LEADS[6:])),
    "4x3-across": Layout("4x3-across", tuple(LEADS[first : first + 3] for first in range(0, 12, 3))),
}
"""Templates by name ("3x4+1", "6x2-cabrera"). "6x1" holds the limb leads; its second page, "6x1-chest", V1 to V6.

The order of the leads runs down the columns, in "4x3-across" along the rows: I, II and III stand in the first one.
"""

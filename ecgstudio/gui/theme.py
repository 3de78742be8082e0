"""The colours of the workstation, light and dark, as plain values that need no Qt.

A view asks the theme for a role ("node", "uncertain"), never for a colour; every role stands out from its ground in
both themes, and colour is never the only carrier of a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ecgstudio.core.leads import LEADS

Colour = str
"""A colour as "#rrggbb"."""

LEAD_GROUPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(LEADS[0:3], "limb"),
    **dict.fromkeys(LEADS[3:6], "augmented"),
    **dict.fromkeys(LEADS[6:9], "septal"),
    **dict.fromkeys(LEADS[9:12], "lateral"),
}
"""The group of every lead; the leads of a group share a hue."""


@dataclass(frozen=True, slots=True)
class PaperColours:
    """ECG paper as the signal view prints it."""

    background: Colour
    minor: Colour
    major: Colour
    ink: Colour
    text: Colour


@dataclass(frozen=True, slots=True)
class Theme:
    """One colour per role; `groups` and `signal_groups` map a lead group to its hue on the page and on signal paper."""

    dark: bool
    # the frame
    window: Colour
    panel: Colour
    border: Colour
    text: Colour
    muted: Colour
    accent: Colour
    on_accent: Colour
    # verdicts, always beside an icon or a word
    good: Colour
    warning: Colour
    bad: Colour
    info: Colour
    # on the page, whose paper is light in both themes
    desk: Colour
    grid: Colour
    node: Colour
    marker: Colour
    handle: Colour
    handle_edge: Colour
    active: Colour
    preview: Colour
    cursor: Colour
    caliper: Colour
    fiducial: Colour
    uncertain: Colour
    missing: Colour
    residual: Colour
    reconstructed: Colour
    driving: Colour
    tag: Colour
    tag_text: Colour
    groups: Mapping[str, Colour]
    # the signal view
    signal_groups: Mapping[str, Colour]
    signal_reconstructed: Colour
    paper: PaperColours

    def lead(self, name: str) -> Colour:
        """Return the hue of a lead on the page; markers have the marker's."""
        group = LEAD_GROUPS.get(name)
        return self.marker if group is None else self.groups[group]

    def signal_lead(self, name: str) -> Colour:
        """Return the hue of a lead on the signal view's paper."""
        return self.signal_groups[LEAD_GROUPS[name]]


# On scanned paper the hues are the same in both themes: the paper is white there whatever the window looks like.
_PAGE_GROUPS: Final = {"limb": "#145adc", "augmented": "#00803c", "septal": "#c84a00", "lateral": "#8c28be"}

_SIGNAL_GROUPS_DARK: Final = {"limb": "#6fb1ff", "augmented": "#5fd08a", "septal": "#ff9d5c", "lateral": "#cf92f2"}

_RED_PAPER: Final = PaperColours(background="#fffaf7", minor="#f7d3cd", major="#eb9c93", ink="#1b1b1f", text="#4a3a3a")
_DARK_PAPER: Final = PaperColours(background="#14171a", minor="#22292e", major="#38444c", ink="#e8eef2", text="#9fb0ba")

LIGHT: Final = Theme(
    dark=False,
    window="#f4f5f7", panel="#ffffff", border="#d3d7dd", text="#1c2026", muted="#5f6873", accent="#0b66c3",
    on_accent="#ffffff", good="#1f7a3d", warning="#9a5b00", bad="#b3261e", info="#0b66c3",
    desk="#c9ced5", grid="#00a5be", node="#007d93", marker="#b4008c", handle="#ffffff", handle_edge="#0b66c3",
    active="#e0007a", preview="#e0007a", cursor="#d1006f", caliper="#0a7d4f", fiducial="#6a3fb5",
    uncertain="#ffd84d", missing="#3f4750", residual="#ff2d55", reconstructed="#00897b", driving="#ff7a1a",
    tag="#ffffff", tag_text="#1c2026", groups=_PAGE_GROUPS, signal_groups=_PAGE_GROUPS,
    signal_reconstructed="#00897b", paper=_RED_PAPER,
)  # fmt: skip

DARK: Final = Theme(
    dark=True,
    window="#1b1e22", panel="#24282d", border="#3a4047", text="#e7eaee", muted="#9aa4af", accent="#5aa9ff",
    on_accent="#08131f", good="#5fd08a", warning="#f2b14b", bad="#ff7b72", info="#5aa9ff",
    desk="#101214", grid="#00a5be", node="#007d93", marker="#b4008c", handle="#ffffff", handle_edge="#0b66c3",
    active="#e0007a", preview="#e0007a", cursor="#d1006f", caliper="#0a7d4f", fiducial="#6a3fb5",
    uncertain="#ffd84d", missing="#3f4750", residual="#ff2d55", reconstructed="#00897b", driving="#ff7a1a",
    tag="#24282d", tag_text="#e7eaee", groups=_PAGE_GROUPS, signal_groups=_SIGNAL_GROUPS_DARK,
    signal_reconstructed="#ffe9a8", paper=_DARK_PAPER,
)  # fmt: skip


def theme_for(dark: bool) -> Theme:
    """Return the dark or the light theme."""
    return DARK if dark else LIGHT

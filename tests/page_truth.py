"""The truth of a page of `synth_page`, in the form in which `training synth` writes it."""

import numpy as np

from tests.synth_page import SynthPage
from training.sampling import MappedPage
from training.synth.truth import PageTruth

STEP_MM = 2.5


def truth_of(synth: SynthPage, *, kind: str = "render") -> PageTruth:
    """Say where everything is on the page as it is."""
    x_mm, y_mm = (np.arange(0, side + STEP_MM, STEP_MM) for side in synth.sheet.size_mm)
    lattice = np.stack(np.meshgrid(x_mm, y_mm), axis=-1)
    lattice_px = synth.to_page(lattice.reshape(-1, 2)).reshape(lattice.shape)
    return PageTruth(synth.sheet, lattice_px, STEP_MM, kind=kind, orientation=synth.orientation)


def mapped(synth: SynthPage) -> MappedPage:
    """Return the page as training sees it."""
    return MappedPage(np.asarray(synth.page.pixels), truth_of(synth))

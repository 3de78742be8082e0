"""The Runtime of the stages on torch: bundled weights on CUDA, MPS or CPU; no image is prepared or decoded here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ecgstudio.core.leads import LEADS
from ecgstudio.errors import UserError
from ecgstudio.nets import blocks, precision
from ecgstudio.nets.fusion_net import FusionNet
from ecgstudio.nets.reconstruct_net import SERIES_CHANNELS
from ecgstudio.nets.weights import (
    FUSION,
    OPTIONAL_NETWORKS,
    READING_NETWORKS,
    RECONSTRUCT,
    REINSTALL_HINT,
    TRACE,
    Manifest,
    WeightsEntry,
    checked_content,
    load_bundled,
    read_manifest,
)
from ecgstudio.paths import weights_folder
from ecgstudio.stages.contract import FloatMap, GridMaps, Image, KeypointMaps, TraceMaps
from ecgstudio.stages.fusion_input import CLINICAL_SIZE, SAMPLES
from ecgstudio.stages.reconstruct import HALF_PX, WINDOW_PX

if TYPE_CHECKING:
    from ecgstudio.nets.grid_net import GridLogits
    from ecgstudio.nets.keypoint_net import KeypointLogits
    from ecgstudio.nets.name_net import NameLogits
    from ecgstudio.nets.text_net import TextLogits
    from ecgstudio.nets.trace_net import TraceLogits

T = TypeVar("T")

logger = logging.getLogger(__name__)

CPU: Final = torch.device("cpu")
SIZE_MULTIPLE = 32
STRIP_MULTIPLES = (32, 16)
_NO_ROOM: Final = ("out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed")
"""What an error says when a device has no room left: its libraries have words of their own for it."""
ATTRIBUTION_STEPS: Final = 16
"""On 40 validation records the parts miss the whole (median 1.9) by 0.07 at the median; 8 steps by 0.20, 32 by 0.04."""
HALF_NETWORKS: Final = ("keypoint", "text", "grid", TRACE)
"""What a CPU counts in bfloat16 if it can, but for the last layers: answers differ by .03 at most."""
HALF_KEYPOINTS_PX: Final = 400_000
"""A smaller picture is a whole page's: it costs little, and tells scale and tilt, which all that follows hangs on."""
STRIP_PIXELS_PER_CALL = {"cpu": 1_200_000, "mps": 20_000_000, "cuda": 60_000_000}
"""Bounds the memory of one call. On a CPU one strip at a time is also a third faster: it stays in the cache."""


def load_runtime(device: str = "auto", weights_dir: Path | None = None) -> TorchRuntime:
    """Return a runtime on "auto" (the best there is), "cpu", "cuda", "cuda:N" or "mps".

    The networks are built when first used; whether their files are there and whole is checked now, so that it is said
    once and not page by page.

    Raises:
        UserError: the device is not available, or weights are missing or damaged.
    """
    manifest = read_manifest(weights_folder() if weights_dir is None else weights_dir)
    for name in (*READING_NETWORKS, *(set(manifest.entries) & set(OPTIONAL_NETWORKS))):
        checked_content(manifest, name)
    return TorchRuntime(manifest, device=_choose_device(device))


class TorchRuntime:
    """Answers for all networks; safe to share between threads."""

    def __init__(self, manifest: Manifest, *, device: torch.device) -> None:
        """Use the weights of a manifest; nothing is read yet."""
        self._manifest = manifest
        self._device = device
        self._networks: dict[tuple[str, str], nn.Module] = {}
        self._building = threading.Lock()

    @property
    def device(self) -> str:
        """Where the networks run."""
        return self._device.type

    @property
    def weights_hash(self) -> str:
        """Name the weights that read pages together."""
        return self._manifest.digest

    def keypoints(self, image: Image) -> KeypointMaps:
        """Answer for u8[H,W,3], sides multiples of 32; raises UserError if the weights are damaged."""
        half = image.shape[0] * image.shape[1] >= HALF_KEYPOINTS_PX
        labels, orientation, geometry = self._run("keypoint", _pixels(image), half=half)
        return KeypointMaps(labels=labels[0], orientation=orientation[0], geometry=geometry[0])

    def names(self, crops: FloatMap) -> FloatMap:
        """Answer for normalised crops f32[B,1,48,96]: f32[B,13]; raises UserError if the weights are damaged."""
        return self._read("name", crops)

    def texts(self, crops: FloatMap) -> FloatMap:
        """Answer for normalised crops f32[B,1,32,160]: f32[B,6]; raises UserError if the weights are damaged."""
        return self._read("text", crops)

    def grid(self, image: Image) -> GridMaps:
        """Answer for u8[H,W,3], sides multiples of 32; raises UserError if the weights are damaged.

        The phase vectors are not normalised: their length, about 1 where the grid is clear, tells how sure they are.
        """
        points, phase, lines, axis, ink, edge = (each[0] for each in self._run("grid", _pixels(image)))
        return GridMaps(points=points[0], phase=phase, lines=lines, axis=axis[0], ink=ink[0], edge=edge[0])

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Answer for f32[B,2,H,W], H a multiple of 32 and W of 16; raises UserError if the weights are damaged."""
        if strips.ndim != 4 or strips.shape[1] != 2 or not strips.shape[0]:
            raise ValueError(f"strips have shape [B,2,H,W], not {strips.shape}")
        height, width = strips.shape[2:]
        if height % STRIP_MULTIPLES[0] or width % STRIP_MULTIPLES[1]:
            raise ValueError(f"strips of {height} x {width} pixels: use multiples of 32 and 16")
        count = max(1, STRIP_PIXELS_PER_CALL[self.device] // (height * width))
        answers = [
            self._run(TRACE, torch.from_numpy(np.array(strips[first : first + count], dtype=np.float32)))
            for first in range(0, len(strips), count)
        ]
        columns, segmentation, presence, boundary = (
            parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*answers, strict=True)
        )
        return TraceMaps(columns=columns, segmentation=segmentation, presence=presence, boundary=boundary)

    @property
    def classifier(self) -> str:
        """Name the classifier and its weights; raises UserError if these weights have none."""
        return f"{FUSION} {self._fusion_entry().sha256[:12]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classifier's codes; raises UserError if there is none."""
        return self._fusion(self._device).config.classes

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which on each class counts as found; raises UserError if there is no classifier."""
        return tuple(round(value, 4) for value in self._fusion(self._device).threshold.tolist())

    def classify(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> FloatMap:
        """Answer for f32[B,12,1000] twice and f32[B,4]: f32[B,C]; raises UserError if there is no classifier."""
        tensors = _fusion_tensors(signal, mask, clinical)

        def run(device: torch.device) -> FloatMap:
            network = self._fusion(device)
            with torch.inference_mode():
                logits = network(*(each.to(device) for each in tensors))
                answer: FloatMap = network.probabilities(logits).float().cpu().numpy()
            return answer

        return self._with_room(FUSION, run)

    def attribution(self, signal: FloatMap, mask: FloatMap, clinical: FloatMap, index: int) -> FloatMap:
        """Integrate the gradients of a class's log odds from flat leads to f32[12,1000] (Sundararajan et al. 2017).

        Raises UserError if there is no classifier, IndexError if it has no class of that number.
        """
        tensors = _fusion_tensors(signal[None], mask[None], clinical[None])
        if not 0 <= index < len(self.classes):
            raise IndexError(f"the classifier has no class number {index}")

        def run(device: torch.device) -> FloatMap:
            network = self._fusion(device)
            whole, *beside = (each.to(device) for each in tensors)
            share = (torch.arange(ATTRIBUTION_STEPS, device=device) + 0.5) / ATTRIBUTION_STEPS
            with torch.enable_grad():
                steps = (whole * share.view(-1, 1, 1)).requires_grad_(True)
                logits = network(steps, *(each.expand(ATTRIBUTION_STEPS, *each.shape[1:]) for each in beside))
                (gradient,) = torch.autograd.grad(logits[:, index].sum() / network.temperature[index], steps)
            answer: FloatMap = (gradient.mean(0) * whole[0]).float().cpu().numpy()
            return answer

        return self._with_room(FUSION, run)

    @property
    def reconstructor(self) -> str:
        """Name the network that mends traces; raises UserError if these weights have none."""
        return f"{RECONSTRUCT} {self._reconstruct_entry().sha256[:12]}"

    def reconstruct(self, pictures: FloatMap, series: FloatMap) -> FloatMap:
        """Answer for f32[B,2,384,512] and f32[B,3,512]: f32[B,512]; raises UserError if there is no such network."""
        self._reconstruct_entry()
        window = (len(pictures), SERIES_CHANNELS, WINDOW_PX)
        if not len(pictures) or pictures.shape[1:] != (2, 2 * HALF_PX, WINDOW_PX) or series.shape != window:
            raise ValueError(f"pictures {pictures.shape} and series {series.shape} are not windows of traces")
        tensors = [torch.from_numpy(np.array(each, np.float32)) for each in (pictures, series)]

        def run(device: torch.device) -> FloatMap:
            network = self._network(RECONSTRUCT, device)
            with torch.inference_mode():
                answer: FloatMap = network(*(each.to(device) for each in tensors))[:, 0].float().cpu().numpy()
            return answer

        return self._with_room(RECONSTRUCT, run)

    def _reconstruct_entry(self) -> WeightsEntry:
        """Return what the manifest says of the network that mends traces; raises UserError if these have none."""
        entry = self._manifest.entries.get(RECONSTRUCT)
        if entry is None:
            raise UserError(
                f"The network weights in {self._manifest.folder} hold no network for reconstruction: switch it off."
            )
        return entry

    def _read(self, name: str, crops: FloatMap) -> FloatMap:
        """Run a reader of crops."""
        if crops.ndim != 4 or crops.shape[1] != 1 or not crops.shape[0]:
            raise ValueError(f"crops have shape [B,1,H,W], not {crops.shape}")
        return self._run(name, torch.from_numpy(np.array(crops, dtype=np.float32)))[0]

    def _run(self, name: str, pixels: Tensor, *, half: bool = True) -> list[FloatMap]:
        """Run a network that looks at pixels, in half precision if it may and that pays."""
        half = half and name in HALF_NETWORKS
        return self._with_room(name, lambda device: self._run_on(device, name, pixels, half=half))

    def _with_room(self, name: str, run: Callable[[torch.device], T]) -> T:
        """Run on the device, or on the CPU if the device has no room for it."""
        if self._device != CPU:
            try:
                return run(self._device)
            except RuntimeError as error:
                if not any(words in str(error).lower() for words in _NO_ROOM):
                    raise
                logger.warning("%s is out of memory: the %s network runs on the CPU", self.device, name)
        return run(CPU)

    @torch.inference_mode()
    def _run_on(self, device: torch.device, name: str, pixels: Tensor, *, half: bool) -> list[FloatMap]:
        network = self._network(name, device)
        with precision.in_half(device, wanted=half and device == CPU):
            outputs = network(pixels.to(device).contiguous(memory_format=torch.channels_last))
        maps: list[FloatMap] = [each.float().cpu().contiguous().numpy() for each in _PROBABILITIES[name](outputs)]
        return maps

    def _fusion_entry(self) -> WeightsEntry:
        """Return what the manifest says of the classifier; raises UserError if these weights have none."""
        entry = self._manifest.entries.get(FUSION)
        if entry is None:
            raise UserError(
                f"The network weights in {self._manifest.folder} hold no classifier: pages are read, records are not "
                f"classified. {REINSTALL_HINT}"
            )
        return entry

    def _fusion(self, device: torch.device) -> FusionNet:
        """Return the classifier; raises UserError if these weights have none."""
        self._fusion_entry()
        network = self._network(FUSION, device)
        if not isinstance(network, FusionNet):
            raise UserError(f"The classifier in {self._manifest.folder} is another network. {REINSTALL_HINT}")
        return network

    def _network(self, name: str, device: torch.device) -> nn.Module:
        key = (name, str(device))
        with self._building:
            if key not in self._networks:
                network = load_bundled(self._manifest, name)
                blocks.fuse_for_inference(network)
                network.requires_grad_(False)
                network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                self._networks[key] = network
            return self._networks[key]


def _fusion_tensors(signal: FloatMap, mask: FloatMap, clinical: FloatMap) -> tuple[Tensor, ...]:
    """Turn what the classifier is given into tensors; raises ValueError for another shape, or a number that is none."""
    batch = len(signal)
    leads = (batch, len(LEADS), SAMPLES)
    given = (("signal", signal, leads), ("mask", mask, leads), ("clinical", clinical, (batch, CLINICAL_SIZE)))
    for name, values, shape in given:
        if not batch or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite with shape {shape}, at least one record, not {values.shape}")
    return tuple(torch.from_numpy(np.array(values, np.float32)) for values in (signal, mask, clinical))


def _choose_device(wanted: str) -> torch.device:
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if has[kind]))
    kind = wanted.partition(":")[0]
    if kind not in has:
        raise UserError(f"There is no device {wanted!r}: use auto, cpu, cuda or mps.")
    if not has[kind]:
        raise UserError(f"The device {wanted!r} is not available on this computer: use --device auto.")
    try:
        return torch.device(wanted)
    except RuntimeError as error:
        raise UserError(f"There is no device {wanted!r}: use auto, cpu, cuda or mps.") from error


def _pixels(image: Image) -> Tensor:
    """Turn u8[H,W,3] into f32[1,3,H,W] of -0.5..0.5, which is channels-last as it lies in memory."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image is u8[H,W,3], not {image.dtype} {image.shape}")
    if not all(side and side % SIZE_MULTIPLE == 0 for side in image.shape[:2]):
        raise ValueError(f"an image of {image.shape[0]} x {image.shape[1]} pixels: use multiples of {SIZE_MULTIPLE}")
    pixels = torch.from_numpy(image.astype(np.float32))
    return pixels.div_(255).sub_(0.5).permute(2, 0, 1).unsqueeze(0)


def _keypoint_probabilities(logits: KeypointLogits) -> tuple[Tensor, ...]:
    geometry = torch.cat([logits.geometry[:, :1].sigmoid(), logits.geometry[:, 1:]], 1)
    return logits.labels.softmax(1), logits.orientation.softmax(1), geometry


def _reader_probabilities(logits: NameLogits | TextLogits) -> tuple[Tensor, ...]:
    return (logits[0].softmax(1),)


def _grid_probabilities(logits: GridLogits) -> tuple[Tensor, ...]:
    return (
        logits.points.sigmoid(),
        logits.phase,
        logits.lines.sigmoid(),
        logits.axis.sigmoid(),
        logits.ink.sigmoid(),
        logits.edge.sigmoid(),
    )


def _trace_probabilities(logits: TraceLogits) -> tuple[Tensor, ...]:
    return (
        logits.columns.float().log_softmax(1),
        logits.segmentation.float().softmax(1),
        logits.presence.float().sigmoid(),
        logits.boundary.float().sigmoid(),
    )


_PROBABILITIES: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "keypoint": _keypoint_probabilities,
    "name": _reader_probabilities,
    "text": _reader_probabilities,
    "grid": _grid_probabilities,
    TRACE: _trace_probabilities,
}

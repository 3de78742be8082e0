"""The networks' weights on disk: safetensors files and the manifest that vouches for them; no inference.

Reading a manifest needs no torch. A file is hashed before anything in it is used, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgstudio.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

MANIFEST_NAME = "manifest.json"
TRACE = "trace"
READING_NETWORKS = ("keypoint", "name", "text", "grid", TRACE)
"""Those without which no page is read."""
FUSION = "fusion"
"""The classifier's name; weights without it read pages and classify nothing."""
RECONSTRUCT = "reconstruct"
"""The name of the network that mends traces; weights without it read pages and mend nothing."""
OPTIONAL_NETWORKS = (FUSION, RECONSTRUCT)
NETWORK_NAMES = (*READING_NETWORKS, *OPTIONAL_NETWORKS)
REINSTALL_HINT = "Install ECG Studio again, or restore the weights folder."


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """What the manifest says about one network's file."""

    file: str
    sha256: str
    network: str
    config: Mapping[str, Any]
    input: str
    training_data: str
    licence: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    created: str = ""

    def __post_init__(self) -> None:
        """Refuse entries that could not be loaded safely."""
        if self.network not in NETWORK_NAMES:
            raise ValueError(f"no network is called {self.network!r}")
        if Path(self.file).name != self.file:
            raise ValueError(f"{self.file!r} is not a plain file name")
        if len(self.sha256) != 64:
            raise ValueError(f"{self.file}: sha256 needs 64 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The weights of a folder, one entry per network."""

    folder: Path
    entries: Mapping[str, WeightsEntry]

    @property
    def digest(self) -> str:
        """Name the weights that read pages: it changes exactly when one of their files does.

        A new classifier, or what mends traces afterwards, is no reason to read 4,000 pages again.
        """
        names = sorted(set(self.entries) & set(READING_NETWORKS))
        text = " ".join(f"{name}:{self.entries[name].sha256}" for name in names)
        return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read which weights a folder holds, without opening them.

    Raises:
        UserError: there is no manifest, or it makes no sense.
    """
    path = folder / MANIFEST_NAME
    try:
        parsed = json.loads(path.read_text("utf-8"))
        entries = {name: WeightsEntry(**values) for name, values in parsed["networks"].items()}
    except FileNotFoundError as error:
        raise UserError(f"The network weights are missing: there is no {path}. {REINSTALL_HINT}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"The list of network weights {path} is damaged ({error}). {REINSTALL_HINT}") from error
    return Manifest(folder, entries)


def write_manifest(manifest: Manifest) -> None:
    """Write the manifest of a folder, replacing the old one in one step."""
    networks = {name: asdict(entry) for name, entry in sorted(manifest.entries.items())}
    temporary = manifest.folder / f"{MANIFEST_NAME}.tmp"
    temporary.write_text(json.dumps({"networks": networks}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(temporary, manifest.folder / MANIFEST_NAME)


def check_entry(manifest: Manifest, name: str) -> Path:
    """Return the path of a network's file if the manifest lists it and the file exists.

    Raises:
        UserError: it does not.
    """
    entry = manifest.entries.get(name)
    if entry is None:
        raise UserError(f"The weights of the {name} network are not in {manifest.folder}. {REINSTALL_HINT}")
    path = manifest.folder / entry.file
    if not path.is_file():
        raise UserError(f"The weights of the {name} network are missing: there is no {path}. {REINSTALL_HINT}")
    return path


def checked_content(manifest: Manifest, name: str) -> bytes:
    """Return the content of a network's file.

    Raises:
        UserError: the file is missing, cannot be read or was changed.
    """
    path = check_entry(manifest, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"The weights {path} cannot be read: {error.strerror}. {REINSTALL_HINT}") from error
    if hashlib.sha256(content).hexdigest() != manifest.entries[name].sha256:
        raise UserError(f"The weights {path} are damaged: their sha256 is not the manifest's. {REINSTALL_HINT}")
    return content


def load_bundled(manifest: Manifest, name: str) -> nn.Module:
    """Build a network with its bundled weights (float32, eval mode), after checking their hash.

    Raises:
        UserError: the file is missing, was changed, or does not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = checked_content(manifest, name)
    entry = manifest.entries[name]
    try:
        network = build_network(entry.network, entry.config)
        network.load_state_dict(_as_float(load(content)))
    except (SafetensorError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(
            f"The weights {manifest.folder / entry.file} do not fit the {entry.network} network: {error}"
        ) from error
    return network.eval()


def build_network(name: str, config: Mapping[str, Any]) -> nn.Module:
    """Build one of `NETWORK_NAMES` with random weights; settings left out take their defaults.

    Raises:
        ValueError: there is no such network or setting.
    """
    from ecgstudio.nets import blocks
    from ecgstudio.nets.fusion_net import FusionConfig, FusionNet
    from ecgstudio.nets.grid_net import GridConfig, GridNet
    from ecgstudio.nets.keypoint_net import KeypointConfig, KeypointNet
    from ecgstudio.nets.name_net import NameConfig, NameNet
    from ecgstudio.nets.reconstruct_net import ReconstructConfig, ReconstructNet
    from ecgstudio.nets.text_net import TextConfig, TextNet
    from ecgstudio.nets.trace_net import TraceConfig, TraceNet

    if config.get("encoder", "compact") not in blocks.ENCODERS:
        raise ValueError(f"no encoder is called {config['encoder']!r}: choose from {', '.join(blocks.ENCODERS)}")
    if name == "keypoint":
        return KeypointNet(blocks.config_from_mapping(KeypointConfig, config))
    if name == "name":
        return NameNet(blocks.config_from_mapping(NameConfig, config))
    if name == "text":
        return TextNet(blocks.config_from_mapping(TextConfig, config))
    if name == "grid":
        return GridNet(blocks.config_from_mapping(GridConfig, config))
    if name == TRACE:
        return TraceNet(blocks.config_from_mapping(TraceConfig, config))
    if name == FUSION:
        return FusionNet(blocks.config_from_mapping(FusionConfig, config))
    if name == RECONSTRUCT:
        return ReconstructNet(blocks.config_from_mapping(ReconstructConfig, config))
    raise ValueError(f"no network is called {name!r}")


def network_name(network: nn.Module) -> str:
    """Return the name under which ``build_network`` knows a network."""
    return type(network).__name__.removesuffix("Net").lower()


def write_network(path: Path, network: nn.Module, *, notes: Mapping[str, Any], half: bool = False) -> None:
    """Write a network's weights with its configuration and free notes in the header, in one step.

    ``half`` stores floats as float16.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    header = {
        "network": network_name(network),
        "config": json.dumps(asdict(network.config)),  # type: ignore[call-overload]
        "notes": json.dumps(dict(notes)),
    }
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(save(tensors, metadata=header))
    os.replace(temporary, path)


def read_header(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the network's name, its configuration and the notes of a file made by ``write_network``.

    Raises:
        UserError: the file is missing or was not made by ``write_network``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        return header["network"], json.loads(header["config"]), json.loads(header["notes"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint of ECG Studio: {error}") from error


def read_network(path: Path) -> nn.Module:
    """Build the network of a training checkpoint (float32, eval mode).

    Raises:
        UserError: the file is missing or was not made by ``write_network``.
    """
    from safetensors.torch import load_file

    name, config, _ = read_header(path)
    network = build_network(name, config)
    network.load_state_dict(_as_float(load_file(path)))
    return network.eval()


def _as_float(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}

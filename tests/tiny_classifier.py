"""A small classifier with weights of its own, seeded, for tests of everything around the bundled one."""

from pathlib import Path

import torch

from ecgstudio.nets.fusion_net import FusionConfig, FusionNet
from ecgstudio.nets.torch_runtime import TorchRuntime
from ecgstudio.nets.weights import read_manifest, write_network
from training.bundle import bundle

TEMPERATURES = (0.8, 0.9, 1.1, 1.2, 0.7)
THRESHOLDS = (0.4, 0.3, 0.35, 0.45, 0.5)
NOTES = {"stage": "fusion", "samples": 12, "metrics": {"val_macro_auc_roc": 0.9}}


def write_checkpoint(path: Path, *, calibrated: bool = True) -> Path:
    """Write a checkpoint as training does; its answers depend on signal, mask, age and sex."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = FusionNet(FusionConfig(stem=4, channels=(8, 12), depths=(1, 1), clinical=4, hidden=8)).eval()
        for name, tensor in network.state_dict().items():
            if name.endswith("second.1.weight"):  # zero in a new block, which would then be its shortcut
                tensor.fill_(0.5)
        last = network.answer
        last.weight.data *= 4
    if calibrated:
        network.temperature.copy_(torch.tensor(TEMPERATURES))
        network.threshold.copy_(torch.tensor(THRESHOLDS))
    write_network(path, network, notes=NOTES)
    return path


def bundle_into(folder: Path) -> Path:
    """Add the classifier to a folder of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = write_checkpoint(folder.parent / "tiny.safetensors")
    bundle(checkpoint, folder=folder, training_data="nothing")
    return folder


def tiny_runtime(folder: Path) -> TorchRuntime:
    """Return a runtime that knows this classifier and no other network."""
    return TorchRuntime(read_manifest(bundle_into(folder)), device=torch.device("cpu"))

"""The layers hold: who imports whom, what an import loads, and that ARCHITECTURE.md says what is there."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ecgstudio"
TRAINING = ROOT / "training"
ARCHITECTURE = (PACKAGE / "ARCHITECTURE.md").read_text("utf-8")

# From the outside in: a layer may import itself and what stands after it.
LAYERS = ("cli commands __main__", "gui", "batch", "api", "session", "io nets", "stages", "core")
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
OPEN_TO_ALL = {"errors", "paths", "__init__"}
TRAINING_MAY_IMPORT = {"core", "stages", "nets", "io"} | OPEN_TO_ALL

# Where a third-party package may be imported; "training" stands for the whole package.
ONLY_IN = {
    "torch": ("nets", "training"),
    "safetensors": ("nets", "training"),
    "PySide6": ("gui",),
    "pyqtgraph": ("gui",),
    "ray": ("batch/ray_executor.py",),
    "wfdb": ("io", "training"),
    "pandas": ("io", "training"),
    "pydicom": ("io", "training"),
    "pypdfium2": ("io", "training"),
    "PIL": ("io", "training"),
    "matplotlib": ("training",),
    "pyts": ("training",),
    "sklearn": ("training",),
    "tensorboard": ("training",),
}
ALL_THAT_A_LAYER_MAY_USE = {
    "core": {"numpy"},
    "stages": {"numpy", "scipy", "cv2", "skimage"},
    "cli": set[str](),
}
MAX_LINES = 500

SPEC_ROWS = [
    f"{group}{number}"
    for group, count in {"A": 7, "B": 5, "C": 4, "D": 9, "E": 10, "F": 6}.items()
    for number in range(1, count + 1)
]


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


ALL_MODULES = [pytest.param(path, id=name_of(path)) for path in [*modules(PACKAGE), *modules(TRAINING)]]
OURS = [pytest.param(path, id=name_of(path)) for path in modules(PACKAGE)]
THEIRS = [pytest.param(path, id=name_of(path)) for path in modules(TRAINING)]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a module imports, wherever in it, but not what only types need."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} is a relative import"
            base = node.module or ""
            if base in ("ecgstudio", "training"):
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def layer_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def target_layer(name: str) -> str | None:
    """Return which part of ecgstudio an import reaches; a name of the package itself belongs to `__init__`."""
    parts = name.split(".")
    if parts[0] != "ecgstudio":
        return None
    part = parts[1] if len(parts) > 1 else "__init__"
    exists = (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
    return part if exists else "__init__"


@pytest.mark.parametrize("path", OURS)
def test_a_module_imports_only_layers_to_its_right(path: Path) -> None:
    layer = layer_of(path)
    if layer in OPEN_TO_ALL:
        return
    for line, name in imports(path):
        target = target_layer(name)
        if target is None or target in OPEN_TO_ALL or target == layer:
            continue
        allowed = RANK[target] > RANK[layer] or {layer, target} <= {"cli", "commands", "__main__"}
        assert allowed, f"{name_of(path)}:{line}: {layer} must not import {name}"


@pytest.mark.parametrize("path", OURS)
def test_nothing_imports_training(path: Path) -> None:
    assert not [name for _, name in imports(path) if name.split(".")[0] == "training"]


@pytest.mark.parametrize("path", THEIRS)
def test_training_imports_only_the_lower_layers(path: Path) -> None:
    reached = {target_layer(name) for _, name in imports(path)} - {None}
    assert reached <= TRAINING_MAY_IMPORT


@pytest.mark.parametrize("path", ALL_MODULES)
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else name_of(path)
    for line, name in imports(path):
        places = ONLY_IN.get(name.split(".")[0])
        allowed = places is None or any(where == place or where.startswith(f"{place}/") for place in places)
        assert allowed, f"{name_of(path)}:{line}: {name} belongs in {places}"


@pytest.mark.parametrize("path", OURS)
def test_a_layer_uses_only_the_packages_it_is_made_of(path: Path) -> None:
    allowed = ALL_THAT_A_LAYER_MAY_USE.get(layer_of(path))
    if allowed is None:
        return
    packages = {name.split(".")[0] for _, name in imports(path)} - set(sys.stdlib_module_names) - {"ecgstudio"}
    assert packages <= allowed


@pytest.mark.parametrize("path", ALL_MODULES)
def test_a_module_fits_in_one_sitting_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)) or not text.strip()


@pytest.mark.parametrize(
    ("module", "never_loaded"),
    [
        ("ecgstudio", ("numpy", "torch")),
        ("ecgstudio.cli", ("numpy", "torch", "cv2")),
        ("ecgstudio.core.corrections", ("scipy", "cv2", "PIL", "torch")),
        ("ecgstudio.stages.pipeline", ("torch", "PIL", "pandas", "wfdb")),
        ("ecgstudio.io.images", ("torch", "scipy")),
        ("ecgstudio.io.export", ("torch", "pandas", "wfdb")),
        ("ecgstudio.nets.weights", ("torch", "PIL")),
        ("ecgstudio.api", ("torch", "pandas", "wfdb")),
        ("ecgstudio.commands.digitize", ("torch", "pandas", "wfdb")),
    ],
)
def test_importing_a_layer_loads_no_more_than_it_needs(module: str, never_loaded: tuple[str, ...]) -> None:
    probe = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(done.stdout.split()) & {*never_loaded, "PySide6", "ray", "training"}


def test_every_row_of_the_specification_has_its_place() -> None:
    rows = re.findall(r"^\| ([A-F]\d+) \| .+ \| .+ \|$", ARCHITECTURE, re.MULTILINE)
    assert rows == SPEC_ROWS


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:ecgstudio|training)/[\w/]+\.py)`", ARCHITECTURE))
    assert named
    assert not [name for name in sorted(named) if not (ROOT / name).is_file()]


def test_every_layer_is_explained_in_the_architecture() -> None:
    parts = {layer_of(path) for path in modules(PACKAGE)} - OPEN_TO_ALL - {"__main__"}
    explained = {part for part in parts if f"`{part}/`" in ARCHITECTURE or f"`{part}.py`" in ARCHITECTURE}
    assert explained == parts

"""Reads the imports: files import only downwards, and the device's package nothing of the trainer's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import edge_runtime
import trainer

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge_runtime", "trainer", "benchmarks")


def of(package: str, modules: str) -> tuple[str, ...]:
    """Modules of one package inside of ours."""
    return tuple(f"{package}.{module}" for module in modules.split())


# From the ground up. A file may import, anywhere in it, from lower floors only; what stands under
# `if TYPE_CHECKING` doesn't count. A new file needs a floor here.
FLOORS = {
    "edge_runtime": (
        ("", "errors"),
        ("types", "user_cache", "isolation", "isolation.limits", "isolation.channel", "isolation.seccomp"),
        (
            *("flatbuffer", "manifest", "preprocess", "postprocess", "xnnpack", "machine", "progress", "sources.base"),
            "isolation.confinement",
            *("picture_file", "watchdog", "service", "collect", "out_of_memory", "doctor.finding"),
            *("server", *of("server", "answers buffers client limits rate refusal traffic")),
        ),
        (
            *("appended_zip", "metadata", "operators", "benchmark.result", "sources.opencv"),
            *("decision", "gate", "capture", "commands"),
            *("doctor.software", "doctor.cameras", "doctor.board", "doctor.model"),
        ),
        (
            *("model_graph", "thread_memory", "multi_label_decision"),
            *(f"benchmark.{what}" for what in ("statistics", "energy", "sustained", "validity", "names")),
            *(f"benchmark.{what}" for what in ("comparison", "tables", "picture")),
            *(f"sources.{kind}" for kind in ("camera", "csi", "folder", "stream", "synthetic", "video")),
        ),
        tuple(f"sources.{kind}" for kind in ("faulty", "pipeline", "recording")),
        ("model_file", "sources", "commands.options", "doctor"),
        ("interpreter", "signature", "commands.live_options"),
        ("isolation.child", "isolation.interpreter"),
        ("classifier",),
        ("golden", "model_watch", "setup", "benchmark.contender"),
        ("stream", "commands.stopping"),
        (
            *("sinks.base", "sinks.address", "sinks.picture_store"),
            *("first_result", "commands.model_options", "benchmark.rounds"),
        ),
        (
            *("sinks.events", "benchmark.heats"),
            *(f"benchmark.{what}" for what in ("variations", "threads", "capture", "accuracy", "starts")),
        ),
        (
            "benchmark.runner",
            *(f"sinks.{kind}" for kind in ("background", "callback", "command", "json_lines", "mqtt", "webhook")),
            "sinks.saved_frames",
        ),
        ("benchmark", "sinks", "server.picture", "server.security", "server.hub"),
        ("commands.sink_options", "server.metrics", "server.connection"),
        ("server.app",),
        ("server.serve",),
        (
            *("commands.info", "commands.verify", "commands.classify", "commands.run", "commands.serve"),
            *("commands.record", "commands.capture", "commands.benchmark", "commands.compare", "commands.doctor"),
        ),
        ("commands.install_service",),
        ("cli",),
        ("__main__",),
    ),
    "trainer": (
        (
            *("data", "training", "training.augmentation", "compression", "conversion", "evaluation", "reports"),
            *("demo", "commands", "search", "tracking"),
        ),
        ("", "errors", *of("types", "pictures training evaluation models"), "evaluation.pareto", "data.measures"),
        ("types", "reports.texts"),
        ("config.require", "tracking.follower"),
        of("config", "data training augmentation loss compression quantization extension evaluation search tracking"),
        ("config.photos",),
        ("config", "environment", "files", "quiet", "lock", *of("data", "images few split")),
        (*of("evaluation", "metrics multi_label robustness"), *of("tracking", "tensorboard mlflow")),
        of("training", "networks losses optimizers schedules checkpoint mixed_precision cluster replicas listening"),
        (
            *of("training.augmentation", "geometry color"),
            "conversion.compact",
            "data.shards",
            "data.cache",
            "evaluation.reliability",
        ),
        of("training.augmentation", "degradation mixing rand_augment"),
        of("evaluation", "more_photos quality unknown"),
        ("reports.few_notes",),
        ("recipe", "demo.sheet", "data.pixels", "reports.figures"),
        of("training", "augment backbones fit distribution"),
        (*of("conversion", "metadata compatibility converted"), "evaluation.temperature", "reports.score_figures"),
        ("demo.scene", *of("training", "weights transfer scores"), *of("conversion", "calibration tflite")),
        of("conversion", "equalization rounding"),
        ("data.formats.listing", "data.grouping", "data.multi_label_split"),
        of("data.formats", "folders lists edge_impulse teachable_machine packed"),
        ("data.formats.roboflow", "doctor"),
        ("data.formats", *of("doctor", "faults near_duplicates sessions suspects")),
        (
            "data.dataset",
            *of("conversion", "quantize preparation"),
            *of("training", "finetune extend"),
            "reports.scatter_figure",
        ),
        of("compression", "macs distillation allocation"),
        ("run", "data.packing", *of("conversion", "keras_models export layer_errors"), "reports.report_content"),
        ("demo.digits", *of("evaluation", "evaluate gate")),
        of("compression", "channels folding"),
        ("compression.fake_quantization",),
        ("reports.multi_label_page", *of("compression", "importance qat sparsity clustering")),
        ("artifacts", "reports.report_page", *of("compression", "channel_pruning cost")),
        ("external", "kept", "training.teachers", *of("conversion", "stamp ladder"), "doctor.features"),
        ("extension", "plan", "signing", "evaluation.variants", "doctor.check", "training.find_lr"),
        of("reports", "report compression_page summary preview model_card"),
        ("compress", "doctor.check_text", "reports.run_report"),
        ("network_stages", "file_stages", "doctor.check_page", "reports.rate_figure"),
        ("tracking.track", *of("search", "space features cost study outcome weights")),
        of("search", "trial page"),
        ("search.trials",),
        ("search.search",),
        ("pipeline",),
        ("demo.run",),
        ("commands.options",),
        of("commands", "train resume extend search check preview pack find_lr evaluate card quantize compress sign"),
        of("commands", "backbones cache demo"),
        ("cli",),
        ("__main__",),
    ),
}
# What others may rely on; the rest of edge_runtime is its own.
PUBLIC = {"", "errors", "types", "manifest", "metadata", "model_file", "preprocess", "classifier", "golden", "stream"}
PUBLIC |= {"sources", "benchmark", "postprocess", "signature", "picture_file"}


@dataclass(frozen=True)
class Import:
    """One import statement's target.

    Attributes:
        package: ``"edge_runtime"``, ``"trainer"`` or ``"benchmarks"``.
        module: Inside it, with dots; empty for the package itself.
        names: What is taken from it.
        line: For people.
    """

    package: str
    module: str
    names: tuple[str, ...]
    line: str


@cache
def modules_of(package: str) -> dict[str, Path]:
    """The package's files by their module names inside it."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = path
    return found


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """What a file imports of ours when it runs, at its top and inside of functions."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        line = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from resolved(alias.name, (), line)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{line}: Expected absolute imports only."
            yield from resolved(node.module or "", tuple(alias.name for alias in node.names), line)


def resolved(target: str, names: tuple[str, ...], line: str) -> Iterator[Import]:
    """Follows names that a package takes from its modules, and modules that are imported as names."""
    package, _, module = target.partition(".")
    if package not in PACKAGES:
        return
    lazy = {"edge_runtime": edge_runtime._MODULE_OF, "trainer": trainer._MODULE_OF}.get(package, {})
    modules = modules_of(package)
    for name in names if not module else ():
        yield Import(package, name if name in modules else lazy.get(name, ""), (name,), line)
    if module or not names:
        yield Import(package, module, names, line)


@pytest.mark.parametrize("package", FLOORS)
def test_every_file_has_a_floor(package: str) -> None:
    placed = [module for floor in FLOORS[package] for module in floor]
    assert sorted(placed) == sorted(modules_of(package)), f"Place new files of {package} in FLOORS, remove old ones."


@pytest.mark.parametrize("package", FLOORS)
def test_files_import_only_from_lower_floors(package: str) -> None:
    height = {module: number for number, floor in enumerate(FLOORS[package]) for module in floor}
    wrong = [
        f"{found.line} imports {found.package}.{found.module}"
        for module, path in modules_of(package).items()
        for found in imports_of(path)
        if found.package == package and height[found.module] >= height[module]
    ]
    assert wrong == []


def test_the_device_needs_nothing_of_the_trainer() -> None:
    wrong = [
        found.line
        for path in modules_of("edge_runtime").values()
        for found in imports_of(path)
        if found.package != "edge_runtime"
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["trainer"])
def test_others_take_what_is_public_of_the_runtime(package: str) -> None:
    wrong = [
        f"{found.line} takes {', '.join(found.names)} from edge_runtime.{found.module}"
        for path in modules_of(package).values()
        for found in imports_of(path)
        if found.package == "edge_runtime"
        and (found.module not in PUBLIC or any(name.startswith("_") and name != "__version__" for name in found.names))
    ]
    assert wrong == []


def test_the_trainer_needs_nothing_of_the_benchmarks() -> None:
    found = [imported for path in modules_of("trainer").values() for imported in imports_of(path)]
    assert [imported.line for imported in found if imported.package == "benchmarks"] == []


@pytest.mark.parametrize("package", [edge_runtime, trainer])
def test_every_public_name_is_there(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # type: ignore[attr-defined]  # noqa: B018

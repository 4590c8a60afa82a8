"""Three quarters of a network's weights set to zero: how much smaller the download, and what it costs."""

from __future__ import annotations

from benchmarks.figure import Figure
from benchmarks.photo_runs import edge_run, photo_run, student_recipe, teacher_run, variant_of

_DATA = "clothing"
_SETTINGS = ("sparsify.sparsity=0.75", "sparsify.epochs=12")


def measure(quick: bool) -> list[Figure]:
    edge = edge_run(_DATA, quick).report.parent
    result = photo_run("sparse", _DATA, student_recipe(teacher_run(_DATA, quick), *_SETTINGS), quick, like=edge)
    dense, sparse = (variant_of(result, f"{network}_int8") for network in ("distilled", "sparse"))
    return [
        Figure(
            "weight_pruning.gzip",
            "Download of the INT8 file with 75% of the weights zero, against the dense one (gzip)",
            100 * sparse.gzip_bytes / dense.gzip_bytes,
            "%",
            f"MobileNetV2 0.35, 160 px; {dense.gzip_bytes:,} to {sparse.gzip_bytes:,} bytes; {sparse.sparsity:.1%} of "
            f"all kernels' weights are zero; latency {dense.latency_ms:.2f} to {sparse.latency_ms:.2f} ms",
            at_most=55.0,
        ),
        Figure(
            "weight_pruning.drop",
            f"What that loses on {_DATA}, INT8",
            100 * (dense.accuracies["test"] - sparse.accuracies["test"]),
            "points",
            f"test photos: {dense.accuracies['test']:.1%} to {sparse.accuracies['test']:.1%}",
            at_most=1.0,
        ),
    ]

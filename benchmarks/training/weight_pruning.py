"""Download size and accuracy drop from weight pruning to 75% sparsity."""

from __future__ import annotations

from benchmarks.harness.figure import Figure
from benchmarks.subjects.photo_runs import photo_run, teacher_recipe, teacher_run, variant_of

_DATA = "clothing"
_SPARSIFY = {"sparsity": 0.75, "epochs": 12}


def measure(quick: bool) -> list[Figure]:
    teacher = teacher_run(_DATA, quick)  # the same network, before it is pruned
    result = photo_run("sparse", _DATA, teacher_recipe().updated({"sparsify": _SPARSIFY}), quick, like=teacher)
    dense, sparse = (variant_of(result, f"{network}_int8") for network in ("student", "sparse"))
    return [
        Figure(
            "weight_pruning.gzip",
            "Download of the INT8 file with 75% of the weights zero, against the dense one (gzip)",
            100 * sparse.gzip_bytes / dense.gzip_bytes,
            "%",
            f"MobileNetV2 1.0, 224 px; {dense.gzip_bytes:,} to {sparse.gzip_bytes:,} bytes; {sparse.sparsity:.1%} of "
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

"""Speedup and accuracy drop from channel pruning to half of the multiply-adds."""

from __future__ import annotations

from benchmarks.harness.figure import Figure
from benchmarks.subjects.photo_runs import photo_run, teacher_recipe, teacher_run, variant_of

_DATA = "clothing"


def measure(quick: bool) -> list[Figure]:
    recipe = teacher_recipe().updated({"prune": {"keep_macs": 0.5, "epochs": 16}})
    result = photo_run("half", _DATA, recipe, quick, like=teacher_run(_DATA, quick))
    figures = []
    for precision in ("fp32", "int8"):
        whole, pruned = (variant_of(result, f"{network}_{precision}") for network in ("student", "pruned"))
        kind, unit = precision.upper(), 1e6
        figures += [
            Figure(
                f"channel_pruning.{precision}_speed",
                f"Speed with half of MobileNetV2 1.0's multiply-adds, 224 px, {kind}",
                whole.latency_ms / pruned.latency_ms,
                "×",
                f"{whole.macs / unit:.0f} to {pruned.macs / unit:.0f} million; {whole.latency_ms:.2f} to "
                f"{pruned.latency_ms:.2f} ms, medians in turns, 1 thread; {whole.size_bytes:,} to "
                f"{pruned.size_bytes:,} bytes",
                at_least=1.6,
            ),
            Figure(
                f"channel_pruning.{precision}_drop",
                f"What that loses on {_DATA}, {kind}",
                100 * (whole.accuracies["test"] - pruned.accuracies["test"]),
                "points",
                f"test photos: {whole.accuracies['test']:.1%} to {pruned.accuracies['test']:.1%}; validation: "
                f"{whole.accuracies['val']:.1%} to {pruned.accuracies['val']:.1%}",
                at_most=1.0,
            ),
        ]
    return figures

"""A run's outcome as a short table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.pipeline import RunResult


def format_result(result: RunResult) -> str:
    """FP32 beside INT8, the gate's decision and where everything lies."""
    fp32, int8 = result.evaluations["fp32"], result.evaluations["int8"]
    sizes = {kind: path.stat().st_size for kind, path in (("fp32", result.fp32), ("int8", result.int8))}
    rows = [("", "FP32", "INT8", "")]
    for split, name in (("val", "validation"), ("test", "test")):
        drop = 100 * (fp32[split].accuracy - int8[split].accuracy)
        rows.append(
            (
                f"accuracy, {name}",
                f"{fp32[split].accuracy:.1%}",
                f"{int8[split].accuracy:.1%}",
                f"{-drop:+.1f} points on {int8[split].count} photos",
            )
        )
    share = sizes["int8"] / sizes["fp32"]
    rows.append(("file", f"{sizes['fp32'] / 1024:.0f} KiB", f"{sizes['int8'] / 1024:.0f} KiB", f"{share:.0%}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {remark}".rstrip() for name, a, b, remark in rows
    ]
    gate = "kept" if result.verdict.passed else "NOT KEPT: " + " ".join(result.verdict.reasons)
    return "\n".join(
        [
            *table,
            "",
            f"Promise      {gate} ({result.verdict.agreement:.1f}% of INT8's answers equal FP32's on validation)",
            f"Models       {result.int8}, {result.fp32}",
            f"Report       {result.report}",
        ]
    )

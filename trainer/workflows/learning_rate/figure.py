"""Chart and table of a learning-rate sweep."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.storage import write_bytes

if TYPE_CHECKING:
    from trainer.workflows.learning_rate.sweep import RateSweep

PICTURES = (".png", ".svg", ".pdf")
"""File extensions of the supported formats."""

_ROWS = 20
_BAR = 40


def write_rate_figure(sweep: RateSweep, path: Path) -> None:
    """Draw the loss over the learning rate.

    Args:
        sweep: Sweep to draw.
        path: Path of the file; its extension, one of `PICTURES`, selects the format.

    Raises:
        OutputFolderError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(sweep.rates, sweep.losses, linewidth=2)
    axes.axvline(sweep.suggestion, color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        f" {sweep.suggestion:g}", (sweep.suggestion, 1), xycoords=("data", "axes fraction"), va="top", color="0.4"
    )
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    content = BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix.removeprefix("."))
    write_bytes(path, content.getvalue())


def format_sweep(sweep: RateSweep) -> str:
    """Return a table of some steps with a bar per loss, and the suggested learning rate."""
    highest = max(sweep.losses)
    steps = range(0, len(sweep.rates), max(1, len(sweep.rates) // _ROWS))
    rows = [(sweep.rates[step], sweep.losses[step]) for step in steps]
    lines = [f"{rate:>13.1e}  {loss:>6.3f}  {'#' * round(_BAR * loss / highest)}" for rate, loss in rows]
    return "\n".join(
        [
            "learning rate    loss",
            *lines,
            "",
            f"Suggested: --set finetune.learning_rate={sweep.suggestion:g}",
            "(half the rate with the lowest loss; with a constant schedule, use a fifth of it)",
        ]
    )

"""Result of a search: its trials, and the best of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainer.errors import SearchError
from trainer.evaluation.pareto import pareto_front
from trainer.reports.summary import aligned

if TYPE_CHECKING:
    import optuna

COSTS = {"accuracy": "", "accuracy+latency": "latency_ms", "accuracy+macs": "macs"}
"""Cost that each objective minimizes; empty if there is none."""


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: Number of the trial, from 0 in the order of their starts.
        state: How it ended; a pruned trial was stopped early.
        values: Value of each setting, by its name in the space.
        accuracy: Accuracy on the validation set, 0–1; for a pruned trial that of its last epoch.
        macs: Multiply-adds of one inference.
        latency_ms: Median inference time of the INT8 model; None if it wasn't measured.
        epochs: Validation accuracy after each epoch, 0–1.
        seconds: Duration.
        own: Whether its values are those of the recipe itself.
    """

    number: int
    state: Literal["complete", "pruned"]
    values: dict[str, Any]
    accuracy: float
    macs: int
    latency_ms: float | None
    epochs: tuple[float, ...]
    seconds: float
    own: bool = False

    @classmethod
    def of(cls, trial: optuna.trial.FrozenTrial) -> Trial:
        """Convert a trial of Optuna."""
        kept, took = trial.user_attrs, trial.duration
        return cls(
            number=trial.number,
            state="pruned" if trial.state.name == "PRUNED" else "complete",
            values=dict(trial.params),
            accuracy=trial.values[0] if trial.values else kept["epochs"][-1],
            macs=int(kept["macs"]),
            latency_ms=kept.get("latency_ms"),
            epochs=tuple(kept["epochs"]),
            seconds=round(took.total_seconds(), 2) if took else 0.0,
            own=bool(kept.get("own")),
        )


@dataclass(frozen=True)
class Outcome:
    """Result of a search.

    Attributes:
        study: Name of the study.
        objective: Objective that was optimized.
        recipe: Recipe file with the settings of the best trial.
        trials: Trials that ended, by number.
        validation_photos: Number of photos behind each accuracy.
        pages: Further files: ``search.json`` and ``search.html``.
        multi_label: Whether photos may show several classes; accuracy is then counted per class.
    """

    study: str
    objective: str
    recipe: Path
    trials: tuple[Trial, ...]
    validation_photos: int
    pages: tuple[Path, ...] = ()
    multi_label: bool = False

    @property
    def cost(self) -> str:
        """Attribute of a trial that is minimized; empty if there is none."""
        return COSTS[self.objective]

    @property
    def front(self) -> tuple[Trial, ...]:
        """Pareto front of the complete trials in accuracy and cost, the most accurate first.

        Raises:
            SearchError: No trial is complete.
        """
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            raise SearchError(f"No trial of study {self.study} has completed yet. Continue the search.")
        points = [(float(getattr(trial, self.cost)) if self.cost else 0.0, trial.accuracy) for trial in complete]
        return tuple(complete[index] for index in reversed(pareto_front(points)))

    @property
    def best(self) -> Trial:
        """The most accurate trial; among equals the cheapest, then the earliest."""
        return self.front[0]

    @property
    def own(self) -> Trial | None:
        """The trial with the recipe's own values; None if the space doesn't contain them."""
        return next((trial for trial in self.trials if trial.own and trial.state == "complete"), None)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {
            "study": self.study,
            "objective": self.objective,
            "validation_photos": self.validation_photos,
            "best": self.best.number,
            "front": [trial.number for trial in self.front],
            "recipes_own": self.own.number if self.own else None,
            "trials": [asdict(trial) for trial in self.trials],
        }


def format_outcome(outcome: Outcome) -> str:
    """Format the trials as a table, best first, followed by the summary and the paths of the files."""
    return "\n".join([aligned(trial_rows(outcome)), "", summary(outcome), *_files(outcome)])


def trial_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return the header and one row per trial, best first, pruned trials last."""
    names = list(outcome.trials[0].values)
    timed = any(trial.latency_ms is not None for trial in outcome.trials)
    costs = ("M mult-adds", *(("INT8 ms",) if timed else ()))
    front = {trial.number for trial in outcome.front} if outcome.cost else set()
    rows: list[tuple[str, ...]] = [("Trial", "validation", *costs, *names, "seconds", "")]
    for trial in sorted(outcome.trials, key=lambda t: (t.state, -t.accuracy, t.number)):
        remarks = [
            *(["best"] if trial == outcome.best else []),
            *(["front"] if trial.number in front else []),
            *(["the recipe's own"] if trial.own else []),
            *([f"pruned after {len(trial.epochs)} epochs"] if trial.state == "pruned" else []),
        ]
        latency = (f"{trial.latency_ms:.2f}",) if trial.latency_ms is not None else ("",) if timed else ()
        values = (short(trial.values[name]) for name in names)
        figures = (f"{trial.accuracy:.1%}", f"{trial.macs / 1e6:.1f}", *latency)
        rows.append((str(trial.number), *figures, *values, f"{trial.seconds:.1f}", ", ".join(remarks)))
    return rows


def summary(outcome: Outcome) -> str:
    """Return the result in a sentence or two."""
    best, own, count = outcome.best, outcome.own, outcome.validation_photos
    counted = "of the labels of" if outcome.multi_label else "of"
    text = f"Trial {best.number} is the most accurate: {best.accuracy:.1%} {counted} {count} validation photos"
    if own is None:
        return f"{text}."
    if own == best:
        return f"{text}, with the recipe's own settings; nothing better was found."
    # Standard error for independent samples. Both were measured on the same photos, so this is an upper bound.
    error = 100 * (sum(t.accuracy * (1 - t.accuracy) for t in (best, own)) / count) ** 0.5
    gain = 100 * (best.accuracy - own.accuracy)
    sure = "" if gain > 2 * error else f", within the sampling error (±{2 * error:.1f})"
    return f"{text}, {gain:+.1f} points against the recipe's own settings{sure}."


def short(value: Any) -> str:
    """Format a setting for a table."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _files(outcome: Outcome) -> list[str]:
    return [
        f"Recipe  {outcome.recipe} (edge-trainer train PHOTOS --recipe {outcome.recipe})",
        *(f"{'Page' if page.suffix == '.html' else 'JSON'}    {page}" for page in outcome.pages),
    ]

"""What a search found: its trials, and which of them is the best."""

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
"""By objective, what is to be small; empty: nothing."""


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: From 0, in the order they were begun.
        state: How it ended; a pruned one was ended early.
        values: By name of the space's settings.
        accuracy: On the validation split, 0–1; of a pruned one, in its last epoch.
        macs: Multiply-adds of one inference.
        latency_ms: Median time of the INT8 model's inference; None: not measured.
        epochs: Validation accuracy after each epoch.
        seconds: That it took.
        own: Whether its values are the recipe's own.
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
        """From Optuna's."""
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
    """What a search found.

    Attributes:
        study: Its name.
        objective: What counts.
        recipe: The recipe's file that the best trial makes.
        trials: Those that ended, by number.
        validation_photos: How many the accuracies are of.
        pages: Further files: ``search.json`` and ``search.html``.
        multi_label: Whether photos may show several classes; the accuracy is then that of the answers for each.
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
        """Attribute of a trial that is to be small; empty: none."""
        return COSTS[self.objective]

    @property
    def front(self) -> tuple[Trial, ...]:
        """The complete trials that no other one beats in accuracy and cost, the most accurate first."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            raise SearchError(f"Expected a trial of study {self.study} that ended, there is none. Search on.")
        points = [(float(getattr(trial, self.cost)) if self.cost else 0.0, trial.accuracy) for trial in complete]
        return tuple(complete[index] for index in reversed(pareto_front(points)))

    @property
    def best(self) -> Trial:
        """The most accurate; of equals the cheapest, then the earliest."""
        return self.front[0]

    @property
    def own(self) -> Trial | None:
        """The trial with the recipe's own values; None where the space doesn't hold them."""
        return next((trial for trial in self.trials if trial.own and trial.state == "complete"), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """A table of the trials, the best first, and where the files lie."""
    return "\n".join([aligned(trial_rows(outcome)), "", summary(outcome), *_files(outcome)])


def trial_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Titles and one row for each trial, the best first and what was pruned last."""
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
    """The result in a sentence or two."""
    best, own, count = outcome.best, outcome.own, outcome.validation_photos
    counted = "of the answers, class by class, on" if outcome.multi_label else "of"
    text = f"Trial {best.number} is the most accurate: {best.accuracy:.1%} {counted} {count} validation photos"
    if own is None:
        return f"{text}."
    if own == best:
        return f"{text}, with the recipe's own settings; nothing better was found."
    # Of two independent shares; of the same photos it is smaller, so this is on the careful side.
    error = 100 * (sum(t.accuracy * (1 - t.accuracy) for t in (best, own)) / count) ** 0.5
    gain = 100 * (best.accuracy - own.accuracy)
    sure = "" if gain > 2 * error else f", within what chance does on so few photos (±{2 * error:.1f})"
    return f"{text}, {gain:+.1f} points against the recipe's own settings{sure}."


def short(value: Any) -> str:
    """A setting as a table shows it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _files(outcome: Outcome) -> list[str]:
    return [
        f"Recipe  {outcome.recipe} (edge-trainer train PHOTOS --recipe {outcome.recipe})",
        *(f"{'Page' if page.suffix == '.html' else 'JSON'}    {page}" for page in outcome.pages),
    ]

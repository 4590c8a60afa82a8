"""Connect trackers to a run, around its stages, so that neither stages nor training code know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.reports.model_card import CARD_NAME
from trainer.runs.artifacts import MODEL_FILES, read_evaluations, read_verdict
from trainer.tracking.follower import Follower
from trainer.tracking.mlflow import MlflowFollower, check_mlflow
from trainer.tracking.tensorboard import TensorBoardFollower
from trainer.training.loop.epoch_listener import listening

if TYPE_CHECKING:
    from trainer.config import TrackConfig
    from trainer.runs.run import Run, Stage
    from trainer.types import Epoch

_PAGES = ("report.html", "report.json", "compression.html", "compression.json", CARD_NAME)
_FILES = (*MODEL_FILES.values(), *_PAGES, "recipe.toml")

_FIGURES = ("accuracy", "macro_f1", "latency_ms", "mean_average_precision", "subset_accuracy")
"""Metrics of an evaluation; only multi-label models have the last two."""


def check_tracking(config: TrackConfig) -> None:
    """Raise a PackagesError if a tracker that the settings ask for is not installed."""
    if config.uri:
        check_mlflow()


@contextmanager
def followed(run: Run, stages: Sequence[Stage], warn: Callable[[str], None]) -> Iterator[Sequence[Stage]]:
    """Wrap the stages of a run so that they report to the trackers in its recipe, by default none."""
    followers: list[Follower] = []

    def begin() -> None:  # only once the run's folder is locked: another process may be tracked there
        if not followers:
            followers.extend(_followers(run, warn))

    with marked_if_broken(followers):
        yield [_overheard(stage, followers, begin) for stage in stages]
    begin()
    for follower in followers:
        follower.run_ended(_figures(run), [run.folder / name for name in _FILES if (run.folder / name).exists()])


@contextmanager
def marked_if_broken(followers: Sequence[Follower]) -> Iterator[None]:
    """Tell the followers if the enclosed code fails or is interrupted."""
    try:
        yield
    except BaseException as error:
        for follower in followers:
            follower.run_broken(stopped=isinstance(error, KeyboardInterrupt))
        raise


def _followers(run: Run, warn: Callable[[str], None]) -> list[Follower]:
    config = run.recipe.track
    found: list[Follower] = []
    if config.uri:
        settings = run.recipe.to_dict()
        settings.pop("track")
        experiment = run.photos.name
        found.append(MlflowFollower(run.folder, config, experiment=experiment, settings=settings, warn=warn))
    if config.tensorboard:
        found.append(TensorBoardFollower(run.folder / "tensorboard"))
    return found


def _overheard(stage: Stage, followers: Sequence[Follower], begin: Callable[[], None]) -> Stage:
    def work(run: Run, folder: Path) -> None:
        begin()

        def tell(epoch: Epoch) -> None:
            # A stage may train more than one thing: the teacher's head and the teacher.
            curve = stage.name if epoch.stage == stage.name else f"{stage.name}/{epoch.stage}"
            for follower in followers:
                follower.epoch_ended(curve, epoch)

        with listening(tell):
            stage.work(run, folder)

    return replace(stage, work=work)


def _figures(run: Run) -> Mapping[str, float]:
    """Return the run's metrics: accuracies 0–1, accuracy drop in percentage points, agreement in percent."""
    verdict = read_verdict(run)
    figures = {"gate/drop": verdict.drop, "gate/agreement": verdict.agreement, "gate/passed": float(verdict.passed)}
    for kind, splits in read_evaluations(run).items():
        figures[f"{kind}/size_bytes"] = float((run.folder / MODEL_FILES[kind]).stat().st_size)
        for split, evaluation in splits.items():
            for name in _FIGURES:
                if (value := getattr(evaluation, name, None)) is not None:
                    figures[f"{kind}/{split}_{name}"] = value
    return figures

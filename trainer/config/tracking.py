"""Settings of where a run is followed; they change nothing in what it makes."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require

LOCAL = "local"


@dataclass(frozen=True)
class TrackConfig:
    """Where a run's settings, curves, figures and files are sent; by default nowhere.

    Attributes:
        uri: Of an MLflow tracking server or store, as ``"http://host:5000"`` or ``"sqlite:////path/mlflow.db"``;
            ``"local"``: what the variable ``MLFLOW_TRACKING_URI`` names, or else ``mlflow.db`` in the working folder,
            where ``mlflow ui`` looks for it; empty: not tracked.
        experiment: Its name in MLflow; empty: the photos' folder's.
        tensorboard: Whether event files for TensorBoard are written into the run's folder.
    """

    uri: str = ""
    experiment: str = ""
    tensorboard: bool = False

    def __post_init__(self) -> None:
        known = self.uri in ("", LOCAL) or "://" in self.uri
        require(known, "track.uri", "local or a URL, as http://host:5000 or sqlite:////path/mlflow.db", self.uri)

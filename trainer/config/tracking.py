"""Settings for experiment tracking; they don't change what a run produces."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require

LOCAL = "local"


@dataclass(frozen=True)
class TrackConfig:
    """Where a run's settings, learning curves, metrics and files are sent; by default nowhere.

    Attributes:
        uri: MLflow tracking server or store, such as ``"http://host:5000"`` or ``"sqlite:////path/mlflow.db"``.
            ``"local"``: the environment variable ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in the working folder,
            where ``mlflow ui`` looks for it. Empty: no tracking.
        experiment: Name of the MLflow experiment; empty: the name of the photos' folder.
        tensorboard: If True, write event files for TensorBoard into the run's folder.
    """

    uri: str = ""
    experiment: str = ""
    tensorboard: bool = False

    def __post_init__(self) -> None:
        known = self.uri in ("", LOCAL) or "://" in self.uri
        require(known, "track.uri", "'local' or a URL such as http://host:5000 or sqlite:////path/mlflow.db", self.uri)

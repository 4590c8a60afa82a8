"""A run in MLflow: settings as parameters, curves and results as metrics, models and reports as artifacts.

Only MLflow's client is used, so MLflow's global state isn't touched. The ID of the MLflow run is stored in the run's
folder, so that a resumed run continues in the same one.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trainer.config.tracking import LOCAL, TrackConfig
from trainer.errors import PackagesError
from trainer.storage import read_json, write_json
from trainer.tracking.follower import CURVES
from trainer.types import Epoch

INSTALL = "pip install 'edge-image-sdk[track]'"

_STATE = "mlflow.json"
_AT_ONCE = 100  # parameters per request, the store's limit
_PARENT = "mlflow.parentRunId"  # MLflow's tag for nested runs
_ENVIRONMENT = {
    # By default MLflow tries seven times, two minutes each, while the training waits.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # Send nothing anywhere but to the given store.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def check_mlflow() -> None:
    """Check that MLflow is installed.

    Raises:
        PackagesError: MLflow is missing; the message contains the install command.
    """
    if find_spec("mlflow") is None:
        raise PackagesError(f"Tracking needs MLflow, which isn't installed. Run: {INSTALL}")


def _spared(method: Callable[..., None]) -> Callable[..., None]:
    """Keep training even if the store fails: after the first error, a follower warns and does nothing more."""

    @wraps(method)
    def call(self: MlflowFollower, *arguments: Any, **options: Any) -> None:
        if self.given_up:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MLflow's own deprecation warnings
                method(self, *arguments, **options)
        except Exception as error:  # no error of a server may end a training
            self.given_up = True
            reason = (str(error) or type(error).__name__).splitlines()[0]
            text = f"Warning: tracking stopped, training continues. Error from {self.uri}: {reason}"
            self.warn(re.sub(r"//[^/@ ]*@", "//", text))  # without credentials in the URL

    return call


class MlflowFollower:
    """Sends a run to an MLflow store. If the store fails, tracking stops with one warning.

    Args:
        folder: Folder of the run, in which ``mlflow.json`` stores the ID of the MLflow run.
        config: Address of the store.
        experiment: Name of the experiment, unless ``config`` gives one.
        settings: Nested tables, which become parameters named ``section.key``.
        warn: Called with the warning.
    """

    def __init__(
        self,
        folder: Path,
        config: TrackConfig,
        *,
        experiment: str,
        settings: Mapping[str, Any],
        warn: Callable[[str], None],
    ) -> None:
        self.warn, self.given_up = warn, False
        self._file = folder / _STATE
        known: dict[str, Any] = read_json(self._file) if self._file.exists() else {}
        # A run started in the local store continues there, even from another working folder.
        same = known.get("local") if config.uri == LOCAL else known.get("uri") == config.uri
        begun: dict[str, Any] = {"uri": _address(config), "local": config.uri == LOCAL}
        self._state = known if same else begun
        self.uri = str(self._state["uri"])
        self._sent_before: dict[str, int] = dict(self._state.get("epochs", {}))
        self._begin(config.experiment or experiment, folder.resolve().name, settings)

    @_spared
    def epoch_ended(self, curve: str, epoch: Epoch) -> None:
        """Send one epoch of a learning curve, unless it was sent before the run was interrupted."""
        if epoch.epoch > self._sent_before.get(curve, -1):
            self._send(self._run, {f"{curve}/{name}": getattr(epoch, name) for name in CURVES}, step=epoch.epoch)
            self._remember(epochs={**self._state.get("epochs", {}), curve: epoch.epoch})

    @_spared
    def run_ended(self, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Send metrics and files, unless the same metrics were sent before."""
        if self._state.get("figures") != dict(figures):
            self._send(self._run, figures)
            for file in files:
                self._client.log_artifact(self._run, str(file))
            self._remember(figures=dict(figures))
        self._client.set_terminated(self._run, "FINISHED")

    @_spared
    def run_broken(self, *, stopped: bool) -> None:
        """Mark the run as stopped or failed; a resumed run continues in it."""
        self._client.set_terminated(self._run, "KILLED" if stopped else "FAILED")

    @_spared
    def add_nested(
        self, name: str, settings: Mapping[str, Any], figures: Mapping[str, float], accuracies: Sequence[float]
    ) -> None:
        """Add a finished run nested in this one, such as a trial of a search.

        Args:
            name: Name of the nested run.
            settings: Nested tables, which become parameters.
            figures: Metrics by name.
            accuracies: Validation accuracy (0–1) of each epoch.
        """
        experiment = self._client.get_run(self._run).info.experiment_id
        run = self._client.create_run(experiment, run_name=name, tags={_PARENT: self._run}).info.run_id
        self._set(run, settings)
        for epoch, accuracy in enumerate(accuracies):
            self._send(run, {"val_accuracy": accuracy}, step=epoch)
        self._send(run, figures)
        self._client.set_terminated(run, "FINISHED")

    @property
    def _run(self) -> str:
        """ID of the run in the store."""
        return str(self._state["run"])

    @_spared
    def _begin(self, experiment: str, name: str, settings: Mapping[str, Any]) -> None:
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # an unreachable server is reported once
        self._client = MlflowClient(self.uri)
        if "run" in self._state:
            self._client.update_run(self._run, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment, _artifacts(self.uri))
        run = self._client.create_run(number, run_name=name).info.run_id
        self._set(run, settings)
        self._remember(run=run)

    def _set(self, run: str, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in _flat(settings).items()]
        for first in range(0, len(params), _AT_ONCE):
            self._client.log_batch(run, params=params[first : first + _AT_ONCE])

    def _send(self, run: str, figures: Mapping[str, float], *, step: int = 0) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._client.log_batch(run, [Metric(name, float(value), now_ms, step) for name, value in figures.items()])

    def _remember(self, **what: Any) -> None:
        self._state |= what
        write_json(self._file, self._state)


def _address(config: TrackConfig) -> str:
    if config.uri != LOCAL:
        return config.uri
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"


def _artifacts(uri: str) -> str | None:
    """Return the artifact folder next to a file store; None for a server, which has its own."""
    path = uri.removeprefix("sqlite:///")
    return (Path(path).resolve().parent / "mlruns").as_uri() if path != uri else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found

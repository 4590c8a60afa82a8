"""A model and its settings as one value, to open a `Classifier` here or in another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from edge_runtime.inference.interpreter import Int8Kernels
from edge_runtime.inference.isolation.limits import IsolationLimits
from edge_runtime.types import Activation, InputContract


@dataclass(frozen=True)
class ClassifierOptions:
    """Arguments for `Classifier`; see its docstring."""

    model: str
    num_threads: int | None = None
    backend: str | None = None
    int8_kernels: Int8Kernels = "auto"
    labels: tuple[str, ...] | None = None
    contract: InputContract | None = None
    activation: Activation | None = None
    unknown_threshold: float | None = None
    require_signature: str | None = None
    isolation: IsolationLimits | None = None

    def as_arguments(self) -> dict[str, Any]:
        """Return the options as keyword arguments of `Classifier`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "contract": self.contract and self.contract.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassifierOptions:
        """Rebuild the options from the result of `to_dict`."""
        labels, contract, isolation = values["labels"], values["contract"], values["isolation"]
        return cls(
            **{
                **values,
                "labels": None if labels is None else tuple(labels),
                "contract": None if contract is None else InputContract.from_dict(contract),
                "isolation": None if isolation is None else IsolationLimits(**isolation),
            }
        )

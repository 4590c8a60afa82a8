"""A model and how it is to be run, as a value: what `Classifier` is made from, here or in another process."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.interpreter import Int8Kernels
from edge_runtime.inference.isolation.limits import IsolationLimits
from edge_runtime.types import Activation, InputContract


@dataclass(frozen=True)
class Setup:
    """The arguments of `Classifier`, which see."""

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

    def open(self) -> Classifier:
        """Makes the classifier.

        Raises:
            ModelError: The file can't be used as it is.
            BackendError: No interpreter can be had, or it refuses the model.
        """
        return Classifier(
            self.model,
            num_threads=self.num_threads,
            backend=self.backend,
            int8_kernels=self.int8_kernels,
            labels=self.labels,
            contract=self.contract,
            activation=self.activation,
            unknown_threshold=self.unknown_threshold,
            require_signature=self.require_signature,
            isolation=self.isolation,
        )

    @classmethod
    def of(cls, classifier: Classifier) -> Setup:
        """The setup that makes such a classifier again."""
        model, backend = classifier.model, classifier.backend
        return cls(
            model=os.fspath(model.path),
            num_threads=backend.num_threads,
            backend=backend.name,
            int8_kernels="off" if backend.int8_kernels == "off" else "auto",
            labels=model.labels,
            contract=model.contract,
            activation=model.activation,
            unknown_threshold=classifier.unknown_threshold or 0.0,
            require_signature=None if classifier.require_signature is None else os.fspath(classifier.require_signature),
            isolation=classifier.isolation,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "contract": self.contract and self.contract.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Setup:
        """The opposite of `to_dict`."""
        labels, contract, isolation = values["labels"], values["contract"], values["isolation"]
        return cls(
            **{
                **values,
                "labels": None if labels is None else tuple(labels),
                "contract": None if contract is None else InputContract.from_dict(contract),
                "isolation": None if isolation is None else IsolationLimits(**isolation),
            }
        )

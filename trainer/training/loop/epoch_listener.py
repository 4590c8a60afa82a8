"""Notifies a listener of each epoch in training, such as a tracker, or a search that stops bad trials early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trainer.types import Epoch

_LISTENER: ContextVar[Callable[[Epoch], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[Epoch], None]) -> Iterator[None]:
    """Call the listener at the end of each epoch in this context; an exception from it stops the training.

    If contexts are nested, only the innermost listener is called.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(epoch: Epoch) -> None:
    """Notify the listener that an epoch has ended."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(epoch)

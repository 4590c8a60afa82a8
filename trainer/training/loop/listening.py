"""Who hears of each epoch while a network trains: what follows a run, or a search that may end a bad trial early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trainer.types import Epoch

_LISTENER: ContextVar[Callable[[Epoch], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[Epoch], None]) -> Iterator[None]:
    """Every epoch that ends inside is told to the listener; what it raises ends the training.

    Of several, the innermost alone hears.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(epoch: Epoch) -> None:
    """Says that an epoch is over."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(epoch)

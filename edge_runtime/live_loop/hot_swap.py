"""Hot swap: when the model file is replaced, the new model is checked and loaded in the background, then takes over."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from edge_runtime.errors import EdgeRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edge_runtime.inference.classifier import Classifier

logger = logging.getLogger(__name__)


class ModelWatch:
    """Watches the file of a classifier in a background thread.

    A file that has changed and then stayed the same for ``interval_s`` is read into memory, checked, loaded and run
    once, while the classifier keeps running. `update` then swaps the model. If the new model is rejected, for example
    because it was copied only in part, one warning says why and the classifier keeps its model until the next change.

    Args:
        classifier: Classifier that gets the new model; the caller keeps ownership.
        accept: Called in the background thread with a classifier for each new model; raises an `EdgeRuntimeError` to
            reject it.
        at_once: If True, the model is swapped as soon as it is loaded, between two calls of the classifier from any
            thread, and `update` need not be called.
        interval_s: Seconds between two checks of the file.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        accept: Callable[[Classifier], object] | None = None,
        at_once: bool = False,
        interval_s: float = 1.0,
    ) -> None:
        self._classifier = classifier
        self._accept = accept
        self._at_once = at_once
        self._interval_s = interval_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._fresh: Classifier | None = None  # guarded by the lock
        self._thread = threading.Thread(target=self._run, name="edge-model", daemon=True)
        self._thread.start()

    def update(self) -> bool:
        """Swap in the new model if one is ready, without waiting; call this between two frames.

        Returns:
            Whether the model was swapped.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, None
        if fresh is None:
            return False
        self._classifier.take_over(fresh)
        logger.warning("The model file %s was replaced. The new model is now running.", self._classifier.model.path)
        return True

    def close(self) -> None:
        """Stop watching and discard a model that is being loaded."""
        self._closed.set()
        self._offer(None)

    def __enter__(self) -> ModelWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        seen = known = None  # the first check compares contents: the file may have changed since it was opened
        while not self._closed.wait(self._interval_s):
            now = self._state()
            if now is not None and now == seen and now != known:
                known = now
                self._load()
            seen = now

    def _state(self) -> tuple[object, ...] | None:
        """Return a value that differs after each change of the file or its required signature; None without a file."""
        path = self._classifier.model.path
        file = _identity(path)
        if file is None or self._classifier.require_signature is None:
            return file
        from edge_runtime.model.signature import signature_path

        return file, _identity(signature_path(path))

    def _load(self) -> None:
        fresh = None
        try:
            fresh = self._classifier.reopened()
            if fresh is None:
                return
            if self._accept is not None:
                self._accept(fresh)
            fresh.invoke()  # the first inference is the slowest: run it here, where no frame waits
        except (EdgeRuntimeError, MemoryError) as error:
            if fresh is not None:
                fresh.close()
            reason = str(error) or "Out of memory while loading the new model."
            logger.warning("%s The previous model keeps running.", reason)
            return
        self._offer(fresh)
        if self._at_once and not self._closed.is_set():
            self.update()

    def _offer(self, fresh: Classifier | None) -> None:
        with self._lock:
            if self._closed.is_set():
                unwanted, self._fresh = (self._fresh, fresh), None
            else:
                unwanted, self._fresh = (self._fresh, None), fresh
        for classifier in unwanted:
            if classifier is not None:
                classifier.close()


def _identity(path: os.PathLike[str]) -> tuple[object, ...] | None:
    """Return the identity of the file at a path, including size and time; None if there is no file."""
    try:
        state = os.stat(path)  # noqa: PTH116 - any path-like
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns

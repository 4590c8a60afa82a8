"""A model whose file is replaced while it runs: the new one is checked and loaded beside, then takes over."""

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
    """Follows the file of a classifier, in a thread of its own.

    A file that has changed, and then rested for ``interval_s``, is read whole into memory, checked as any model is,
    loaded and run once, while the classifier goes on. `update` lets it take over. One that is refused, for example
    because only a half of it was copied, is named in one warning; the classifier keeps its model, and the next change
    is another chance.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        accept: Callable[[Classifier], object] | None = None,
        at_once: bool = False,
        interval_s: float = 1.0,
    ) -> None:
        """Begins to watch.

        Args:
            classifier: Gets the new model. It stays the caller's.
            accept: Is given each new model's own classifier, in the watch's thread, and raises an `EdgeRuntimeError`
                to refuse it.
            at_once: The model takes over as soon as it is loaded, between two calls of the classifier by whichever
                thread; `update` isn't needed then.
            interval_s: Between two looks at the file.
        """
        self._classifier = classifier
        self._accept = accept
        self._at_once = at_once
        self._interval_s = interval_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._fresh: Classifier | None = None  # touched only while holding the lock
        self._thread = threading.Thread(target=self._run, name="edge-model", daemon=True)
        self._thread.start()

    def update(self) -> bool:
        """Lets a model that is ready take over; to be called between two frames. Never waits for one.

        Returns:
            Whether the classifier has another model now.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, None
        if fresh is None:
            return False
        self._classifier.take_over(fresh)
        logger.warning("The model %s was replaced: the new one runs from now on.", self._classifier.model.path)
        return True

    def close(self) -> None:
        """Stops watching. A model that is just being loaded is let go."""
        self._closed.set()
        self._offer(None)

    def __enter__(self) -> ModelWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        seen = known = None  # the first look compares contents: the file may have changed since it was loaded
        while not self._closed.wait(self._interval_s):
            now = self._state()
            if now is not None and now == seen and now != known:
                known = now
                self._load()
            seen = now

    def _state(self) -> tuple[object, ...] | None:
        """Another one for each change of the file, or of the signature that counts with it; None without a file."""
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
            fresh.invoke()  # the first inference takes longest: here it keeps no frame waiting
        except (EdgeRuntimeError, MemoryError) as error:
            if fresh is not None:
                fresh.close()
            reason = str(error) or "There isn't enough memory for a second model."
            logger.warning("%s The model that was loaded before goes on.", reason)
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
    """Of the file that stands at the path, as it is now; None while there is none."""
    try:
        state = os.stat(path)  # noqa: PTH116 - any path-like
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns

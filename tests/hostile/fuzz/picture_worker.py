"""Decodes pictures as the device, the server and the trainer would, and says what became of each; a line is a path."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException

from edge_runtime.errors import SourceError
from edge_runtime.server.predict import decode_picture
from edge_runtime.sources.pictures import read_picture
from tests.hostile.fuzz.worker import answer_lines
from trainer.data.images import inspect_image, read_image
from trainer.errors import DatasetError


def answer(path: str) -> str:
    """``"ran"`` where any of them decoded it, ``"refused"`` where none did; other errors are let through."""
    decoded = []
    with suppress(SourceError):
        decoded.append(read_picture(path))
    with suppress(HTTPException):
        decoded.append(decode_picture(Path(path).read_bytes(), max_pixels=1_000_000))
    facts = inspect_image(path, decode=True)
    if facts.unreadable:
        with pytest.raises(DatasetError, match=re.escape(facts.unreadable)):
            read_image(path)
    else:
        decoded.append(read_image(path))
        assert decoded[-1].shape[:2] == (facts.height, facts.width)
    for pixels in decoded:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
    return "ran" if decoded else "refused"


if __name__ == "__main__":
    answer_lines(answer)

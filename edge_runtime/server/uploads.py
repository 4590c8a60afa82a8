"""Pictures that clients send: what isn't taken has a status of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

from edge_runtime.errors import PictureError
from edge_runtime.pixels import decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STATUS = {"size": 413, "format": 415, "damage": 422}


def decode_picture(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decodes a picture as `decode.decode_picture` does.

    Raises:
        HTTPException: 413 for more pixels than allowed, 415 for another format, 422 for a damaged picture.
    """
    try:
        return decode.decode_picture(data, max_pixels=max_pixels)
    except PictureError as error:
        raise HTTPException(_STATUS[error.reason], str(error)) from None

"""Templates, and pictures inside pages."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.reports import texts

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Template
    from numpy.typing import NDArray


def page_template(name: str) -> Template:
    """Load a template with the number formats of `texts` as filters.

    HTML pages escape every value. In Markdown, labels and paths go through the filter ``plain``.

    Args:
        name: File name in ``templates``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=texts.percent,
        signed=texts.signed_points,
        size=texts.size_text,
        duration=texts.duration_text,
        number=texts.number_text,
        interval=texts.interval_text,
        setting=texts.setting_text,
        plain=_plain,
        toml=_toml,
    )
    return environment.get_template(name)


def picture_uri(image: NDArray[np.uint8], side: int) -> str:
    """Return a picture as a ``data:`` URI.

    Args:
        image: uint8 (H, W, 3) RGB, 0–255.
        side: Maximum height and width in pixels; larger pictures are scaled down.
    """
    import cv2

    height, width = image.shape[:2]
    if max(height, width) > side:
        factor = side / max(height, width)
        shape = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # JPEG blurs details of a few pixels, and saves nothing on tiny pictures.
    kind, options = ("png", []) if max(height, width) <= 64 else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    _, data = cv2.imencode(f".{kind}", bgr, options)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _plain(text: object) -> str:
    """Return a text on one line, with Markdown's special characters escaped."""
    line = "".join(sign if sign.isprintable() else " " for sign in str(text))
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in line)


def _toml(settings: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(settings).strip()

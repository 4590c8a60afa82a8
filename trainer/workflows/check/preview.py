"""Draws a sheet of photos and, beside each, what augmentation makes of it in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.config import AugmentConfig, Recipe
from trainer.data.dataset import count_to_train_on
from trainer.data.formats import find_photos
from trainer.data.images import read_image
from trainer.environment import load_tensorflow
from trainer.errors import DatasetError
from trainer.training.augmentation.augment import augment, check_flip, mix_targets
from trainer.training.loop.fit import train_size
from trainer.training.networks.contract import input_contract, training_contract

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from trainer.data.formats.listing import Entry

_GAP, _LINE, _MARGIN = 8, 16, 150  # pixels: gap between cells, height of a line, left margin
_PAPER, _INK = "white", "black"
_LEAST_SHARE = 0.005  # of a class; smaller shares are not named


@dataclass(frozen=True)
class Draws:
    """Photos and augmented versions of them.

    Attributes:
        classes: Names of the classes, sorted.
        titles: Classes of each photo, as a title.
        photos: uint8 (N, height, width, 3) RGB, 0–255, as the network sees them after training.
        drawn: uint8 (N, draws, size, size, 3) RGB, 0–255, as it sees them in training.
        shares: float32 (N, draws, classes), 0–1: the training target of each.
        augment: Augmentation settings, as resolved for this number of photos.
    """

    classes: tuple[str, ...]
    titles: tuple[str, ...]
    photos: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    shares: NDArray[np.float32]
    augment: AugmentConfig


def preview_photos(source: str | Path, recipe: Recipe | None = None, *, per_class: int = 2, draws: int = 6) -> bytes:
    """Draw a sheet of augmented photos, as the network sees them in training.

    Args:
        source: Photos, as for `trainer.train`; if they are split, those of the training split are shown.
        recipe: Recipe; ``augment``, ``finetune.train_size``, ``data``, the input size and the seed matter. Default:
            ``Recipe()``.
        per_class: Rows per class, spread over its photos.
        draws: Augmented versions of each photo, as columns.

    Returns:
        The sheet as PNG bytes.

    Raises:
        TrainerError: There are no photos, or the recipe doesn't fit them.
    """
    import io

    recipe = recipe or Recipe()
    made = draw_changes(source, recipe, per_class=per_class, draws=draws)
    file = io.BytesIO()
    _sheet(made).save(file, "PNG")
    return file.getvalue()


def draw_changes(source: str | Path, recipe: Recipe, *, per_class: int, draws: int) -> Draws:
    """Augment photos with the functions that training uses; each draw is its own batch.

    Args:
        source: Photos, as for `preview_photos`.
        recipe: Recipe, as for `preview_photos`.
        per_class: Photos per class.
        draws: Augmented versions of each photo.

    Raises:
        TrainerError: There are no photos, or the recipe doesn't fit them.
    """
    import numpy as np

    from edge_runtime.pixels.preprocess import resize_frame

    listing = find_photos(source)
    count = count_to_train_on(listing, recipe.data)
    recipe = recipe.for_photos(count, multi_label=listing.multi_label)
    entries = [entry for entry in listing.entries if entry.labels and entry.given in (None, "train")]
    classes = tuple(sorted({label for entry in entries for label in entry.labels}))
    check_flip(recipe.augment, classes)
    rows: list[tuple[Entry, NDArray[np.uint8]]] = []
    for label in classes:
        rows += _readable(listing.root, [entry for entry in entries if entry.labels[0] == label], per_class)
    if not rows:
        raise DatasetError(f"{source} has no readable photos to train on. Check the path.")
    contract = input_contract(recipe)
    photos, sources = (
        np.stack([resize_frame(picture, seen, color="rgb") for _, picture in rows])
        for seen in (contract, training_contract(recipe, count))
    )
    truth = np.array([[label in entry.labels for label in classes] for entry, _ in rows], np.float32)

    load_tensorflow()
    import tensorflow as tf

    size = train_size(contract.height, recipe.finetune.train_size)
    drawn, shares = [], []
    for number in range(draws):
        seed = tf.constant((recipe.seed, number), tf.int64)
        # Shuffled each time, as in training, so that a photo may be mixed with one of any class.
        order = np.random.default_rng((recipe.seed, number)).permutation(len(photos))
        back = np.argsort(order)
        changed = augment(tf.constant(sources[order]), seed, recipe.augment, size=size).numpy()
        drawn.append(np.clip(np.round(changed), 0, 255).astype(np.uint8)[back])
        shares.append(mix_targets(tf.constant(truth[order]), seed, recipe.augment).numpy()[back])
    titles = tuple(" + ".join(entry.labels) for entry, _ in rows)
    return Draws(classes, titles, photos, np.stack(drawn, axis=1), np.stack(shares, axis=1), recipe.augment)


def _readable(root: Path, entries: Sequence[Entry], count: int) -> list[tuple[Entry, NDArray[np.uint8]]]:
    """Return up to ``count`` entries, evenly spaced; an unreadable photo is replaced by the next one."""
    found: list[tuple[Entry, NDArray[np.uint8]]] = []
    for index in range(count):
        for entry in entries[index * len(entries) // count : (index + 1) * len(entries) // count]:
            try:
                found.append((entry, read_image(root / entry.path)))
            except DatasetError:
                continue
            break
    return found


def _sheet(made: Draws) -> Image:
    from PIL import Image, ImageDraw

    count, columns, size = made.drawn.shape[:3]
    cell = made.photos.shape[1]
    across, down = cell + _GAP, cell + _LINE + _GAP
    sheet = Image.new("RGB", (_MARGIN + (columns + 1) * across, 2 * _LINE + count * down), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _LINE // 2), f"original, {cell} px", _INK)
    pen.text((_MARGIN + across, _LINE // 2), f"in training, {size} px, augment.set {made.augment.set}", _INK)
    for row in range(count):
        top = 2 * _LINE + row * down
        pen.text((_GAP, top), made.titles[row][:22], _INK)
        sheet.paste(Image.fromarray(made.photos[row]), (_MARGIN, top))
        for column in range(columns):
            left = _MARGIN + (column + 1) * across
            sheet.paste(Image.fromarray(made.drawn[row, column]), (left, top))
            if made.augment.mixup or made.augment.cutmix:
                pen.text((left, top + size + 2), _shown(made.classes, made.shares[row, column]), _INK)
    return sheet


def _shown(classes: Sequence[str], shares: NDArray[np.float32]) -> str:
    named = sorted(zip(shares.tolist(), classes, strict=True), reverse=True)
    return ", ".join(f"{share:.0%} {label}" for share, label in named if share >= _LEAST_SHARE)

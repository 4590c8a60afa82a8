"""From a path to a listing: which reader fits is decided here, and nowhere else.

| What                          | Read by             | Known by                                                  |
|-------------------------------|---------------------|-----------------------------------------------------------|
| a list, `.csv` or `.jsonl`    | `lists`             | its suffix                                                |
| an Edge Impulse export        | `edge_impulse`      | `info.labels`, or loose pictures in `training/`           |
| a Roboflow export             | `roboflow`          | `_classes.csv`, or `README.roboflow.txt`                  |
| a Teachable Machine project   | `teachable_machine` | pictures called `<class>-!-<number>.jpg`                  |
| packed photos                 | `packed`            | `shards.json`                                             |
| class folders                 | `folders`           | anything else                                             |
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.edge_impulse import EDGE_IMPULSE
from trainer.data.formats.folders import FOLDERS
from trainer.data.formats.listing import Listing
from trainer.data.formats.lists import LISTS, SUFFIXES
from trainer.data.formats.packed import PACKED
from trainer.data.formats.roboflow import ROBOFLOW
from trainer.data.formats.teachable_machine import TEACHABLE_MACHINE
from trainer.errors import DatasetError

_READERS = (LISTS, EDGE_IMPULSE, ROBOFLOW, TEACHABLE_MACHINE, FOLDERS)


def find_photos(source: str | Path) -> Listing:
    """Finds out which photos there are and what they show; no picture is opened.

    Args:
        source: A folder, or a list of photos.

    Raises:
        DatasetError: There is none, or it can't be read.
    """
    source = Path(source)
    if source.suffix.lower() in (".zip", ".tm") and source.is_file():
        raise DatasetError(
            f"Expected a folder of photos, got {source}, which is packed. Unzip it, and name the folder."
        )
    if PACKED.fits(source):  # first: it may lie where pathlib can't look
        return PACKED.read(source)
    if not source.exists():
        raise DatasetError(
            f"Expected a folder of photos or a list of them ({', '.join(SUFFIXES)}), got {source}, which is no "
            "folder and no file. Check the path."
        )
    for reader in _READERS:
        if reader.fits(source):
            return reader.read(source)
    raise DatasetError(
        f"Expected a folder of photos or a list of them ({', '.join(SUFFIXES)}), got the file {source}. "
        "Name the folder that it lies in."
    )

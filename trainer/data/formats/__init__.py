"""From a path to a listing of photos; this is where the matching reader is chosen.

| Source                        | Reader              | Known by                                                  |
|-------------------------------|---------------------|-----------------------------------------------------------|
| a list, `.csv` or `.jsonl`    | `list_file`         | its suffix                                                |
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
from trainer.data.formats.list_file import LISTS, SUFFIXES
from trainer.data.formats.listing import Listing
from trainer.data.formats.packed import PACKED
from trainer.data.formats.roboflow import ROBOFLOW
from trainer.data.formats.teachable_machine import TEACHABLE_MACHINE
from trainer.errors import DatasetError

_READERS = (LISTS, EDGE_IMPULSE, ROBOFLOW, TEACHABLE_MACHINE, FOLDERS)


def find_photos(source: str | Path) -> Listing:
    """List the photos of a source with their labels, without opening any picture.

    Args:
        source: Folder, or list of photos.

    Raises:
        DatasetError: The source doesn't exist or can't be read.
    """
    source = Path(source)
    if source.suffix.lower() in (".zip", ".tm") and source.is_file():
        raise DatasetError(f"{source} is a ZIP archive. Unzip it, and use the folder instead.")
    if PACKED.fits(source):  # first, because the source may be a URL that pathlib can't open
        return PACKED.read(source)
    if not source.exists():
        raise DatasetError(
            f"{source} doesn't exist. Check the path: it must be a folder of photos or a list ({', '.join(SUFFIXES)})."
        )
    for reader in _READERS:
        if reader.fits(source):
            return reader.read(source)
    raise DatasetError(
        f"{source} is neither a folder of photos nor a list of them ({', '.join(SUFFIXES)}). "
        "Use the folder that contains the photos."
    )

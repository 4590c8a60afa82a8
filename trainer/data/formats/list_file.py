"""Lists of photos: CSV with or without a header, and JSON Lines with one object per line.

    path,label,split,group          paths relative to the list; split and group are optional
    a/1.jpg,cat,train,monday        several labels in one field: cat|dog or cat;dog
    {"path": "a/1.jpg", "label": "cat"}         several labels in JSON: an array

Columns have many accepted names (`_COLUMNS`), in any case and order. A CSV list with a column of 0 and 1 per class
(one-hot or multi-label, as Roboflow writes them) needs no label column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.data.formats.listing import Entry, Listing, Reader, is_picture, listing_from, split_named
from trainer.errors import DatasetError
from trainer.types import Split

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Suffixes of list files."""

_COLUMNS = {
    "path": ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "img", "photo", "picture"),
    "label": ("label", "labels", "class", "classes", "classname", "category", "categories", "target", "tag", "tags"),
    "split": ("split", "set", "subset", "partition", "usage"),
    "group": ("group", "groupid", "session", "sessionid", "sequence", "burst", "source"),
}


def _fits(source: Path) -> bool:
    """Match a file with the suffix of a list."""
    return source.is_file() and source.suffix.lower() in SUFFIXES


def _read(source: Path) -> Listing:
    """Read a list.

    Raises:
        DatasetError: The list or a line is invalid, a photo is listed twice, or only some photos have a split.
    """
    entries = read_entries(source)
    if len({entry.given is None for entry in entries}) > 1:
        bare = next(entry.path for entry in entries if entry.given is None)
        raise DatasetError(
            f"{source} gives a split for some photos, but not for {bare}. Give one for every photo, or for none."
        )
    kind = "CSV list" if source.suffix.lower() in (".csv", ".tsv") else "JSON Lines list"
    return listing_from(source.parent, kind, entries)


def read_entries(source: Path) -> list[Entry]:
    """Return the photos of a list, in its order, without duplicates.

    Raises:
        DatasetError: The list or a line is invalid, or a photo is listed twice with different values.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"Cannot read the list {source}: {error}. It must be a text file in UTF-8.") from error
    rows = _csv_entries if source.suffix.lower() in (".csv", ".tsv") else _json_entries
    found: dict[str, tuple[int, Entry]] = {}
    for line, entry in rows(source, text):
        first_line, first = found.setdefault(entry.path, (line, entry))
        if first != entry:
            raise DatasetError(
                f"{source} lists {entry.path} twice with different values: on line {first_line} "
                f"({' + '.join(first.labels)}) and on line {line} ({' + '.join(entry.labels)}). "
                "Remove one of them, or put several labels on one line, as in cat|dog."
            )
    if not found:
        raise DatasetError(f"The list {source} contains no photos. Add lines of the form path,label.")
    return [entry for _, entry in found.values()]


def _csv_entries(source: Path, text: str) -> Iterable[tuple[int, Entry]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    if not rows:
        return
    head = [cell.strip() for cell in rows[0][1]]
    columns = _columns(head)
    if is_picture(head[0]):  # no header: by position
        columns = dict(zip(("path", "label", "split", "group"), range(len(head)), strict=False))
        head = []
    if "path" not in columns:
        raise DatasetError(
            f"{source} has no column of paths (its columns: {', '.join(head)}). Rename one to path or filename."
        )
    body, least = rows[1:] if head else rows, max(columns.values()) + 1
    for line, cells in body:
        if len(cells) < least:
            raise DatasetError(f"Line {line} of {source} has {len(cells)} of at least {least} fields. Complete it.")
    one_hot = {} if "label" in columns else _one_hot(source, head, columns, body)
    for line, cells in body:
        fields = {name: cells[at].strip() for name, at in columns.items()}
        if one_hot:
            labels = tuple(label for at, label in one_hot.items() if float(cells[at]) > 0)
        else:
            labels = _separated(fields["label"], "|" if delimiter == ";" else "|;")
        yield line, _entry(source, line, fields, labels)


def _one_hot(
    source: Path, head: Sequence[str], columns: Mapping[str, int], body: Sequence[tuple[int, list[str]]]
) -> dict[int, str]:
    """Return the columns that each stand for a class, by index."""
    classes = {at: name for at, name in enumerate(head) if at not in columns.values() and name}
    good = {"0", "1", "0.0", "1.0"}
    if not classes or any(
        len(cells) != len(head) or cells[at].strip() not in good for _, cells in body for at in classes
    ):
        raise DatasetError(
            f"{source} has no column of labels (its columns: {', '.join(head)}). Rename one to label or class, "
            "or add a column of 0 and 1 for each class."
        )
    return classes


def _json_entries(source: Path, text: str) -> Iterable[tuple[int, Entry]]:
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            values = json.loads(content)
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at column {error.colno}"
            raise DatasetError(f"Line {line} of {source} isn't valid JSON: {reason}.") from error
        names = list(values) if isinstance(values, dict) else []
        columns = _columns(names)
        if not {"path", "label"} <= set(columns):
            raise DatasetError(
                f"Line {line} of {source} has no path and label: {content}. Write objects such as "
                '{"path": "a.jpg", "label": "cat"}.'
            )
        fields: dict[str, Any] = {name: values[names[at]] for name, at in columns.items()}
        label = fields["label"]
        labels = tuple(map(str, label)) if isinstance(label, list) else _separated(_text(label), "")
        yield line, _entry(source, line, {name: _text(value) for name, value in fields.items()}, labels)


def _columns(head: Sequence[str]) -> dict[str, int]:
    """Return the index of each kind of column; the most likely name wins."""
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in head]
    return {kind: plain.index(name) for kind, names in _COLUMNS.items() for name in reversed(names) if name in plain}


def _separated(text: str, separators: str) -> tuple[str, ...]:
    for separator in separators[1:]:
        text = text.replace(separator, separators[0])
    parts = text.split(separators[0]) if separators else [text]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _entry(source: Path, line: int, fields: Mapping[str, str], labels: tuple[str, ...]) -> Entry:
    if not fields["path"]:
        raise DatasetError(f"Line {line} of {source} has no path. Add it, or delete the line.")
    split: Split | None = None
    if fields.get("split"):
        split = split_named(fields["split"])
        if split is None:
            raise DatasetError(
                f"Line {line} of {source} has the unknown split {fields['split']!r}. Use train, val or test."
            )
    # Lists made on Windows have backslashes.
    return Entry(fields["path"].replace("\\", "/"), labels, split, fields.get("group", ""))


LISTS = Reader(_fits, _read)

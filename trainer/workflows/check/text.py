"""Says what a check found: sentences with counts and examples, what does most harm first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.data.few_photos import RECIPE, few_photos
from trainer.workflows.check.check import CheckReport, Duplicates
from trainer.workflows.check.faults import FAULTS

_IMBALANCE = 3.0  # the largest class may be this many times the smallest
_EXAMPLES = 5

_FAULT_TEXTS = {
    "blank": "show nothing",
    "dark": "are too dark to see much",
    "bright": "are washed out",
    "blurred": "are blurred",
    "tiny": "are smaller than half of the network's input",
}


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is worth a look.

    Attributes:
        kind: For programs and anchors: ``"unreadable"``, ``"near_duplicates_across_splits"``, …
        text: A sentence, with the count and what to do.
        examples: All of them, a line each, the worst first; may be none.
    """

    kind: str
    text: str
    examples: tuple[str, ...] = ()


def findings(report: CheckReport) -> list[Finding]:
    """What a report found, what does most harm first."""
    return [
        *_unreadable(report),
        *_contradictions(report),
        *_across_splits(report),
        *_suspects(report),
        *_within_splits(report),
        *_faults(report),
        *_balance(report),
        *_few(report),
    ]


def format_text(report: CheckReport) -> str:
    """Lays a report out for a person, on a page or two."""
    lines = [summary(report), "", *_count_table(report)]
    sizes = report.sizes
    if sizes:
        lines += [
            "",
            f"Height  {sizes.min_height} to {sizes.max_height} px, median {sizes.median_height}",
            f"Width   {sizes.min_width} to {sizes.max_width} px, median {sizes.median_width}",
        ]
    for finding in findings(report):
        more = len(finding.examples) - _EXAMPLES
        lines += ["", f"! {finding.text}", *(f"    {example}" for example in finding.examples[:_EXAMPLES])]
        lines += [f"    and {more} more"] if more > 0 else []
    if report.suspects is None:
        lines += ["", f"Wrong labels weren't looked for: {report.suspects_skipped.rstrip('.')}."]
    lines += ["", f"Training would stop: {report.stops}" if report.stops else "Ready to train."]
    return "\n".join(lines)


def summary(report: CheckReport) -> str:
    """What there is, in a line."""
    several = ", several a photo" if report.multi_label else ""
    return f"{_photos(report.photos)} in {len(report.labels)} classes{several}, {report.source} ({report.kind})"


def _unreadable(report: CheckReport) -> Iterator[Finding]:
    bad = report.unreadable
    if bad:
        total = report.photos + len(bad)
        yield Finding(
            "unreadable",
            f"{len(bad)} of {total} files can't be used and are left out.",
            tuple(f"{path}: {reason}" for path, reason in bad),
        )


def _contradictions(report: CheckReport) -> Iterator[Finding]:
    found = [group for group in (*report.duplicates, *report.near_duplicates) if group.contradict]
    if found:
        yield Finding(
            "contradictions",
            f"{_pictures(len(found))} in several classes. Keep each in one.",
            tuple(_equation(group) for group in found),
        )


def _across_splits(report: CheckReport) -> Iterator[Finding]:
    found = [group for group in (*report.duplicates, *report.near_duplicates) if group.leak and not group.contradict]
    if found:
        yield Finding(
            "duplicates_across_splits",
            f"{_pictures(len(found))} in several splits, the same or nearly so: accuracy is measured on what was "
            "learned. Keep one of each.",
            tuple(_equation(group) for group in found),
        )
    if report.leaks:
        by = Counter(leak.known_by for leak in report.leaks)
        photos = sum(len(leak.paths) for leak in report.leaks)
        kinds = ", ".join(f"{count} by {known_by}" for known_by, count in by.most_common())
        if report.given_split:
            advice = "Keep each in one split."
        elif "EXIF time" in by:
            advice = "Train with --set data.group=exif_time."
        else:
            advice = "Give data.group a regular expression that finds the session in the path."
        yield Finding(
            "sessions_across_splits",
            f"{_counted(len(report.leaks), 'capture session')} with {_photos(photos)} in several splits ({kinds}): "
            f"accuracy will look better than it is. {advice}",
            tuple(
                f"{leak.paths[0]} … {leak.paths[-1]}: "
                + ", ".join(f"{count} in {split}" for split, count in Counter(leak.splits).most_common())
                for leak in report.leaks
            ),
        )


def _suspects(report: CheckReport) -> Iterator[Finding]:
    if report.suspects:
        yield Finding(
            "suspects",
            f"{_photos(len(report.suspects))} may have a wrong label. Look at them, the clearest first.",
            tuple(
                f"{suspect.path}: {suspect.given} ({suspect.given_likelihood:.0%}) or {suspect.suggested} "
                f"({suspect.suggested_likelihood:.0%})?"
                for suspect in report.suspects
            ),
        )


def _within_splits(report: CheckReport) -> Iterator[Finding]:
    for kind, groups, text in (
        ("duplicates", report.duplicates, "several times, byte for byte. Once is enough."),
        ("near_duplicates", report.near_duplicates, "several times, nearly the same. They teach little more than one."),
    ):
        found = [group for group in groups if not group.leak and not group.contradict]
        if found:
            yield Finding(kind, f"{_pictures(len(found))} {text}", tuple(_equation(group) for group in found))


def _faults(report: CheckReport) -> Iterator[Finding]:
    for kind in FAULTS:
        found = [fault for fault in report.faults if fault.kind == kind]
        if found:
            unit = " px" if kind == "tiny" else ""
            text = _FAULT_TEXTS[kind] if len(found) > 1 else _singular(_FAULT_TEXTS[kind])
            yield Finding(
                kind,
                f"{_photos(len(found))} {text}. Take out what you couldn't tell yourself.",
                tuple(f"{fault.path} ({fault.value:g}{unit})" for fault in found),
            )


def _balance(report: CheckReport) -> Iterator[Finding]:
    counts = report.class_counts
    if report.imbalance > _IMBALANCE:
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        yield Finding(
            "imbalance",
            f"{most} has {report.imbalance:.1f} times as many photos as {least} ({counts[most]} and {counts[least]}); "
            f"add photos of {least}, or read its recall in the report.",
        )
    sizes = report.sizes
    if sizes and sizes.smaller_than_input > report.photos / 2:
        yield Finding(
            "smaller_than_input",
            f"{sizes.smaller_than_input} of {report.photos} photos are smaller than the network's input of "
            f"{sizes.input_size} px and are enlarged; a smaller input may do as well, and is faster.",
        )


def _few(report: CheckReport) -> Iterator[Finding]:
    if text := few_photos(report.class_counts):
        yield Finding(
            "few_photos",
            f"{text}. Train with --recipe {RECIPE}, and judge the accuracy by its interval: each photo that measures "
            "counts for many.",
        )


def _equation(group: Duplicates) -> str:
    return (" = " if group.similarity == 1 else " ≈ ").join(group.paths)


def _pictures(count: int) -> str:
    return _counted(count, "picture") + (" is there" if count == 1 else " are there")


def _photos(count: int) -> str:
    return _counted(count, "photo")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _singular(text: str) -> str:
    return text.replace("are ", "is ", 1).replace("show ", "shows ", 1)


def _count_table(report: CheckReport) -> list[str]:
    names = list(report.counts)
    first = max([len("class"), len("total"), *map(len, report.labels)])
    heads = [*names, *(["total"] if len(names) > 1 else [])]

    def row(label: str, numbers: Sequence[int]) -> str:
        numbers = [*numbers, sum(numbers)] if len(names) > 1 else numbers
        return f"{label:<{first}}" + "".join(f"{number:>8}" for number in numbers)

    lines = [f"{'class':<{first}}" + "".join(f"{head:>8}" for head in heads)]
    lines += [row(label, [report.counts[name][label] for name in names]) for label in report.labels]
    return [*lines, row("total", [sum(report.counts[name].values()) for name in names])]

"""Describes the findings of a check in sentences with counts and examples, the most harmful first."""

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
    "blank": "are blank",
    "dark": "are too dark",
    "bright": "are overexposed",
    "blurred": "are blurred",
    "tiny": "are less than half as large as the network's input",
}


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        kind: Identifier: ``"unreadable"``, ``"contradictions"``, …
        text: Sentence with the count and advice.
        examples: All cases, a line each, the worst first; may be empty.
    """

    kind: str
    text: str
    examples: tuple[str, ...] = ()


def findings(report: CheckReport) -> list[Finding]:
    """Return the findings of a report, the most harmful first."""
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
    """Format a report for the terminal."""
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
        lines += ["", f"Label errors were not checked: {report.suspects_skipped.rstrip('.')}."]
    lines += ["", f"Not ready to train: {report.stops}" if report.stops else "Ready to train."]
    return "\n".join(lines)


def summary(report: CheckReport) -> str:
    """Return what the source contains, in one line."""
    several = " (multi-label)" if report.multi_label else ""
    return f"{_photos(report.photos)} in {len(report.labels)} classes{several}, {report.source} ({report.kind})"


def _unreadable(report: CheckReport) -> Iterator[Finding]:
    bad = report.unreadable
    if bad:
        total = report.photos + len(bad)
        yield Finding(
            "unreadable",
            f"{len(bad)} of {total} files can't be read and will be left out.",
            tuple(f"{path}: {reason}" for path, reason in bad),
        )


def _contradictions(report: CheckReport) -> Iterator[Finding]:
    found = [group for group in (*report.duplicates, *report.near_duplicates) if group.contradict]
    if found:
        yield Finding(
            "contradictions",
            f"{_counted(len(found), 'picture')} in more than one class. Keep each in its right class only.",
            tuple(_equation(group) for group in found),
        )


def _across_splits(report: CheckReport) -> Iterator[Finding]:
    found = [group for group in (*report.duplicates, *report.near_duplicates) if group.leak and not group.contradict]
    if found:
        yield Finding(
            "duplicates_across_splits",
            f"{_counted(len(found), 'picture')} (identical or nearly so) in more than one split, so accuracy is "
            "measured on training data. Keep one copy of each.",
            tuple(_equation(group) for group in found),
        )
    if report.leaks:
        by = Counter(leak.known_by for leak in report.leaks)
        photos = sum(len(leak.paths) for leak in report.leaks)
        kinds = ", ".join(f"{count} by {known_by}" for known_by, count in by.most_common())
        if report.given_split:
            advice = "Keep each session in one split."
        elif "EXIF time" in by:
            advice = "Train with --set data.group=exif_time."
        else:
            advice = "Set data.group to a regular expression that matches the session in the path."
        yield Finding(
            "sessions_across_splits",
            f"{_counted(len(report.leaks), 'capture session')} with {_photos(photos)} in more than one split "
            f"({kinds}), so accuracy will look better than it is. {advice}",
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
            f"{_photos(len(report.suspects))} may have a wrong label. Review them, the most likely errors first.",
            tuple(
                f"{suspect.path}: {suspect.given} ({suspect.given_likelihood:.0%}) or {suspect.suggested} "
                f"({suspect.suggested_likelihood:.0%})?"
                for suspect in report.suspects
            ),
        )


def _within_splits(report: CheckReport) -> Iterator[Finding]:
    for kind, groups, text in (
        ("duplicates", report.duplicates, "stored more than once (identical files). One copy is enough."),
        ("near_duplicates", report.near_duplicates, "stored more than once (near-duplicates). Copies add little."),
    ):
        found = [group for group in groups if not group.leak and not group.contradict]
        if found:
            yield Finding(kind, f"{_counted(len(found), 'picture')} {text}", tuple(_equation(group) for group in found))


def _faults(report: CheckReport) -> Iterator[Finding]:
    for kind in FAULTS:
        found = [fault for fault in report.faults if fault.kind == kind]
        if found:
            unit = " px" if kind == "tiny" else ""
            text = _FAULT_TEXTS[kind] if len(found) > 1 else _singular(_FAULT_TEXTS[kind])
            yield Finding(
                kind,
                f"{_photos(len(found))} {text}. Remove those that you could not classify yourself.",
                tuple(f"{fault.path} ({fault.value:g}{unit})" for fault in found),
            )


def _balance(report: CheckReport) -> Iterator[Finding]:
    counts = report.class_counts
    if report.imbalance > _IMBALANCE:
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        yield Finding(
            "imbalance",
            f"{most} has {report.imbalance:.1f} times as many photos as {least} ({counts[most]} and {counts[least]}); "
            f"add photos of {least}, or watch its recall in the report.",
        )
    sizes = report.sizes
    if sizes and sizes.smaller_than_input > report.photos / 2:
        yield Finding(
            "smaller_than_input",
            f"{sizes.smaller_than_input} of {report.photos} photos are smaller than the network's input "
            f"({sizes.input_size} px) and are enlarged. A smaller model.input_size is faster and may be as accurate.",
        )


def _few(report: CheckReport) -> Iterator[Finding]:
    if text := few_photos(report.class_counts):
        yield Finding(
            "few_photos",
            f"{text}. Train with --recipe {RECIPE}. Few test photos make the accuracy uncertain; read its "
            "confidence interval.",
        )


def _equation(group: Duplicates) -> str:
    return (" = " if group.similarity == 1 else " ≈ ").join(group.paths)


def _photos(count: int) -> str:
    return _counted(count, "photo")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _singular(text: str) -> str:
    return text.replace("are ", "is ", 1)


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

"""Renders ``report.html``, the self-contained page about a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainer.evaluation.metrics import agreement, changed_answers, right_answers
from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.evaluation.reliability import calibration_error, reliability
from trainer.evaluation.unknown import unknown_shares
from trainer.reports.figures.precision_recall import precision_recall_svg
from trainer.reports.figures.scores import reliability_svg, robustness_svg
from trainer.reports.figures.svg import confusion_svg, curve_svg, inline_svg
from trainer.reports.rendering import page_template, picture_uri
from trainer.reports.report_content import ReportContent
from trainer.reports.texts import (
    KIND_NAMES,
    SPLIT_NAMES,
    interval_text,
    number_text,
    percent,
    photos_text,
    points,
    signed_points,
    size_text,
)
from trainer.types import MATRIX_CLASSES, Evaluation, Robustness

if TYPE_CHECKING:
    from trainer.evaluation.reliability import ReliabilityBin

_THUMBNAIL = 160  # pixels, the longer side
_QUANTITIES: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")


def render_page(content: ReportContent) -> str:
    """Render the page: styles, figures and thumbnails are inside, it fetches nothing and has no script."""
    main = content.evaluations[content.main_kind][content.main_split]
    beside = content.evaluations.get("fp32", {}).get(content.main_split) if content.main_kind == "int8" else None
    quantity = "frequency" if isinstance(main, MultiLabelEvaluation) else "accuracy"
    shared = {
        "content": content,
        "most_classes": MATRIX_CLASSES,
        "kind_names": KIND_NAMES,
        "split_names": SPLIT_NAMES,
        "main": main,
        "main_name": KIND_NAMES[content.main_kind],
        "split_name": SPLIT_NAMES.get(main.split, main.split),
        "headline": headline(content),
        "rows": _comparison_rows(content),
        "decided": _decided(content),
        "changed": changed_answers(beside, main) if beside else None,
        "curves": [(q, inline_svg(curve_svg(content.history, q))) for q in _QUANTITIES] if content.history else [],
        "classes": _class_rows(main, beside),
        "mistakes": [(mistake, picture_uri(mistake.thumbnail, _THUMBNAIL)) for mistake in content.mistakes],
        "kernels": [(kind, _measured(content.evaluations[kind], content.main_split).kernels) for kind in content.kinds],
        "settings": _flattened(content.recipe),
        "file": content.files.get(content.main_kind),
        "baseline": content.files.get("fp32") if content.main_kind == "int8" else None,
        "reliability": inline_svg(reliability_svg(_reliability(content), quantity)),
    }
    if isinstance(main, MultiLabelEvaluation):
        curves = inline_svg(precision_recall_svg(main))
        wrong = (main.by_picture(main.labels) != main.by_picture(main.predicted)).any(axis=1)
        return page_template("multi_label.html.j2").render(
            **shared, quality_curves=curves, matrix_width=_css_width(curves), wrong=int(wrong.sum())
        )
    matrix = confusion_svg(main) if len(content.labels) <= MATRIX_CLASSES else ""
    return page_template("report.html.j2").render(
        **shared,
        score_rows=_score_rows(content),
        robustness=inline_svg(robustness_svg(content.robustness)) if content.robustness else "",
        worse_pictures=worse_pictures(content.robustness),
        confusions=frequent_confusions(main),
        confusion=inline_svg(matrix),
        matrix_width=_css_width(matrix) if matrix else 0,
        wrong=sum(t != a for t, a in zip(main.labels, main.predicted, strict=True)),
    )


def headline(content: ReportContent) -> str:
    """Return the result in one sentence."""
    kind, split = content.main_kind, content.main_split
    main = content.evaluations[kind][split]
    fp32 = content.evaluations.get("fp32", {}).get(split)
    pictures = photos_text(main.pictures, SPLIT_NAMES.get(split, split))
    if kind != "int8" or fp32 is None:
        return f"{KIND_NAMES[kind]} accuracy: {percent(main.accuracy)} on {pictures}."
    figures = f"{percent(main.accuracy)} (FP32 {percent(fp32.accuracy)}) on {pictures}"
    if {"fp32", "int8"} <= set(content.files):
        share = content.files["int8"].size_bytes / content.files["fp32"].size_bytes
        figures += f", at {100 * share:.0f}% of the size"
    if content.verdict is None:
        return f"INT8 accuracy: {figures}."
    return f"INT8 {'passes' if content.verdict.passed else 'fails'} the accuracy gate: {figures}."


def _decided(content: ReportContent) -> str:
    """Return the figures behind the gate's verdict."""
    if content.verdict is None:
        return ""
    gate = content.recipe.get("gate", {})
    drop = content.verdict.drop
    text = f"accuracy {'drop' if drop >= 0 else 'gain'} {points(abs(drop))}"
    if "max_drop" in gate:
        text += f" ({'limit' if drop >= 0 else 'drop limit'} {gate['max_drop']:g})"
    text += f", agreement {content.verdict.agreement:.1f}%"
    if "min_agreement" in gate:
        text += f" (minimum {gate['min_agreement']:g}%)"
    val = content.evaluations.get("int8", {}).get("val")
    return f"Gate decided on {f'{val.pictures:,} ' if val else ''}validation photos: {text}."


class Row(NamedTuple):
    """Row of a table of FP32 and INT8; each figure is a text and its small print, which may be empty."""

    group: str
    name: str
    figures: Mapping[str, tuple[str, str]]
    change: tuple[str, str] = ("", "")


def _comparison_rows(content: ReportContent) -> list[Row]:
    rows = [row for split in content.splits for row in _accuracy_rows(content, split)]
    files = {kind: content.files[kind] for kind in content.kinds if kind in content.files}
    if files:
        share = f"{100 * files['int8'].size_bytes / files['fp32'].size_bytes:.0f}%" if len(files) == 2 else ""
        sizes = {kind: (size_text(facts.size_bytes), "") for kind, facts in files.items()}
        rows.append(Row("Model file", "Size", sizes, (share, "")))
    return rows + _speed_rows(content)


def _accuracy_rows(content: ReportContent, split: str) -> list[Row]:
    here = {kind: content.evaluations[kind][split] for kind in content.kinds if split in content.evaluations[kind]}
    first, quality = next(iter(here.values())), {kind: content.quality[kind].get(split) for kind in here}
    count, pictures = first.count, first.pictures
    name = SPLIT_NAMES.get(split, split)
    group = f"{name[:1].upper()}{name[1:]}, {photos_text(pictures)}"

    def interval(kind: str, of: str) -> str:
        # Multi-label predictions on one picture depend on each other, so the interval would be too narrow.
        found = quality[kind]
        return interval_text(getattr(found, f"{of}_interval")) if found else ""

    accuracies = {kind: (percent(one.accuracy), interval(kind, "accuracy")) for kind, one in here.items()}
    macro_f1 = {kind: (percent(one.macro_f1), interval(kind, "macro_f1")) for kind, one in here.items()}
    of_labels = _multi_label_rows(group, here)
    if len(here) == 1:
        return [Row(group, "Accuracy", accuracies), Row(group, "Macro F1", macro_f1), *of_labels]
    difference = 100 * (right_answers(here["int8"]) - right_answers(here["fp32"])) / count
    equal = f"{agreement(here['fp32'], here['int8']):.1f}%"
    return [
        Row(group, "Accuracy", accuracies, (signed_points(difference), "")),
        Row(group, "Macro F1", macro_f1),
        *of_labels,
        Row(group, "Agreement with FP32", {"int8": (equal, "")}),
    ]


def _multi_label_rows(group: str, here: Mapping[str, Evaluation]) -> list[Row]:
    several = {kind: one for kind, one in here.items() if isinstance(one, MultiLabelEvaluation)}
    if not several:
        return []
    precision = {kind: one.mean_average_precision for kind, one in several.items()}
    return [
        Row(group, "mAP", {kind: ("–" if mean is None else percent(mean), "") for kind, mean in precision.items()}),
        Row(group, "Subset accuracy", {kind: (percent(one.subset_accuracy), "") for kind, one in several.items()}),
        Row(
            group,
            "Expected calibration error",
            {kind: (percent(calibration_error(one)), "") for kind, one in several.items()},
        ),
    ]


def _score_rows(content: ReportContent) -> list[Row]:
    """Return the rows of further metrics and of calibration, on the split that the page is about."""
    split = content.main_split
    here = {kind: splits[split] for kind, splits in content.quality.items() if split in splits}
    k = next(iter(here.values())).top_k
    thresholds = {kind: threshold for kind, threshold in content.unknown.items() if kind in here}
    shares = {kind: unknown_shares(content.evaluations[kind][split], least) for kind, least in thresholds.items()}
    errors = {
        kind: (percent(q.calibration_error), interval_text(q.calibration_error_interval)) for kind, q in here.items()
    }
    briers = {kind: (f"{q.brier:.3f}", "") for kind, q in here.items() if q.brier is not None}
    certainties = {kind: (f"{least.certainty:.3f}", "") for kind, least in thresholds.items()}
    of_correct, of_wrong = (
        {kind: (percent(share), "") for kind, pair in shares.items() if (share := pair[i]) is not None} for i in (0, 1)
    )
    top_k = {kind: (percent(q.top_k_accuracy), "") for kind, q in here.items() if q.top_k_accuracy is not None}
    calibration, unknown, further = "Calibration", "Unknown detection", "Further metrics"
    rows = [
        Row(calibration, "Expected calibration error", errors),
        Row(calibration, "Brier score", briers),
        Row(unknown, "Certainty threshold", certainties),
        Row(unknown, "Correct predictions below it", of_correct),
        Row(unknown, "Wrong predictions below it", of_wrong),
        Row(further, "Weighted F1", {kind: (percent(q.weighted_f1), "") for kind, q in here.items()}),
        Row(further, "Balanced accuracy", {kind: (percent(q.balanced_accuracy), "") for kind, q in here.items()}),
        Row(further, f"Top-{k} accuracy", top_k),
    ]
    return [row for row in rows if row.figures]


def worse_pictures(robustness: Mapping[str, Sequence[Robustness]]) -> list[tuple[str, str, dict[str, str]]]:
    """Return kind, amount and accuracy by model of each corruption."""
    by_kind: dict[tuple[str, str], dict[str, str]] = {}
    for model, measured in robustness.items():
        for one in measured:
            by_kind.setdefault((one.kind, one.amount), {})[model] = percent(one.accuracy)
    return [(kind, amount, accuracies) for (kind, amount), accuracies in by_kind.items()]


def _speed_rows(content: ReportContent) -> list[Row]:
    group = "Speed on the training machine"
    if not (content.speed and content.speed.models):
        here = {kind: _measured(content.evaluations[kind], content.main_split) for kind in content.kinds}
        latency = {kind: (f"{number_text(evaluation.latency_ms)} ms", "") for kind, evaluation in here.items()}
        return [Row(group, "Latency during evaluation, median", latency)]
    models = {kind: content.speed.models[kind] for kind in content.kinds if kind in content.speed.models}
    ratio, interval = content.speed.ratio, content.speed.ratio_interval
    times = f"×{ratio:.2f}" if ratio else ""
    between = f"{interval[0]:.2f}–{interval[1]:.2f}" if ratio and interval else ""
    inference = {kind: (f"{number_text(speed.fps_inference)} FPS", "") for kind, speed in models.items()}
    pipeline = {kind: (f"{number_text(speed.fps_pipeline)} FPS", "") for kind, speed in models.items()}
    latency = {kind: (f"{number_text(speed.p50_ms)} ms", "") for kind, speed in models.items()}
    return [
        Row(group, "Throughput, inference only", inference, (times, between)),
        Row(group, "Throughput, frame to prediction", pipeline),
        Row(group, "Latency, median", latency),
    ]


def _measured(splits: Mapping[str, Evaluation], split: str) -> Evaluation:
    """Return a model's evaluation on the page's split, or on another split if it has none."""
    return splits.get(split) or next(iter(splits.values()))


def _reliability(content: ReportContent) -> dict[str, tuple[ReliabilityBin, ...]]:
    """Return the reliability bins of each model on the split that the page is about."""
    split = content.main_split
    return {kind: reliability(splits[split]) for kind, splits in content.evaluations.items() if split in splits}


def _css_width(svg: str) -> int:
    """Return the width of a Matplotlib SVG in CSS pixels."""
    match = re.search(r'width="([\d.]+)pt"', svg)
    assert match, "Matplotlib's SVG states its width in points"
    return round(float(match[1]) * 96 / 72)


def _class_rows(main: Evaluation, beside: Evaluation | None) -> list[dict[str, Any]]:
    """Return a row for each class, lowest F1 first, classes without support last."""
    rows = [
        {"metrics": metrics, "beside_f1": beside.classes[index].f1 if beside else None}
        for index, metrics in enumerate(main.classes)
    ]
    return sorted(rows, key=lambda row: (not row["metrics"].support, row["metrics"].f1))


def frequent_confusions(main: Evaluation, limit: int = 5) -> list[tuple[str, str, int, int]]:
    """Return the most frequent confusions: true class, predicted class, count, support."""
    mistakes = [(-count, true, said) for (true, said), count in main.confusion.items() if true != said]
    classes = main.classes
    return [
        (classes[true].label, classes[said].label, -count, classes[true].support)
        for count, true, said in sorted(mistakes)[:limit]
    ]


def _flattened(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the tables of a recipe with their entries; top-level entries come first, under an empty name."""
    top = [(name, value) for name, value in settings.items() if not isinstance(value, Mapping)]
    tables = [(name, list(value.items())) for name, value in settings.items() if isinstance(value, Mapping)]
    return ([("", top)] if top else []) + tables

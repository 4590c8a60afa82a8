"""Makes ``report.html``: one page that a person likes to read, complete in itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainer.evaluation.metrics import agreement, changed_answers, right_answers
from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.evaluation.reliability import calibration_error, reliability
from trainer.evaluation.unknown import unknown_shares
from trainer.reports.figures.scores import reliability_svg, robustness_svg
from trainer.reports.figures.svg import confusion_svg, curve_svg, inline_svg
from trainer.reports.multi_label_page import multi_label_parts
from trainer.reports.report_content import Mistake, ReportContent
from trainer.reports.texts import (
    KIND_NAMES,
    SPLIT_NAMES,
    duration_text,
    interval_text,
    number_text,
    percent,
    photos_text,
    points,
    setting_text,
    signed_points,
    size_text,
)
from trainer.types import MATRIX_CLASSES, Evaluation, Robustness

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Template
    from numpy.typing import NDArray

    from trainer.evaluation.reliability import ReliabilityBin

_QUANTITIES: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")


def render_page(content: ReportContent) -> str:
    """The whole page: styles, figures and thumbnails inside, nothing fetched, no script."""
    main = content.evaluations[content.main_kind][content.main_split]
    beside = content.evaluations.get("fp32", {}).get(content.main_split) if content.main_kind == "int8" else None
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
        "mistakes": [(mistake, thumbnail_uri(mistake)) for mistake in content.mistakes],
        "kernels": [(kind, _measured(content.evaluations[kind], content.main_split).kernels) for kind in content.kinds],
        "settings": _flattened(content.recipe),
        "file": content.files.get(content.main_kind),
        "baseline": content.files.get("fp32") if content.main_kind == "int8" else None,
        "reliability": inline_svg(reliability_svg(_reliability(content))),
    }
    if isinstance(main, MultiLabelEvaluation):
        theirs = beside if isinstance(beside, MultiLabelEvaluation) else None
        parts = multi_label_parts(main, theirs)
        return page_template("multi_label.html.j2").render(
            **shared, **parts, matrix_width=_css_width(parts["quality_curves"])
        )
    matrix = confusion_svg(main) if len(content.labels) <= MATRIX_CLASSES else ""
    return page_template("report.html.j2").render(
        **shared,
        score_rows=_score_rows(content),
        robustness=inline_svg(robustness_svg(content.robustness)) if content.robustness else "",
        worse_pictures=worse_pictures(content.robustness),
        classes=_class_rows(main, beside)[:MATRIX_CLASSES],
        confusions=frequent_confusions(main),
        confusion=inline_svg(matrix),
        matrix_width=_css_width(matrix) if matrix else 0,
        wrong=sum(t != a for t, a in zip(main.labels, main.predicted, strict=True)),
    )


def page_template(name: str) -> Template:
    """A page of the trainer's, which escapes what is set into it and knows the number formats of this file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,  # labels and paths are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        signed=signed_points,
        size=size_text,
        duration=duration_text,
        number=number_text,
        setting=setting_text,
    )
    return environment.get_template(name)


def headline(content: ReportContent) -> str:
    """The result in one or two sentences."""
    kind, split = content.main_kind, content.main_split
    main = content.evaluations[kind][split]
    fp32 = content.evaluations.get("fp32", {}).get(split)
    pictures = photos_text(main.pictures, SPLIT_NAMES.get(split, split))
    if kind != "int8" or fp32 is None:
        return f"{KIND_NAMES[kind]} gets {percent(main.accuracy)} of {pictures} right."
    figures = f"{percent(main.accuracy)} against FP32’s {percent(fp32.accuracy)} on {pictures}"
    if {"fp32", "int8"} <= set(content.files):
        share = content.files["int8"].size_bytes / content.files["fp32"].size_bytes
        figures += f", in a file {100 * share:.0f}% of FP32’s size"
    if content.verdict is None:
        return f"INT8 reaches {figures}."
    if content.verdict.passed:
        return f"INT8 keeps the promise: {figures}."
    return f"INT8 breaks the promise: {figures}."


def _decided(content: ReportContent) -> str:
    """What the gate's verdict rests on."""
    if content.verdict is None:
        return ""
    gate = content.recipe.get("gate", {})
    drop = content.verdict.drop
    text = f"{points(abs(drop))} {'lost' if drop >= 0 else 'gained'}"
    if "max_drop" in gate:
        text += f" ({gate['max_drop']:g} may be lost)"
    text += f", {content.verdict.agreement:.1f}% of the answers equal"
    if "min_agreement" in gate:
        text += f" (at least {gate['min_agreement']:g}% asked for)"
    val = content.evaluations.get("int8", {}).get("val")
    where = f"the {val.pictures:,} validation photos" if val else "the validation photos"
    return f"Decided on {where}: {text}."


class Row(NamedTuple):
    """A row of FP32 beside INT8. A figure has small print under it, or none."""

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
        rows.append(Row("The file", "Size", sizes, (share, "")))
    return rows + _speed_rows(content)


def _accuracy_rows(content: ReportContent, split: str) -> list[Row]:
    here = {kind: content.evaluations[kind][split] for kind in content.kinds if split in content.evaluations[kind]}
    first, quality = next(iter(here.values())), {kind: content.quality[kind].get(split) for kind in here}
    count, pictures = first.count, first.pictures
    name = SPLIT_NAMES.get(split, split)
    group = f"{name[:1].upper()}{name[1:]}, {photos_text(pictures)}"

    def interval(kind: str, of: str) -> str:
        # The answers about one picture hang together: as an interval of several labels this would be too narrow.
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
        Row(group, "Same answer as FP32", {"int8": (equal, "")}),
    ]


def _multi_label_rows(group: str, here: Mapping[str, Evaluation]) -> list[Row]:
    several = {kind: one for kind, one in here.items() if isinstance(one, MultiLabelEvaluation)}
    if not several:
        return []
    precision = {kind: one.mean_average_precision for kind, one in several.items()}
    return [
        Row(group, "mAP", {kind: ("–" if mean is None else percent(mean), "") for kind, mean in precision.items()}),
        Row(group, "All classes right", {kind: (percent(one.subset_accuracy), "") for kind, one in several.items()}),
        Row(group, "Calibration error", {kind: (percent(calibration_error(one)), "") for kind, one in several.items()}),
    ]


def _score_rows(content: ReportContent) -> list[Row]:
    """What more there is to say of the split that the page is about, and what its scores are worth."""
    split = content.main_split
    here = {kind: splits[split] for kind, splits in content.quality.items() if split in splits}
    k = next(iter(here.values())).top_k
    answers, scores = "Answers", "Scores"
    rows = [
        Row(answers, "Weighted F1", {kind: (percent(q.weighted_f1), "") for kind, q in here.items()}),
        Row(answers, "Balanced accuracy", {kind: (percent(q.balanced_accuracy), "") for kind, q in here.items()}),
        Row(
            answers,
            f"Right class among the best {k}",
            {kind: (percent(q.top_k_accuracy), "") for kind, q in here.items() if q.top_k_accuracy is not None},
        ),
        Row(
            scores,
            "Calibration error",
            {
                kind: (percent(q.calibration_error), interval_text(q.calibration_error_interval))
                for kind, q in here.items()
            },
        ),
        Row(scores, "Brier score", {kind: (f"{q.brier:.3f}", "") for kind, q in here.items() if q.brier is not None}),
    ]
    thresholds = {kind: threshold for kind, threshold in content.unknown.items() if kind in here}
    shares = {kind: unknown_shares(content.evaluations[kind][split], least) for kind, least in thresholds.items()}
    unknown = "Unknown, on the device"
    rows += [
        Row(
            unknown,
            "Below a certainty of",
            {kind: (f"{least.certainty:.3f}", "") for kind, least in thresholds.items()},
        ),
        Row(unknown, "Of the right answers", {k: (percent(r), "") for k, (r, _) in shares.items() if r is not None}),
        Row(unknown, "Of the wrong answers", {k: (percent(w), "") for k, (_, w) in shares.items() if w is not None}),
    ]
    return [row for row in rows if row.figures]


def worse_pictures(robustness: Mapping[str, Sequence[Robustness]]) -> list[tuple[str, str, dict[str, str]]]:
    """A line for each corruption: its kind, how much, and the accuracy by model."""
    by_kind: dict[tuple[str, str], dict[str, str]] = {}
    for model, measured in robustness.items():
        for one in measured:
            by_kind.setdefault((one.kind, one.amount), {})[model] = percent(one.accuracy)
    return [(kind, amount, accuracies) for (kind, amount), accuracies in by_kind.items()]


def _speed_rows(content: ReportContent) -> list[Row]:
    group = "Speed on the machine that made this report"
    if not (content.speed and content.speed.models):
        here = {kind: _measured(content.evaluations[kind], content.main_split) for kind in content.kinds}
        latency = {kind: (f"{number_text(evaluation.latency_ms)} ms", "") for kind, evaluation in here.items()}
        return [Row(group, "Latency while measuring, median", latency)]
    models = {kind: content.speed.models[kind] for kind in content.kinds if kind in content.speed.models}
    ratio, interval = content.speed.ratio, content.speed.ratio_interval
    times = f"×{ratio:.2f}" if ratio else ""
    between = f"{interval[0]:.2f}–{interval[1]:.2f}" if ratio and interval else ""
    inference = {kind: (f"{number_text(speed.fps_inference)} FPS", "") for kind, speed in models.items()}
    pipeline = {kind: (f"{number_text(speed.fps_pipeline)} FPS", "") for kind, speed in models.items()}
    latency = {kind: (f"{number_text(speed.p50_ms)} ms", "") for kind, speed in models.items()}
    return [
        Row(group, "Inference alone", inference, (times, between)),
        Row(group, "Frame to answer", pipeline),
        Row(group, "Latency, median", latency),
    ]


def _measured(splits: Mapping[str, Evaluation], split: str) -> Evaluation:
    """A model's evaluation on the split that the page is about, or on another where it has none."""
    return splits.get(split) or next(iter(splits.values()))


def _reliability(content: ReportContent) -> dict[str, tuple[ReliabilityBin, ...]]:
    """Of each kind of model, on the split that the page is about."""
    split = content.main_split
    return {kind: reliability(splits[split]) for kind, splits in content.evaluations.items() if split in splits}


def _css_width(svg: str) -> int:
    """Width that Matplotlib gave an SVG (points), in CSS pixels."""
    match = re.search(r'width="([\d.]+)pt"', svg)
    assert match, "Matplotlib's SVG states its width in points"
    return round(float(match[1]) * 96 / 72)


def _class_rows(main: Evaluation, beside: Evaluation | None) -> list[dict[str, Any]]:
    """Per class, weakest first; classes without a picture in the split last."""
    rows = [
        {"metrics": metrics, "beside_f1": beside.classes[index].f1 if beside else None}
        for index, metrics in enumerate(main.classes)
    ]
    return sorted(rows, key=lambda row: (not row["metrics"].support, row["metrics"].f1))


def frequent_confusions(main: Evaluation, limit: int = 5) -> list[tuple[str, str, int, int]]:
    """The commonest mistakes: true class, answer, how often, out of how many."""
    mistakes = [(-count, true, answer) for (true, answer), count in main.confusion.items() if true != answer]
    classes = main.classes
    return [
        (classes[true].label, classes[answer].label, -count, classes[true].support)
        for count, true, answer in sorted(mistakes)[:limit]
    ]


def thumbnail_uri(mistake: Mistake, side: int = 160) -> str:
    """The picture as a ``data:`` address, no larger than ``side`` pixels."""
    return picture_uri(mistake.thumbnail, side)


def picture_uri(image: NDArray[np.uint8], side: int) -> str:
    """A picture, uint8 (H, W, 3) RGB, as a ``data:`` address, no larger than ``side`` pixels."""
    import cv2

    height, width = image.shape[:2]
    if max(height, width) > side:
        factor = side / max(height, width)
        shape = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # JPEG blurs what is only a few pixels wide, and saves nothing there.
    kind, options = ("png", []) if max(height, width) <= 64 else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    _, data = cv2.imencode(f".{kind}", bgr, options)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _flattened(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Tables of a recipe with their entries; entries of the top level under an empty name, first."""
    top = [(name, value) for name, value in settings.items() if not isinstance(value, Mapping)]
    tables = [(name, list(value.items())) for name, value in settings.items() if isinstance(value, Mapping)]
    return ([("", top)] if top else []) + tables

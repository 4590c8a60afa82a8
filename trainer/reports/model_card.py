"""Writes the model card: model details, data, evaluation, limitations and use, as Markdown.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.reports.rendering import page_template
from trainer.reports.report_page import frequent_confusions, worse_pictures
from trainer.reports.texts import KIND_NAMES, SPLIT_NAMES
from trainer.storage import write_bytes

if TYPE_CHECKING:
    from edge_runtime import ModelFile
    from trainer.reports.report_content import ReportContent

CARD_NAME = "model_card.md"
_FEW_PHOTOS = 30


def write_model_card(run_dir: Path, model: ModelFile, content: ReportContent | None) -> Path:
    """Write ``model_card.md`` into a run's folder.

    Args:
        run_dir: The run's folder.
        model: The INT8 model that ships.
        content: Contents of the run's report. None: the card tells what the model file itself says.
    """
    path = run_dir / CARD_NAME
    # A file name that is not UTF-8 contains lone surrogates, which can only be written escaped.
    write_bytes(path, model_card(model, content).encode("utf-8", errors="backslashreplace"))
    return path


def model_card(model: ModelFile, content: ReportContent | None = None) -> str:
    """Return a model card as Markdown.

    Args:
        model: The model.
        content: Contents of its run's report. None: the card tells what the model file itself says.
    """
    manifest = model.manifest
    text = page_template("model_card.md.j2").render(
        model=model,
        manifest=manifest,
        provenance=manifest.provenance if manifest else {},
        content=content,
        title=content.title if content else model.path.stem,
        kind_names=KIND_NAMES,
        split_names=SPLIT_NAMES,
        confusions=frequent_confusions(content.evaluations[content.main_kind][content.main_split]) if content else [],
        worse=worse_pictures(content.robustness) if content else [],
        few_photos=_few_photos(content),
    )
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


def _few_photos(content: ReportContent | None) -> list[str]:
    """Return the classes with too few test photos for reliable metrics."""
    if content is None:
        return []
    main = content.evaluations[content.main_kind][content.main_split]
    return [metrics.label for metrics in main.classes if metrics.support < _FEW_PHOTOS]

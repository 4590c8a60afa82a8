"""Writes a model card: what a model is, what it was made of, how good it is and where its limits are, as Markdown.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.reports.report_page import frequent_confusions, worse_pictures
from trainer.reports.texts import KIND_NAMES, SPLIT_NAMES, interval_text, number_text, percent, size_text
from trainer.storage import write_bytes

if TYPE_CHECKING:
    from edge_runtime import ModelFile
    from trainer.reports.report_content import ReportContent

CARD_NAME = "model_card.md"
_FEW_PHOTOS = 30


def write_model_card(run_dir: Path, model: ModelFile, content: ReportContent | None) -> Path:
    """Writes ``model_card.md`` beside a run's models.

    Args:
        run_dir: The run's folder.
        model: The INT8 file that ships.
        content: What the run's report tells; None: what the file says is all there is.
    """
    path = run_dir / CARD_NAME
    # A file name that is no UTF-8 reaches us with lone surrogates, which can only be written escaped.
    write_bytes(path, model_card(model, content).encode("utf-8", errors="backslashreplace"))
    return path


def model_card(model: ModelFile, content: ReportContent | None = None) -> str:
    """A model card.

    Args:
        model: The file that it is about, which tells of itself.
        content: What the report of its run tells; None: what the file says is all there is.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # nosec B701 # Markdown: labels and paths go through `plain`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=_plain, percent=percent, size=size_text, number=number_text, interval=interval_text, toml=_toml
    )
    manifest = model.manifest
    text = environment.get_template("model_card.md.j2").render(
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
    """Classes of which too few photos were measured to say much."""
    if content is None:
        return []
    main = content.evaluations[content.main_kind][content.main_split]
    return [metrics.label for metrics in main.classes if metrics.support < _FEW_PHOTOS]


def _plain(text: object) -> str:
    """A text on one line, with Markdown's signs taken as they are."""
    line = "".join(sign if sign.isprintable() else " " for sign in str(text))
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in line)


def _toml(settings: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(settings).strip()

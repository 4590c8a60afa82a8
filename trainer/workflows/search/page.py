"""Render ``search.html``: the trials of a search and Optuna's plots of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainer.reports.rendering import page_template
from trainer.workflows.search.outcome import Outcome, summary, trial_rows

if TYPE_CHECKING:
    import optuna

_COST_NAMES = {"latency_ms": "INT8 latency (ms)", "macs": "multiply-adds"}


def render_search_page(outcome: Outcome, study: optuna.Study, title: str) -> str:
    """Render the page as one self-contained HTML file without scripts.

    Args:
        outcome: Result of the search.
        study: Study whose trials Optuna plots.
        title: Title of the page.
    """
    head, *rows = trial_rows(outcome)
    return page_template("search.html.j2").render(
        content={"title": title},
        summary=summary(outcome),
        head=head,
        rows=rows,
        best=outcome.best,
        pictures=_pictures(outcome, study),
    )


def _pictures(outcome: Outcome, study: optuna.Study) -> list[tuple[str, str]]:
    """Return the caption and the ``data:`` URI of each plot."""
    from optuna.visualization import matplotlib as draw

    accuracy: dict[str, Any] = {"target_name": "validation accuracy"}
    if outcome.cost:
        accuracy["target"] = lambda trial: trial.values[0]
    pictures: list[tuple[str, Callable[[], Any]]] = [
        ("Optimization history", lambda: draw.plot_optimization_history(study, **accuracy)),
        ("Accuracy by setting", lambda: draw.plot_slice(study, **accuracy)),
    ]
    if outcome.cost:
        names = ["validation accuracy", _COST_NAMES[outcome.cost]]
        pictures.insert(0, ("Pareto front", lambda: draw.plot_pareto_front(study, target_names=names)))
    else:
        pictures.append(("Validation accuracy per epoch", lambda: draw.plot_intermediate_values(study)))
    complete = [trial for trial in outcome.trials if trial.state == "complete"]
    if len({trial.accuracy for trial in complete}) > 1:  # else no variance to explain
        pictures.append(("Hyperparameter importance", lambda: draw.plot_param_importances(study, **accuracy)))
    return [(caption, _data_uri(plot)) for caption, plot in pictures]


def _data_uri(plot: Callable[[], Any]) -> str:
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "edge", "font.size": 9.0}):
        plt.switch_backend("Agg")
        try:
            plot()
            content = io.BytesIO()
            plt.gcf().savefig(content, format="svg", bbox_inches="tight")
        finally:
            plt.close("all")
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()

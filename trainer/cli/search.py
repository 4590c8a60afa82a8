"""``edge-trainer search``: search for better settings."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe, add_track
from trainer.config.require import choices
from trainer.config.search import SearchConfig

_FINETUNE_EPOCHS = 4


def add(commands: Any) -> None:
    """Add the command."""
    examples = (
        "photos --to searches/first",
        "photos --to searches/fast --objective accuracy+latency --timeout 60",
        "photos --to searches/head --trials 50 --vary 'model.dropout={low=0,high=0.5}'",
    )
    summary = "Search for settings with a higher validation accuracy"
    search = add_command(commands, "search", summary, _search, examples)
    search.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    search.add_argument("--to", required=True, metavar="FOLDER", help="New folder, or an interrupted search")
    add_recipe(search, "model.backbone=mobilenet_v2_1.0")

    def add_setting(name: str, text: str, **options: Any) -> None:
        search.add_argument(f"--{name}", default=getattr(SearchConfig, name), help=text, **options)

    values = choices(SearchConfig)
    add_setting("trials", "Number of trials, of all machines together (default: %(default)s)", type=int, metavar="N")
    search.add_argument(
        "--timeout", type=float, default=0.0, metavar="MINUTES", help="Start no trial after this time; 0: no limit"
    )
    add_setting("sampler", "How settings are sampled (default: %(default)s)", choices=values["sampler"])
    add_setting("pruner", "What stops bad trials early (default: %(default)s)", choices=values["pruner"])
    add_setting("objective", "What is optimized (default: %(default)s)", choices=values["objective"])
    search.add_argument(
        "--finetune",
        nargs="?",
        type=int,
        const=_FINETUNE_EPOCHS,
        default=SearchConfig.finetune_epochs,
        metavar="EPOCHS",
        help="Train the whole network in each trial, not just the head (default without EPOCHS: %(const)s)",
    )
    search.add_argument(
        "--space",
        metavar="FILE",
        help='Search space as TOML, such as "head.learning_rate" = {low=1e-3, high=1e-2, log=true}',
    )
    search.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="Replace the default search space, such as width=[0.35,1.0] or model.dropout={low=0,high=0.5}; repeatable",
    )
    add_setting("storage", "Optuna database shared by several machines (default: a file in FOLDER)", metavar="URL")
    add_track(search)
    add_setting("study", "Name of the study in the database (default: name of PHOTOS)", metavar="NAME")


def _search(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.workflows.search.outcome import format_outcome
    from trainer.workflows.search.search import search_recipe
    from trainer.workflows.search.space import read_space

    config = SearchConfig(
        trials=arguments.trials,
        objective=arguments.objective,
        sampler=arguments.sampler,
        pruner=arguments.pruner,
        finetune_epochs=arguments.finetune,
        timeout_s=60 * arguments.timeout,
        storage=arguments.storage,
        study=arguments.study,
    )
    space = read_space(arguments.space, arguments.vary)
    recipe = read_recipe(arguments.recipe, arguments.set)
    if arguments.track:
        recipe = recipe.updated({"track": {"uri": arguments.track}})
    print(format_outcome(search_recipe(arguments.photos, arguments.to, recipe, config, space=space)))
    return 0

"""``edge-trainer search``: looks for better settings."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe, add_track
from trainer.config.search import OBJECTIVES, PRUNERS, SAMPLERS

_FINETUNE_EPOCHS = 4


def add(commands: Any) -> None:
    """Adds the command."""
    search = add_command(commands, "search", "look for better settings, by accuracy on the validation split", _search)
    search.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    search.add_argument("--to", required=True, metavar="FOLDER", help="a new folder, or a search that was stopped")
    add_recipe(search, "model.backbone=mobilenet_v2_1.0")
    search.add_argument("--trials", type=int, default=30, metavar="N", help="of all machines; default: %(default)s")
    search.add_argument("--timeout", type=float, default=0.0, metavar="MINUTES", help="begin no trial later")
    search.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="default: %(default)s")
    search.add_argument("--pruner", choices=PRUNERS, default="median", help="ends bad trials; default: %(default)s")
    search.add_argument("--objective", choices=OBJECTIVES, default="accuracy", help="default: %(default)s")
    search.add_argument(
        "--finetune",
        nargs="?",
        type=int,
        const=_FINETUNE_EPOCHS,
        default=0,
        metavar="EPOCHS",
        help="train the whole network in each trial, for so long (default: %(const)s), not the head alone",
    )
    search.add_argument(
        "--space", metavar="FILE", help='TOML, as "head.learning_rate" = {low=1e-3, high=1e-2, log=true}'
    )
    search.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="instead of the default space, as width=[0.35,1.0] or model.dropout={low=0,high=0.5}",
    )
    search.add_argument("--storage", default="", metavar="URL", help="database that machines share; default: in FOLDER")
    add_track(search)
    search.add_argument("--study", default="", metavar="NAME", help="in the database; default: the name of PHOTOS")


def _search(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.config.search import SearchConfig
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

"""Search space: settings of a recipe by name, each with the values to try."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config.recipe_file import parse_setting, parse_toml, read_text
from trainer.errors import RecipeError, SearchError
from trainer.training.networks.backbones import BACKBONES, get_backbone
from trainer.training.networks.contract import input_size

if TYPE_CHECKING:
    import optuna

    from trainer.config import Recipe

_LATER = (
    *("data", "distill", "prune", "sparsify", "cluster", "keep", "extend", "quantize", "qat", "gate"),
    *("scores", "robustness", "track"),
)
"""Tables of a recipe that don't affect a trial: it uses the same photos and ends before these stages."""

_HEADS = ("head", "model", "loss", "width")
"""Tables and names that affect the training of a head on cached features."""

_TOGETHER = (("loss.kind", "loss.alpha"), ("finetune.start_size", "finetune.train_size"))
"""Settings whose values must fit together."""


@dataclass(frozen=True)
class Choice:
    """A choice between values.

    Attributes:
        values: Numbers, strings or booleans.
    """

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Draw a value with the trial's sampler."""
        return trial.suggest_categorical(name, self.values)

    def grid(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the choices."""
        return value in self.values

    def to_toml(self) -> Any:
        """Return the TOML value."""
        return list(self.values)


@dataclass(frozen=True)
class Between:
    """A range of numbers.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        log: Whether to sample on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Draw a value with the trial's sampler."""
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def grid(self) -> tuple[float, ...]:
        """Return both ends and the middle."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        values = (self.low, middle, self.high)
        return tuple(dict.fromkeys(map(round, values))) if isinstance(self.low, int) else values

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def to_toml(self) -> Any:
        """Return the TOML value."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Space:
    """The settings that vary.

    Attributes:
        axes: Values to try, by setting name: ``section.key`` of a recipe, ``width`` (the width multiplier in
            ``model.backbone``) or ``augmentation`` (the strength of all of ``[augment]``: 1 as in the recipe, 0 none).
    """

    axes: dict[str, Choice | Between]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Space:
        """Build a space from ``name = [values]`` or ``name = {low, high, log}``; dotted names may be nested tables.

        Raises:
            SearchError: A value has neither form, or the space is empty.
        """
        axes = {name: _axis(name, value) for name, value in _flat(values).items()}
        if not axes:
            raise SearchError(
                "The search space is empty. "
                'Add a line such as "head.learning_rate" = { low = 1e-3, high = 1e-2, log = true }.'
            )
        return cls(axes)

    def to_dict(self) -> dict[str, Any]:
        """Return the dict that `from_dict` reads."""
        return {name: axis.to_toml() for name, axis in self.axes.items()}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the values of a trial."""
        return {name: axis.suggest(trial, name) for name, axis in self.axes.items()}

    def grid(self) -> dict[str, tuple[Any, ...]]:
        """Return the values of an exhaustive search, by setting name."""
        return {name: axis.grid() for name, axis in self.axes.items()}

    def own_values(self, recipe: Recipe) -> dict[str, Any] | None:
        """Return the recipe's own values; None if the space doesn't contain all of them."""
        values = {name: current_value(recipe, name) for name in self.axes}
        held = all(axis.holds(values[name]) for name, axis in self.axes.items())
        # Compare whole recipes: the name of an augmentation set doesn't show single settings that differ from it.
        same = held and _at_own_size(with_values(recipe, values)) == _at_own_size(recipe)
        return values if same else None

    def examples(self, recipe: Recipe) -> Iterator[Recipe]:
        """Yield the recipe with each grid value; settings that must fit together in all combinations."""
        grid, bound = self.grid(), {name for names in _TOGETHER for name in names}
        together = [[name for name in names if name in grid] for names in _TOGETHER]
        for names in (*together, *([name] for name in grid if name not in bound)):
            for values in product(*(grid[name] for name in names)):
                yield with_values(recipe, dict(zip(names, values, strict=True)))

    def check(self, recipe: Recipe, *, finetune: bool) -> None:
        """Check that trials can use every setting and value.

        Args:
            recipe: Recipe whose settings vary.
            finetune: Whether trials train the whole network; otherwise they train the head on cached features.

        Raises:
            SearchError: A setting doesn't affect such trials.
            RecipeError: A setting is unknown, or a value is out of its range.
        """
        for name in self.axes:
            section = name.partition(".")[0]
            if not finetune and section not in _HEADS:
                raise SearchError(
                    f"{name} does not affect heads trained on cached features; head.…, model.…, loss.… and width do. "
                    "Leave it out, or let trials train the whole network with --finetune."
                )
            if section in _LATER or ("." not in name and name not in _DERIVED):
                raise SearchError(
                    f"{name} does not affect the training of a network, so no trial depends on it. Leave it out, or "
                    "vary settings such as head.learning_rate, width or augmentation."
                )
        for example in self.examples(recipe):
            get_backbone(example.model.backbone)
            if not finetune and example.head.solver == "lbfgs":
                raise SearchError(
                    "Trials report each epoch, and head.solver lbfgs has none. "
                    "Use --set head.solver=adam, or let trials train the whole network with --finetune."
                )


def read_space(file: str | None, settings: Sequence[str]) -> dict[str, Any] | None:
    """Read a space from a TOML file, from ``name=values`` settings, or both; None if neither is given.

    Raises:
        RecipeError: The file can't be read, or a setting has another form.
    """
    if file is None and not settings:
        return None
    space = _flat(parse_toml(read_text(Path(file)), file)) if file else {}
    for setting in settings:
        space |= _flat(parse_setting(setting))
    return space


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with the values of a trial.

    Raises:
        RecipeError: A setting is unknown, or a value is out of its range.
    """
    tables: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name not in _DERIVED:
            section, _, key = name.partition(".")
            tables.setdefault(section, {})[key] = value
    recipe = recipe.updated(tables)  # all at once, because they must fit together
    for name in _DERIVED.keys() & values.keys():
        recipe = _DERIVED[name][1](recipe, values[name])
    return recipe


def until_trained(recipe: Recipe) -> Recipe:
    """Return the recipe with every setting that doesn't affect a trial at its default."""
    return replace(recipe, **{name: type(getattr(recipe, name))() for name in _LATER})


def current_value(recipe: Recipe, name: str) -> Any:
    """Return the value that a recipe has for a name in a space."""
    if name in _DERIVED:
        return _DERIVED[name][0](recipe)
    if name == "model.input_size":
        return input_size(recipe)
    section, _, key = name.partition(".")
    return getattr(getattr(recipe, section), key)


def networks_in(space: Space, recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the recipe with each network in a space."""
    grid = {name: values for name, values in space.grid().items() if name == "width" or name.startswith("model.")}
    grid.pop("model.dropout", None)
    return tuple(with_values(recipe, dict(zip(grid, values, strict=True))) for values in product(*grid.values()))


def default_space(recipe: Recipe, *, finetune: bool, has_weights: Callable[[Recipe], bool]) -> Space:
    """Return the default space around a recipe.

    Args:
        recipe: Recipe whose own values the space contains.
        finetune: Whether trials train the whole network.
        has_weights: Whether the initial weights of a recipe are available. Widths and input sizes without weights are
            left out.
    """
    name, stage = ("finetune", recipe.finetune) if finetune else ("head", recipe.head)
    axes: dict[str, Choice | Between] = {
        f"{name}.learning_rate": Between(stage.learning_rate / 10, stage.learning_rate * 10, log=True),
        f"{name}.batch_size": _around(stage.batch_size, (max(1, stage.batch_size // 2), 2 * stage.batch_size)),
        "model.dropout": _around(recipe.model.dropout, (0.0, 0.1, 0.2, 0.3, 0.5)),
    }
    if finetune:
        axes["finetune.label_smoothing"] = _around(recipe.finetune.label_smoothing, (0.0, 0.05, 0.1, 0.2))
        axes["augmentation"] = Choice((0.0, 0.5, 1.0, 1.5))
    own, width = input_size(recipe), current_value(recipe, "width")
    widths: list[float | None] = [
        w for w in _widths(recipe.model.backbone) if w == width or has_weights(_at_width(recipe, w))
    ]
    smaller = {max(32, round(own * share / 32) * 32) for share in (5 / 7, 6 / 7)} - {own}
    sizes = [
        size
        for size in sorted(smaller)
        if all(has_weights(with_values(_at_width(recipe, w), {"model.input_size": size})) for w in (widths or [None]))
    ]
    if len(widths) > 1:
        axes["width"] = Choice(tuple(widths))
    if sizes:
        axes["model.input_size"] = Choice((*sizes, own))
    return Space(axes)


def _around(own: Any, others: tuple[Any, ...]) -> Choice:
    return Choice(tuple(sorted({own, *others})))


def _axis(name: str, value: Any) -> Choice | Between:
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, (int, float, str)) for v in value):
        return Choice(tuple(value))
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if all(isinstance(end, (int, float)) for end in (low, high)) and low < high and (low > 0 or not log):
            both = int if isinstance(low, int) and isinstance(high, int) else float
            return Between(both(low), both(high), bool(log))
    raise SearchError(
        f"Cannot vary {name} over {value!r}. "
        "Give a list of values such as [16, 32], or a range such as { low = 1e-3, high = 1e-2, log = true }."
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables to dotted names; a table with ``low`` or ``high`` is a value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and "low" not in value and "high" not in value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _widths(backbone: str) -> dict[float, str]:
    """Return the backbones of a family by width multiplier; empty if the family has none."""
    family, _, last = backbone.rpartition("_")
    if not last.replace(".", "", 1).isdigit():
        return {}
    others = (name.rpartition("_") for name in BACKBONES)
    return {float(width): f"{stem}_{width}" for stem, _, width in others if stem == family}


def _width(recipe: Recipe) -> float | None:
    return next((w for w, name in _widths(recipe.model.backbone).items() if name == recipe.model.backbone), None)


def _at_width(recipe: Recipe, width: float | None) -> Recipe:
    if width is None:
        return recipe
    known = _widths(recipe.model.backbone)
    if width not in known:
        raise RecipeError(
            f"{recipe.model.backbone} has no width {width!r}; its widths are {', '.join(map(str, known)) or 'fixed'}. "
            "Choose one of them, or another model.backbone."
        )
    return recipe.updated({"model": {"backbone": known[width]}})


def _at_own_size(recipe: Recipe) -> Recipe:
    """Return the recipe with its input size made explicit."""
    return recipe.updated({"model": {"input_size": input_size(recipe)}})


_DERIVED: dict[str, tuple[Callable[[Recipe], Any], Callable[[Recipe, Any], Recipe]]] = {
    "width": (_width, _at_width),
    "augmentation": (lambda recipe: 1.0, lambda recipe, s: replace(recipe, augment=recipe.augment.at_strength(s))),
}
"""Names that stand for several settings: how to read the value from a recipe, and how to set it."""

"""What a search may vary: a recipe's settings by name, each with the values that it may take."""

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
"""Tables of a recipe that no trial depends on: its photos are the same, and it ends before these."""

_HEADS = ("head", "model", "loss", "width")
"""Tables and names that the head's training on cached features depends on."""

_TOGETHER = (("loss.kind", "loss.alpha"), ("finetune.start_size", "finetune.train_size"))
"""Settings whose values have to fit each other."""


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Attributes:
        values: Numbers, strings or truth values.
    """

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """The sampler's value."""
        return trial.suggest_categorical(name, self.values)

    def grid(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.values

    def to_toml(self) -> Any:
        """As a space's file holds it."""
        return list(self.values)


@dataclass(frozen=True)
class Between:
    """A number between two.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether each order of magnitude is as likely as the next.
    """

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """The sampler's value."""
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def grid(self) -> tuple[float, ...]:
        """Both ends and the middle."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        values = (self.low, middle, self.high)
        return tuple(dict.fromkeys(map(round, values))) if isinstance(self.low, int) else values

    def holds(self, value: Any) -> bool:
        """Whether a value lies between them."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def to_toml(self) -> Any:
        """As a space's file holds it."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Space:
    """The settings that vary.

    Attributes:
        axes: By name: ``section.key`` of a recipe, or one of those that stand for several settings: ``width`` (the
            width multiplier in ``model.backbone``) and ``augmentation`` (the strength of all of ``[augment]``; 1: as
            in the recipe, 0: none).
    """

    axes: dict[str, Choice | Between]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Space:
        """From a table of ``name = [values]`` or ``name = {low, high, log}``, names with dots nested or not.

        Raises:
            SearchError: Something is neither, or there is nothing.
        """
        axes = {name: _axis(name, value) for name, value in _flat(values).items()}
        if not axes:
            raise SearchError(
                "Expected a space with at least one setting to vary, got an empty one. "
                'Add a line such as "head.learning_rate" = { low = 1e-3, high = 1e-2, log = true }.'
            )
        return cls(axes)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes."""
        return {name: axis.to_toml() for name, axis in self.axes.items()}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """A trial's values."""
        return {name: axis.suggest(trial, name) for name, axis in self.axes.items()}

    def grid(self) -> dict[str, tuple[Any, ...]]:
        """The values of an exhaustive search."""
        return {name: axis.grid() for name, axis in self.axes.items()}

    def own_values(self, recipe: Recipe) -> dict[str, Any] | None:
        """The values that a recipe has itself; None where the space doesn't hold them all."""
        values = {name: current_value(recipe, name) for name in self.axes}
        held = all(axis.holds(values[name]) for name, axis in self.axes.items())
        # The name of a ready-made set doesn't tell what was changed in it.
        same = held and _at_own_size(with_values(recipe, values)) == _at_own_size(recipe)
        return values if same else None

    def examples(self, recipe: Recipe) -> Iterator[Recipe]:
        """The recipe with each value of a grid; where settings have to fit each other, with all their combinations."""
        grid, bound = self.grid(), {name for names in _TOGETHER for name in names}
        together = [[name for name in names if name in grid] for names in _TOGETHER]
        for names in (*together, *([name] for name in grid if name not in bound)):
            for values in product(*(grid[name] for name in names)):
                yield with_values(recipe, dict(zip(names, values, strict=True)))

    def check(self, recipe: Recipe, *, finetune: bool) -> None:
        """Raises an error for what a trial can't use.

        Args:
            recipe: Whose settings are varied.
            finetune: Whether trials train the whole network; else they train the head on cached features.

        Raises:
            SearchError: A setting that no such trial depends on.
            RecipeError: No setting of a recipe, or a value out of its range.
        """
        for name in self.axes:
            section = name.partition(".")[0]
            if not finetune and section not in _HEADS:
                raise SearchError(
                    f"Expected settings that the head's training on cached features depends on (head.…, model.…, "
                    f"loss.…, width), got {name}. Leave it out, or let trials train the whole network with --finetune."
                )
            if section in _LATER or ("." not in name and name not in _DERIVED):
                raise SearchError(
                    f"Expected settings that a network's training depends on (as head.learning_rate, width or "
                    f"augmentation), got {name}, on which no trial depends. Leave it out."
                )
        for example in self.examples(recipe):
            get_backbone(example.model.backbone)
            if not finetune and example.head.solver == "lbfgs":
                raise SearchError(
                    "Expected head.solver adam, whose epochs trials tell of, got lbfgs, which has none. "
                    "Use --set head.solver=adam, or let trials train the whole network with --finetune."
                )


def read_space(file: str | None, settings: Sequence[str]) -> dict[str, Any] | None:
    """A space from a TOML file, ``name=values`` each, or both; None where nothing is given.

    Raises:
        RecipeError: The file can't be read, or something isn't of that form.
    """
    if file is None and not settings:
        return None
    space = _flat(parse_toml(read_text(Path(file)), file)) if file else {}
    for setting in settings:
        space |= _flat(parse_setting(setting))
    return space


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A recipe with the values of a trial.

    Raises:
        RecipeError: No setting of a recipe, or a value out of its range.
    """
    tables: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name not in _DERIVED:
            section, _, key = name.partition(".")
            tables.setdefault(section, {})[key] = value
    recipe = recipe.updated(tables)  # at once, as they have to fit each other
    for name in _DERIVED.keys() & values.keys():
        recipe = _DERIVED[name][1](recipe, values[name])
    return recipe


def until_trained(recipe: Recipe) -> Recipe:
    """The settings that a trial depends on; the others have their defaults."""
    return replace(recipe, **{name: type(getattr(recipe, name))() for name in _LATER})


def current_value(recipe: Recipe, name: str) -> Any:
    """The value that a recipe has, by a name of a space."""
    if name in _DERIVED:
        return _DERIVED[name][0](recipe)
    if name == "model.input_size":
        return input_size(recipe)
    section, _, key = name.partition(".")
    return getattr(getattr(recipe, section), key)


def networks_in(space: Space, recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipe with each network that a space holds."""
    grid = {name: values for name, values in space.grid().items() if name == "width" or name.startswith("model.")}
    grid.pop("model.dropout", None)
    return tuple(with_values(recipe, dict(zip(grid, values, strict=True))) for values in product(*grid.values()))


def default_space(recipe: Recipe, *, finetune: bool, has_weights: Callable[[Recipe], bool]) -> Space:
    """What is worth varying around a recipe.

    Args:
        recipe: Its own values lie inside.
        finetune: Whether trials train the whole network.
        has_weights: Whether the weights that a recipe begins with can be had: another width or input size has others,
            and is left out where they can't.
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
        f"Expected {name} to be a list of values, as [16, 32], or {{ low = 1e-3, high = 1e-2, log = true }}, "
        f"got {value!r}."
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables by names with dots; a table with ``low`` is a value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and "low" not in value and "high" not in value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _widths(backbone: str) -> dict[float, str]:
    """The width multipliers of a backbone's family, by which its members are named; empty where it has none."""
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
            f"Expected width to be one of {', '.join(map(str, known)) or 'none'} for {recipe.model.backbone}, "
            f"got {width!r}. Choose one of them, or another model.backbone."
        )
    return recipe.updated({"model": {"backbone": known[width]}})


def _at_own_size(recipe: Recipe) -> Recipe:
    """With the input size named, which may be left to the backbone."""
    return recipe.updated({"model": {"input_size": input_size(recipe)}})


_DERIVED: dict[str, tuple[Callable[[Recipe], Any], Callable[[Recipe, Any], Recipe]]] = {
    "width": (_width, _at_width),
    "augmentation": (lambda recipe: 1.0, lambda recipe, s: replace(recipe, augment=recipe.augment.at_strength(s))),
}
"""Names that stand for several settings: what a recipe has, and a recipe with another value."""

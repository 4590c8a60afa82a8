from __future__ import annotations

import hypothesis.extra.numpy as drawn
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.compression.sparsity import layer_adaptive

LAYERS = st.dictionaries(
    st.sampled_from("abcd"),
    drawn.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 100, width=32), unique=True),
    min_size=1,
)


@given(LAYERS, st.floats(0, 0.99))
def test_the_layers_lose_that_share_together_and_none_loses_all(
    magnitudes: dict[str, NDArray[np.float32]], sparsity: float
) -> None:
    shares = layer_adaptive(magnitudes, sparsity)
    total = sum(values.size for values in magnitudes.values())
    gone = sum(shares[name] * values.size for name, values in magnitudes.items())

    assert all(share < 1 for share in shares.values())
    assert gone <= round(sparsity * total) + 1e-6
    # Equal scores go together or not at all; each layer's largest weight stays.
    ties = total - len({score for values in magnitudes.values() for score in scores_by_definition(values)})
    assert gone >= min(round(sparsity * total), total - len(magnitudes)) - ties - 1e-6


@given(LAYERS, st.floats(0, 0.99), st.integers(-8, 8))
def test_a_layer_of_larger_weights_all_in_all_loses_as_many(
    magnitudes: dict[str, NDArray[np.float32]], sparsity: float, exponent: int
) -> None:
    """A factor of a layer's weights plays no part, since batch normalization takes it away again."""
    scaled = {name: values * np.float32(2.0**exponent if name == "a" else 1) for name, values in magnitudes.items()}

    assert layer_adaptive(scaled, sparsity) == layer_adaptive(magnitudes, sparsity)


def test_a_layer_whose_weights_are_alike_loses_fewer_than_one_of_a_few_large_ones() -> None:
    alike, unequal = np.linspace(0.9, 1.1, 100, dtype=np.float32), np.geomspace(1e-3, 1, 100, dtype=np.float32)

    shares = layer_adaptive({"alike": alike, "unequal": unequal}, 0.5)

    assert shares["alike"] < 0.2 < 0.8 < shares["unequal"]


def scores_by_definition(magnitudes: NDArray[np.float32]) -> list[float]:
    """Equation 5 of the paper."""
    squares = np.sort(magnitudes.astype(np.float64)) ** 2
    return [square / rest if (rest := squares[place:].sum()) else 1.0 for place, square in enumerate(squares)]

"""What all tests share: the real photos and models where they are, two tiny models, and a cache of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# First of all: it sets what TensorFlow reads when it is first imported.
import trainer  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tiny import TinyModels

# The same examples in each run, as long as each takes: a shared machine is slow now and then.
settings.register_profile("edge", deadline=None, derandomize=True)
settings.load_profile("edge")

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches of the runtime's self-test and of the trainer's pixels lie in a folder of this session, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("EDGE_RUNTIME_INT8_KERNELS", raising=False)
        patch.delenv("PYTHONUNBUFFERED", raising=False)  # commands that tests start buffer their output, as everywhere
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos, models and a video."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_keras() -> Path:
    """A KERAS_HOME with ImageNet weights."""
    return _shared("keras")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """A small network that tells blue, green and red pictures apart, exported by the trainer in every kind."""
    from tests.support.tiny import make_models

    return make_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_fp32(tiny_models: TinyModels) -> Path:
    return tiny_models.fp32


@pytest.fixture(scope="session")
def tiny_int8(tiny_models: TinyModels) -> Path:
    return tiny_models.int8


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from this tree."""
    from tests.support.wheel import build_wheel

    return build_wheel(tmp_path_factory.mktemp("wheel"))


def _shared(name: str) -> Path:
    folder = _SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/{name}, which isn't here")
    return folder

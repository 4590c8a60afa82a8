"""Frames are saved by rule, whole or not at all, and never more than the quota allows."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Background, SavedFrames, SaveRules
from edge_runtime.sinks.pictures.store import MIB, PictureStore
from tests.support.results import CHANGED, ENTERED, GONE, LEFT, made_result

UNCERTAIN = SaveRules(score_below=0.6, interval_s=0)


def pictures(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


def index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def noise(seed: int = 0, shape: tuple[int, int] = (48, 64)) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


class TestRules:
    @pytest.mark.parametrize(
        ("rules", "scores", "events", "reason"),
        [
            ({"score_below": 0.6}, (0.59, 0.1), (), "score"),
            ({"score_below": 0.6}, (0.6, 0.1), (), None),
            ({"score_below": 0.6}, (), (), "score"),
            ({"margin_below": 0.2}, (0.5, 0.31), (), "margin"),
            ({"margin_below": 0.2}, (0.5, 0.25), (), None),
            ({"margin_below": 0.2}, (0.9,), (), None),
            ({"score_below": 0.3, "margin_below": 0.2}, (0.4, 0.35), (), "margin"),
            ({"kinds": ("entered",)}, (0.9, 0.1), (ENTERED, CHANGED), "entered"),
            ({"kinds": ("left",)}, (0.9, 0.1), (ENTERED, CHANGED), None),
            ({"kinds": ("left",), "score_below": 0.6}, (0.5, 0.1), (), "score"),
        ],
    )
    def test_say_which_frames(
        self,
        tmp_path: Path,
        rules: dict[str, Any],
        scores: tuple[float, ...],
        events: tuple[Any, ...],
        reason: str | None,
    ) -> None:
        result = made_result(*events, scores=scores)
        with SavedFrames(tmp_path, SaveRules(**rules), min_free_mib=0) as sink:
            assert sink.wants(result) == (reason is not None)
            assert sink.write(result)
        assert [entry["reason"] for entry in index(tmp_path)] == ([reason] if reason else [])
        assert len(pictures(tmp_path)) == (reason is not None)

    def test_look_at_all_scores_where_the_loop_gives_one_class_alone(self, tmp_path: Path) -> None:
        result = made_result(scores=(0.5,))
        scores = np.array([0.1, 0.5, 0.4], np.float32)
        close = replace(result, prediction=replace(result.prediction, scores=scores))
        with SavedFrames(tmp_path, SaveRules(margin_below=0.2), min_free_mib=0) as sink:
            assert not sink.wants(result)
            assert sink.wants(close)

    def test_at_most_one_frame_in_an_interval(self, tmp_path: Path) -> None:
        with SavedFrames(tmp_path, SaveRules(score_below=0.6, interval_s=2), min_free_mib=0) as sink:
            for at in (5.0, 5.5, 6.9, 7.0, 8.9, 9.5, 1.0, 1.5):  # at last a video that begins anew
                sink.write(made_result(scores=(0.5, 0.4), at=at))
        assert [round(entry["time"] - 1700000000.123, 3) for entry in index(tmp_path)] == [5.0, 7.0, 9.5, 1.0]

    @pytest.mark.parametrize(
        ("rules", "message"),
        [
            ({}, "Set score_below, margin_below or kinds"),
            ({"score_below": 1.2}, "score_below must be above 0 and at most 1, got 1.2"),
            ({"margin_below": 0}, "margin_below must be above 0"),
            ({"kinds": ("appeared",)}, "Unknown kind of event 'appeared'"),
            ({"score_below": 0.5, "interval_s": -1}, "interval_s must be 0 or more seconds"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, rules: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            SaveRules(**rules)


class TestPictures:
    def test_have_time_label_and_score_in_their_names_and_in_the_index(self, tmp_path: Path) -> None:
        with SavedFrames(tmp_path, UNCERTAIN, min_free_mib=0) as sink:
            sink.write(made_result(scores=(0.51234, 0.4), at=1.0))
            sink.write(made_result(scores=(), at=2.0))
        names = [
            "cat/20231114T221321.123400Z_cat_0.51.jpg",
            "unknown/20231114T221322.123400Z_unknown_0.00.jpg",
        ]
        assert pictures(tmp_path) == names
        assert index(tmp_path)[0] == {
            "file": names[0],
            "bytes": (tmp_path / names[0]).stat().st_size,
            "time": 1700000001.123,
            "label": "cat",
            "score": 0.5123,
            "reason": "score",
            "categories": [["cat", 0.5123], ["dog", 0.4]],
        }
        assert index(tmp_path)[1]["label"] is None

    def test_of_an_event_lie_with_its_class(self, tmp_path: Path) -> None:
        rules = SaveRules(kinds=("left", "changed"), interval_s=0)
        with SavedFrames(tmp_path, rules, min_free_mib=0) as sink:
            sink.write(made_result(LEFT, at=1.0))
            sink.write(made_result(GONE, at=2.0))
        assert [(entry["label"], Path(entry["file"]).parent.name) for entry in index(tmp_path)] == [
            ("dog", "dog"),
            (None, "unknown"),
        ]

    def test_are_the_whole_frames(self, tmp_path: Path) -> None:
        pixels = noise()
        with SavedFrames(tmp_path / "a/b", UNCERTAIN, format="png", min_free_mib=0) as sink:
            sink.write(made_result(scores=(0.5,), pixels=pixels))
        (path,) = (tmp_path / "a/b").glob("*/*.png")
        assert np.array_equal(cv2.imread(str(path)), pixels)

    @pytest.mark.parametrize(
        ("label", "folder"),
        [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "_"),
            ("", "_"),
            ("glass / white", "glass _ white"),
            (".hidden", "hidden"),
            ("бумага", "бумага"),
            ("紙" * 100, "紙" * 40),
            ("a\0b\n", "a_b_"),
        ],
    )
    def test_of_a_label_that_is_no_name_of_a_folder(self, tmp_path: Path, label: str, folder: str) -> None:
        with SavedFrames(tmp_path / "to", UNCERTAIN, min_free_mib=0) as sink:
            sink.write(made_result(scores=(0.5,), labels=(label,)))
        assert [path.parent.name for path in (tmp_path / "to").glob("*/*.jpg")] == [folder]
        assert [path.name for path in tmp_path.iterdir()] == ["to"]
        assert index(tmp_path / "to")[0]["label"] == label

    def test_are_saved_in_the_background_too(self, tmp_path: Path) -> None:
        with Background(SavedFrames(tmp_path, UNCERTAIN, min_free_mib=0), close_timeout_s=20) as sink:
            for at in range(5):
                sink.write(made_result(scores=(0.5 + 0.1 * (at % 2), 0.1), at=float(at), pixels=noise(at)))
        assert len(pictures(tmp_path)) == 3

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"format": "bmp"}, "Unknown picture format 'bmp'"),
            ({"quota_mib": 0}, "quota must be above 0 MiB"),
            ({"min_free_mib": -1}, "and -1"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(
        self, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            SavedFrames(tmp_path, UNCERTAIN, **options)


def store(folder: Path, *, quota: int = 1000, min_free: int = 0) -> PictureStore:
    return PictureStore(folder, quota_bytes=quota, min_free_bytes=min_free)


class TestQuota:
    def test_holds_for_frames(self, tmp_path: Path) -> None:
        with SavedFrames(tmp_path, UNCERTAIN, quota_mib=0.05, min_free_mib=0) as sink:
            for at in range(30):
                sink.write(made_result(scores=(0.5, 0.4), at=float(at), pixels=noise(at)))
        files = [tmp_path / name for name in pictures(tmp_path)]
        assert 0.03 * MIB < sum(path.stat().st_size for path in files) <= 0.05 * MIB
        assert files[-1].name.startswith("20231114T221349")  # the newest are there

    @settings(max_examples=60)
    @given(
        quota=st.integers(1, 300),
        steps=st.lists(
            st.one_of(st.integers(0, 200), st.sampled_from(["restart", "take away", "edit", "put"])), max_size=60
        ),
    )
    def test_holds_for_any_sequence_and_nobody_elses_file_is_touched(self, quota: int, steps: list[int | str]) -> None:
        folder = Path(tempfile.mkdtemp())
        pictures_, foreign = store(folder, quota=quota), {}
        mine: list[str] = []
        try:
            for number, step in enumerate(steps):
                name = f"cat/{number}.jpg"
                there = [path for path in mine if (folder / path).exists() and path not in foreign]
                if step == "restart":
                    pictures_.close()
                    pictures_ = store(folder, quota=quota)
                elif step == "take away" and there:
                    (folder / there[-1]).unlink()
                elif step == "edit" and there:
                    (folder / there[0]).write_bytes(b"e" * 999)
                    foreign[there[0]] = b"e" * 999
                elif step == "put":
                    (folder / "cat").mkdir(exist_ok=True)
                    (folder / name).write_bytes(b"f" * 100)
                    foreign[name] = b"f" * 100
                elif isinstance(step, int):
                    if step > quota:
                        with pytest.raises(OutputError, match="exceeds the quota of"):
                            pictures_.add(name, b"p" * step, {})
                        assert not (folder / name).exists()
                        continue
                    pictures_.add(name, b"p" * step, {"time": number})
                    mine.append(name)
                    assert (folder / name).read_bytes() == b"p" * step
                own = [path for path in mine if (folder / path).exists() and path not in foreign]
                assert sum((folder / path).stat().st_size for path in own) <= quota
                for path, content in foreign.items():
                    assert (folder / path).read_bytes() == content
                assert not (folder / ".part").exists()
        finally:
            pictures_.close()
            shutil.rmtree(folder)

    def test_the_oldest_go_first_also_after_a_restart(self, tmp_path: Path) -> None:
        for number in range(12):
            running = store(tmp_path)
            running.add(f"cat/{number:02}.jpg", b"p" * 100, {})
            running.close()
        assert pictures(tmp_path) == [f"cat/{number:02}.jpg" for number in range(2, 12)]

    def test_the_index_does_not_grow_for_ever(self, tmp_path: Path) -> None:
        running = store(tmp_path)
        for number in range(400):
            running.add(f"cat/{number}.jpg", b"p" * 100, {})
        running.close()
        assert len(pictures(tmp_path)) <= 10
        assert len(index(tmp_path)) < 150
        named = {entry["file"] for entry in index(tmp_path)}
        assert set(pictures(tmp_path)) <= named

    def test_an_index_that_is_damaged_or_names_other_places_does_no_harm(self, tmp_path: Path) -> None:
        precious = tmp_path / "precious.jpg"
        precious.write_bytes(b"p" * 100)
        folder = tmp_path / "to"
        folder.mkdir()
        lines = [
            '{"file":"../precious.jpg","bytes":100}',
            f'{{"file":"{precious}","bytes":100}}',
            '{"file":"cat/../../precious.jpg","bytes":100}',
            '{"file":["cat","1.jpg"],"bytes":100}',
            "[1, 2]",
            '{"file":"cat/\\u0000","bytes":1}',
            '{"file":"cat/1.jpg","by',
        ]
        (folder / "index.jsonl").write_text("\n".join(lines))
        running = store(folder)
        for number in range(30):
            running.add(f"cat/{number}.jpg", b"q" * 100, {})
        running.close()
        assert precious.read_bytes() == b"p" * 100
        assert len(pictures(folder)) >= 9


class TestDisk:
    def test_that_is_nearly_full_is_left_alone(self, tmp_path: Path) -> None:
        free = shutil.disk_usage(tmp_path).free
        running = store(tmp_path, min_free=free * 2)
        with pytest.raises(OutputError, match=r"MiB must stay free\. Nothing is saved until there is more"):
            running.add("cat/1.jpg", b"p", {})
        running.close()
        assert pictures(tmp_path) == []
        assert index(tmp_path) == []

    def test_that_is_nearly_full_is_not_asked_with_each_frame(self, tmp_path: Path) -> None:
        with SavedFrames(tmp_path, SaveRules(score_below=0.6), min_free_mib=1e9) as sink:
            with pytest.raises(OutputError, match="Nothing is saved"):
                sink.write(made_result(scores=(0.5,), at=1.0))
            assert not sink.wants(made_result(scores=(0.5,), at=1.9))
            assert sink.wants(made_result(scores=(0.5,), at=2.0))

    def test_that_fails_leaves_no_half_of_a_picture(self, tmp_path: Path) -> None:
        running = store(tmp_path)
        (tmp_path / "cat").write_text("a file where the folder should be")
        with pytest.raises(OutputError, match=r"Cannot save pictures to .*: "):
            running.add("cat/1.jpg", b"p", {})
        running.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "cat", "index.jsonl"]

    def test_a_process_that_was_killed_leaves_nothing_that_stays(self, tmp_path: Path) -> None:
        (tmp_path / ".part").write_bytes(b"half a picture")
        (tmp_path / "index.jsonl").write_text('{"file":"cat/1.jpg","bytes":5}\n')  # and the picture never came
        running = store(tmp_path)
        assert running.used_bytes == 0
        running.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "index.jsonl"]
        assert index(tmp_path) == []

    def test_a_folder_is_for_one_at_a_time(self, tmp_path: Path) -> None:
        first = store(tmp_path)
        with pytest.raises(OutputError, match="Another process is saving pictures to"):
            store(tmp_path)
        first.close()
        first.close()
        store(tmp_path).close()

    def test_a_folder_that_can_not_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match=r"Cannot save pictures to .*file/in: Not a directory"):
            SavedFrames(tmp_path / "file/in", UNCERTAIN)

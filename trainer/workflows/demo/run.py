"""Run the full pipeline on an embedded data set, handwritten digits in camera-like scenes, in a few minutes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from trainer.errors import TrainerError

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIP_SEED = 0


def run_demo(folder: Path) -> str:
    """Draw the photos, train, quantize, verify, benchmark and play a clip.

    Args:
        folder: Output folder. With the folder of an earlier demo, the run continues or shows its result again.

    Returns:
        The result as a short table.

    Raises:
        TrainerError: The folder can't be used, the accuracy gate failed, or a golden sample did.
    """
    from trainer.config.recipe_file import read_recipe
    from trainer.reports.summary import format_result
    from trainer.workflows.demo.digits import write_digit_clip, write_digit_photos
    from trainer.workflows.train.pipeline import train

    start = perf_counter()
    print("Drawing scikit-learn's 1,797 scans of handwritten digits into photo-like scenes", file=sys.stderr)
    photos = write_digit_photos(folder / "photos")
    result = train(photos, folder / "run", read_recipe("demo")).require_kept()
    verified = _verify([result.fp32, result.int8])
    clip = folder / "clip.avi"
    shown = write_digit_clip(clip, seed=CLIP_SEED)
    played = _play(result.int8, clip, shown)
    minutes = (perf_counter() - start) / 60
    return "\n".join(
        [
            "",
            format_result(result),
            f"Verified     {verified}",
            f"Live clip    {played}",
            f"Time         {minutes:.1f} minutes",
            "",
            f"Try next:    edge-runtime run {result.int8} --source 0",
        ]
    )


def _verify(models: Sequence[Path]) -> str:
    from edge_runtime import Classifier, verify_model
    from edge_runtime.inference.golden import all_passed

    count = 0
    for model in models:
        with Classifier(model) as classifier:
            checks = verify_model(classifier)
        if not all_passed(checks):
            raise TrainerError(f"Golden samples of {model} differ from the recorded outputs: {checks}.")
        count += len(checks)
    return f"{count} golden samples of both files reproduce the recorded pixels and scores"


def _play(model: Path, clip: Path, shown: Sequence[tuple[str, int, int]]) -> str:
    """Play the clip in real time through the live loop, as a camera would deliver it."""
    from edge_runtime import Classifier, live, open_source

    votes: dict[int, Counter[str]] = {number: Counter() for number in range(len(shown))}
    ages: list[float] = []
    frames = dropped = 0
    with Classifier(model) as classifier, open_source(str(clip), pace="realtime") as source:
        for result in live(classifier, source, top_k=1):
            frames, dropped = frames + 1, result.counters.dropped
            ages.append(result.age_ms)
            for number, (_, first, last) in enumerate(shown):
                if first <= result.frame.index <= last and result.prediction.top:
                    votes[number][result.prediction.top.label] += 1
    right = sum(bool(votes[n]) and votes[n].most_common(1)[0][0] == digit for n, (digit, _, _) in enumerate(shown))
    age = sorted(ages)[len(ages) // 2] if ages else 0.0
    return f"{right} of {len(shown)} digits read, {frames} frames, {dropped} dropped, median age {age:.1f} ms"

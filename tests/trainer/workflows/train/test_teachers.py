from __future__ import annotations

from trainer.config import Recipe
from trainer.workflows.train.stages.teachers import teacher_recipe


def test_a_teacher_is_trained_as_the_run_says_but_with_hard_labels() -> None:
    recipe = Recipe().updated(
        {
            "finetune": {"label_smoothing": 0.2, "epochs": 5, "batch_size": 8},
            "distill": {"teacher": "mobilenet_v2_1.0", "teacher_input_size": 96},
        }
    )

    theirs = teacher_recipe(recipe)

    assert (theirs.model.backbone, theirs.model.input_size) == ("mobilenet_v2_1.0", 96)
    assert theirs.finetune.label_smoothing == 0
    assert (theirs.finetune.epochs, theirs.finetune.batch_size) == (5, 8)
    assert recipe.finetune.label_smoothing == 0.2

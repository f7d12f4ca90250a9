"""Training settings are transformers' own, and what has no meaning is refused."""

import pytest
from transformers import TrainingArguments

from limbeck.errors import LimbeckError, RecipeError
from limbeck.training.settings import RECORDED, TrainingSettings
from limbeck.training.trainer import training_arguments


def test_names_and_defaults_are_transformers_own():
    arguments, fields = TrainingArguments.__dataclass_fields__, TrainingSettings.model_fields
    names = set(fields) - {"early_stopping_patience", "early_stopping_threshold", "train_sampling_strategy"}
    assert names <= set(arguments)
    assert all(fields[name].default == arguments[name].default for name in names - set(RECORDED))


def test_settings_reach_transformers_and_their_resolved_form_reads_back(tmp_path):
    settings = TrainingSettings.parse({"learning_rate": "5e-5", "warmup_steps": 7, "eval_steps": 20}, "training")
    arguments = training_arguments(settings, tmp_path, seed=5)
    assert (arguments.learning_rate, arguments.warmup_steps, arguments.seed) == (5e-5, 7, 5)
    assert arguments.save_steps == arguments.eval_steps == 20
    assert set(settings.resolved()) == {*RECORDED, "warmup_steps"}
    assert TrainingSettings.parse(settings.resolved(), "training").resolved() == settings.resolved()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"max_steps": 0}, "max_steps"),
        ({"save_steps": 33}, "save_steps"),
        ({"eval_strategy": "epoch"}, "save_strategy"),
        ({"save_strategy": False}, "save_strategy"),
        ({"label_smoothing_factor": 1.0}, "label_smoothing_factor"),
        ({"early_stopping_patience": 2, "eval_strategy": "no"}, "early_stopping_patience"),
        ({"early_stopping_threshold": 0.1}, "early_stopping_threshold"),
    ],
)
def test_settings_without_a_meaning_are_refused(values, words):
    with pytest.raises(LimbeckError, match=words):
        TrainingSettings.parse(values, "training")


@pytest.mark.parametrize("values", [{"optim": "magic"}, {"lr_scheduler_type": "magic"}, {"fp16": True}, {"tf32": True}])
def test_what_transformers_or_a_processor_cannot_do_is_a_users_mistake(values, tmp_path):
    settings = TrainingSettings.parse({**values, "use_cpu": True}, "training")
    with pytest.raises(LimbeckError):
        training_arguments(settings, tmp_path, seed=1)


def test_mixed_precision_is_the_recipes(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    settings = TrainingSettings(bf16=True, use_cpu=True)
    assert training_arguments(settings, tmp_path, seed=1).mixed_precision == "bf16"
    with pytest.raises(RecipeError) as caught:
        training_arguments(TrainingSettings(use_cpu=True), tmp_path, seed=1)
    assert caught.value.field == "training"

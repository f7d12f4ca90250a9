"""Training settings are transformers' own, and what has no meaning is refused."""

import pytest
from transformers import TrainingArguments

from limbeck.errors import LimbeckError
from limbeck.training.settings import RECORDED, TrainingSettings
from limbeck.training.trainer import training_arguments


def test_names_and_defaults_are_transformers_own():
    theirs = TrainingArguments.__dataclass_fields__
    own = {"early_stopping_patience", "early_stopping_threshold", "train_sampling_strategy"}
    assert set(TrainingSettings.model_fields) - own <= set(theirs)
    for name in set(TrainingSettings.model_fields) - own - set(RECORDED):
        assert TrainingSettings.model_fields[name].default == theirs[name].default, name


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
        ({"output_dir": "x"}, "unknown field 'output_dir'"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size"),
        ({"max_steps": 0}, "max_steps"),
        ({"save_steps": 33}, "save_steps is 33, eval_steps 250"),
        ({"eval_strategy": "epoch"}, "save_strategy is steps, eval_strategy epoch"),
        ({"save_strategy": False}, "save_strategy is no, eval_strategy steps"),
        ({"label_smoothing_factor": 1.0}, "label_smoothing_factor"),
        ({"early_stopping_patience": 0}, "early_stopping_patience"),
        ({"early_stopping_patience": 2, "eval_strategy": "no"}, "early_stopping_patience"),
        ({"early_stopping_threshold": 0.1}, "early_stopping_threshold"),
        ({"train_sampling_strategy": "sequential"}, "train_sampling_strategy"),
    ],
)
def test_settings_without_a_meaning_are_refused(values, words):
    with pytest.raises(LimbeckError, match=words):
        TrainingSettings.parse(values, "training")


@pytest.mark.parametrize("field", ["lr_scheduler_type", "eval_strategy", "optim"])
def test_a_value_that_transformers_refuses_is_a_users_mistake(field, tmp_path):
    values = {field: "magic", "save_strategy": "no", "eval_strategy": "no"} | {field: "magic"}
    with pytest.raises(LimbeckError):
        training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)

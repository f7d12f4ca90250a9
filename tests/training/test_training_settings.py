"""Training settings are transformers' own, and what has no meaning is refused."""

import pytest
import torch
from transformers import TrainingArguments

from limbeck.errors import LimbeckError
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
        ({"output_dir": "x"}, "unknown field 'output_dir'"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"max_steps": 0}, "max_steps"),
        ({"save_steps": 33}, "save_steps"),
        ({"eval_strategy": "epoch"}, "save_strategy"),
        ({"save_strategy": False}, "save_strategy"),
        ({"label_smoothing_factor": 1.0}, "label_smoothing_factor"),
        ({"early_stopping_patience": 2, "eval_strategy": "no"}, "early_stopping_patience"),
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


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU obeys these settings")
@pytest.mark.parametrize("values", [{"fp16": True}, {"fp16": True, "use_cpu": True}, {"bf16": True}, {"tf32": True}])
def test_a_type_that_a_processor_would_not_train_in_is_refused(values, tmp_path):
    with pytest.raises(LimbeckError) as caught:
        training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)
    assert caught.value.field == f"training.{next(iter(values))}"

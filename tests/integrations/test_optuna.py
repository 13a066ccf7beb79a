"""OptunaPruning in studies of Optuna: ``pip install -e ".[test,integrations]" && pytest tests/integrations``."""

import pickle

import joblib
import optuna
import pytest
from common import classifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.callbacks import OptunaPruning
from skcnn.exceptions import PruningWarning

optuna.logging.set_verbosity(optuna.logging.ERROR)
STOPS = {"early_stopping": True, "validation_fraction": 0.3, "scoring": "accuracy"}
NEVER = optuna.pruners.NopPruner()
AFTER_TWO = optuna.pruners.ThresholdPruner(lower=2, n_warmup_steps=1)  # scores are at most 1


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:120].reshape(120, -1), y[:120] % 3


def one_trial(objective, pruner=NEVER, direction="maximize", **more):
    study = optuna.create_study(direction=direction, pruner=pruner, **more)
    study.optimize(objective, n_trials=1)
    return study.trials[0]


def flat(**params):
    return classifier(input_shape=(8, 8, 1), **params)


def test_each_epoch_is_reported_and_a_trial_pruned(few):
    def objective(trial):
        cnn = flat(**STOPS).set_callbacks(OptunaPruning(trial)).fit(*few)
        assert list(trial.storage.get_trial(trial._trial_id).intermediate_values.values()) == cnn.history_["val_score"]
        return 1.0

    assert one_trial(objective).state.name == "COMPLETE"
    pruned = one_trial(objective, AFTER_TWO)
    assert (pruned.state.name, list(pruned.intermediate_values)) == ("PRUNED", [0, 1])


def test_what_is_no_trial_is_refused():
    with pytest.raises(TypeError, match="of type str; expected the trial"):
        OptunaPruning("trial")


def test_losses_fit_the_direction_of_the_study(few):
    losses = {}

    def objective(trial, monitor=None):
        cnn = flat().set_callbacks(OptunaPruning(trial, monitor=monitor)).fit(*few)
        losses[trial.study.direction.name] = cnn.history_["loss"]
        return 1.0

    for direction, sign in (("maximize", -1), ("minimize", 1)):
        told = one_trial(objective, direction=direction).intermediate_values
        assert list(told.values()) == [sign * loss for loss in losses[direction.upper()]]
    with pytest.raises(KeyError, match="expected one of"):
        one_trial(lambda trial: objective(trial, "val_auc"))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_folds_and_pipelines_report_to_one_trial(few, n_jobs):
    def objective(trial):
        cnn = flat(epochs=2, refit_full=True, **STOPS)
        pipeline = make_pipeline(StandardScaler(), cnn).set_callbacks(OptunaPruning(trial))
        with joblib.parallel_config("threading", n_jobs=n_jobs):
            return cross_val_score(pipeline, *few, cv=2, error_score="raise").mean()

    told = one_trial(objective)
    assert (told.state.name, list(told.intermediate_values)) == ("COMPLETE", [0, 1, 2, 3])
    assert one_trial(objective, AFTER_TWO).state.name == "PRUNED"


def test_a_swallowed_pruning_is_told_once(few):
    def objective(trial):
        return cross_val_score(flat().set_callbacks(OptunaPruning(trial)), *few, cv=3).mean()

    with pytest.warns(PruningWarning, match="error_score") as told, pytest.raises(ValueError, match="All the 3 fits"):
        one_trial(objective, AFTER_TWO)
    assert sum(issubclass(one.category, PruningWarning) for one in told) == 1


def test_a_study_in_memory_stays_in_its_process(few, tmp_path):
    def objective(trial):
        with pytest.raises(TypeError, match="lies in memory"):
            pickle.dumps(OptunaPruning(trial))
        return 1.0

    assert one_trial(objective).state.name == "COMPLETE"

    def in_processes(trial):
        cnn = flat(epochs=2).set_callbacks(OptunaPruning(trial))
        return cross_val_score(cnn, *few, cv=2, n_jobs=2, error_score="raise").mean()

    told = one_trial(in_processes, storage=f"sqlite:///{tmp_path}/study.db")
    assert told.state.name == "COMPLETE"
    assert told.intermediate_values


def test_as_a_keras_callback(few):
    def objective(trial):
        return flat(callbacks=[OptunaPruning(trial).to_keras()], **STOPS).fit(*few).history_["val_score"][-1]

    told = one_trial(objective)
    assert told.intermediate_values[max(told.intermediate_values)] == told.value
    assert one_trial(objective, AFTER_TWO).state.name == "PRUNED"

"""Callbacks of other packages in their own hands: what they are told of a fit is what they keep.

Not part of the default run: ``pip install -e ".[test,integrations]" && pytest tests/integrations``, about a minute.
"""

import pathlib

import keras
import pytest
from common import classifier
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skcnn.persistence import TRUSTED_TYPES

pytestmark = pytest.mark.filterwarnings("default")  # warnings of these packages are not ours
STOPS = {"early_stopping": True, "validation_fraction": 0.3, "scoring": "accuracy"}


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:120], y[:120] % 3


def test_optuna_prunes_trials_of_a_study_in_memory(few):
    import optuna
    from optuna_integration import KerasPruningCallback

    histories = {}

    def objective(trial):
        cnn = classifier(callbacks=[KerasPruningCallback(trial, "val_accuracy")], **STOPS)
        histories[trial.number] = clone(cnn).fit(*few).history_["val_score"]
        return histories[trial.number][-1]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    for trial in study.trials:
        assert list(trial.intermediate_values.values()) == histories[trial.number]
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=2, n_warmup_steps=1))
    study.optimize(objective, n_trials=3)
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] * 3
    assert [list(trial.intermediate_values) for trial in study.trials] == [[0, 1]] * 3


def test_mlflow_logs_pipelines_and_keeps_models(few, tmp_path):
    import mlflow.sklearn

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("there", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("there")
    mlflow.sklearn.autolog(log_models=False)
    try:
        cnn = classifier().fit(*few)  # of which it learns nothing
        make_pipeline(classifier()).fit(*few)
    finally:
        mlflow.sklearn.autolog(disable=True)
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.metrics["training_score"] == cnn.score(*few)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            cnn,
            name="cnn",
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED_TYPES),
            extra_pip_requirements=["keras", "tensorflow"],
        )
    loaded = mlflow.sklearn.load_model(info.model_uri)
    assert (loaded.predict_proba(few[0]) == cnn.predict_proba(few[0])).all()
    folder = pathlib.Path(mlflow.artifacts.download_artifacts(info.model_uri))
    assert {"keras", "tensorflow"} <= set((folder / "requirements.txt").read_text().split())


def test_mlflow_logs_each_epoch(few, tmp_path):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("here", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("here")
    with mlflow.start_run() as run:
        model = classifier(callbacks=[mlflow.keras.MlflowCallback()], **STOPS).fit(*few)
    kept = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_accuracy")
    assert [one.value for one in sorted(kept, key=lambda one: one.step)] == model.history_["val_score"]
    with pytest.raises(ValueError, match="Set log_every_epoch=True"):
        classifier(callbacks=[mlflow.keras.MlflowCallback(False, 5)]).fit(*few)


def test_wandb_logs_each_epoch(few, tmp_path):
    import wandb
    from wandb.integration.keras import WandbMetricsLogger, WandbModelCheckpoint

    with wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True)) as run:
        save = WandbModelCheckpoint(str(tmp_path / "{epoch}.keras"))
        model = classifier(callbacks=[WandbMetricsLogger(), save], **STOPS).fit(*few)
        assert run.summary["epoch/val_accuracy"] == model.history_["val_score"][-1]
        assert run.summary["epoch/epoch"] == model.n_iter_ - 1
        with pytest.raises(ValueError, match="Set log_freq='epoch'"):
            classifier(callbacks=[WandbMetricsLogger("batch")]).fit(*few)
    assert len(list(tmp_path.glob("*.keras"))) == model.n_iter_


def test_dvclive_livelossplot_and_tqdm_follow_all_fits(few, tmp_path, monkeypatch):
    from dvclive import Live
    from dvclive.keras import DVCLiveCallback
    from livelossplot.inputs.keras import PlotLossesCallback
    from tqdm.keras import TqdmCallback

    monkeypatch.chdir(tmp_path)
    plot, bar = PlotLossesCallback(outputs=[]), TqdmCallback(verbose=0, disable=False)
    with Live(str(tmp_path / "live"), save_dvc_exp=False, dvcyaml=None) as live:
        cnn = classifier(callbacks=[DVCLiveCallback(live=live), plot, bar])
        model = clone(cnn).fit(*few)
        assert live.summary["train"]["loss"] == pytest.approx(model.history_["loss"][-1])
    assert [item.value for item in plot.liveplot.logger.log_history["loss"]] == model.history_["loss"]
    assert bar.epoch_bar.n == 3


def test_tensorboard_keeps_a_run_for_each_fit_of_a_search(few, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cnn = classifier(callbacks=[keras.callbacks.TensorBoard(str(tmp_path / "{fit}"))])
    best = GridSearchCV(cnn, {"l2": [0.0, 0.1]}, cv=2).fit(*few).best_estimator_
    assert len(list(tmp_path.iterdir())) == 5
    events = EventAccumulator(str(pathlib.Path(best.callbacks_[0].log_dir, "train")))
    events.Reload()
    assert {"epoch_loss", "epoch_learning_rate"} <= {*events.Tags()["tensors"]}
    assert len(events.Tensors("epoch_loss")) == 3

"""What ties estimators to scikit-learn: checks of data, diagrams, version notes, callbacks, steps of pipelines."""

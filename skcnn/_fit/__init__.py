"""The fit of both estimators: what is decided before and kept after training.

Samples, targets and weights are checked, split and balanced; a recipe says how to train; a run trains.
"""

"""What ties estimators to scikit-learn: checks, diagrams, versions, callbacks."""

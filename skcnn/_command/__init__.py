"""What ``python -m skcnn`` does: read data, search, report; on scikit-learn's digits or on the user's own."""

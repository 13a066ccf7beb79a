"""The checks: one class per question, a module per kind of cause."""

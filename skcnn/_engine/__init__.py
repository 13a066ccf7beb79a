"""Training of Keras networks, compiled once and run many times.

A `Program` is one topology, compiled; the pool lends programs to fits; `train` runs the epochs. This package knows
Keras and TensorFlow and knows nothing of scikit-learn.
"""

"""Examples of one screen each, on data that need no download: ``python -m skcnn.examples.images``.

=================== ==================================================================================
``images``          a search over regularisation of images, with augmentation and early stopping
``folder``          image files that need not fit into memory: decoded once, read in blocks
``backbone``        few images, and a network that has seen others: its features are computed once
``series``          which of two shapes is hidden in a noisy series, and where the network looked
``spectra``         near infrared spectra of tablets: a network beside partial least squares
``imbalance``       a rare class: balanced batches, probabilities that stay true, a sampler in its place
``custom_network``  a custom Keras network, its arguments in a grid, and its features for other models
``diagnosis``       why a network fails on the test set, and the grid that its diagnosis proposes
``cures``           weighted cross-entropy, L2, scaling and augmentation: what is often written, and what
                    to write instead
=================== ==================================================================================
"""

"""What is decided before training and recorded after it: recipe, samples, splitting, balancing, targets, weights."""

"""What is wrong with a training set."""

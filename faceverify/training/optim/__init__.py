"""How a step is taken: optimiser, schedule, moving average, precision, frozen stages."""

"""The softmax over classes: dense, chunked, sharded, sampled."""

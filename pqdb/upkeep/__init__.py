"""The background road: train, encode, calibrate, index what is fresh."""

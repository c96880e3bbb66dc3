"""The kernels' specification in plain Python."""

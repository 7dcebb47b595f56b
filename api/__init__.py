"""The HTTP door: it translates a protocol and nothing else."""

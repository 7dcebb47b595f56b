"""One module per outside thing; wiring is the composition root."""

"""Prompts in the formats of model providers: one module for each format."""

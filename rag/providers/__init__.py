"""Prompts in the shapes that the providers of models take; one module a provider."""

"""The queue's door: names, limits and one call a task."""

"""Real photos and edited copies of them through the HTTP API, and a page to look at."""

"""The door that works: it closes series, analyses stacks and delivers results."""

"""Long searches for input that breaks something: `make fuzz`."""

"""The verbs: take in, analyse, deliver."""

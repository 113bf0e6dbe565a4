"""The dashboard and the REST interface."""

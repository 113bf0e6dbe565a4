"""The inference room: only here ONNX Runtime is used."""

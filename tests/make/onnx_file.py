"""The smallest ONNX files that a test needs, written byte by byte as ``onnx.proto`` numbers the fields."""

from pathlib import Path

import numpy as np

FLOAT, INT64 = 1, 7


def write_affine_network(path: Path, gain: list[float], offset: np.ndarray) -> Path:
    """A network that answers ``gain[c] * image + offset[c]`` to an image of the shape of ``offset[c]``."""
    patch = offset.shape[1:]
    channels = len(gain)
    gains = np.array(gain, np.float32).reshape(1, channels, *([1] * len(patch)))
    graph = b"".join(
        (
            _bytes(1, _node("Mul", ["image", "gain"], "scaled")),
            _bytes(1, _node("Add", ["scaled", "offset"], "logits")),
            _bytes(2, b"affine"),
            _bytes(5, _tensor("gain", gains)),
            _bytes(5, _tensor("offset", offset[np.newaxis])),
            _bytes(11, _value("image", (1, 1, *patch))),
            _bytes(12, _value("logits", (1, channels, *patch))),
        )
    )
    opset = _bytes(1, b"") + _number(2, 17)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, opset))
    return path


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    return (
        b"".join(_bytes(1, name.encode()) for name in inputs)
        + _bytes(2, output.encode())
        + _bytes(4, kind.encode())
    )


def _tensor(name: str, values: np.ndarray) -> bytes:
    raw = np.ascontiguousarray(values, "<f4").tobytes()
    dims = b"".join(_number(1, side) for side in values.shape)
    return dims + _number(2, FLOAT) + _bytes(8, name.encode()) + _bytes(9, raw)


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, side)) for side in shape)
    tensor = _number(1, FLOAT) + _bytes(2, dims)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def write_endless_network(path: Path, channels: int, patch: tuple[int, ...], *, side: int) -> Path:
    """A network that fills a square of ``side`` numbers and multiplies it with itself for many minutes."""
    nodes = [_node("ReduceMax", ["image"], "m0"), _node("Expand", ["m0", "square"], "p0")]
    nodes += [_node("MatMul", [f"p{step}", "p0"], f"p{step + 1}") for step in range(500)]
    nodes += [_node("ReduceMax", ["p500"], "last"), _node("Expand", ["last", "answer"], "logits")]
    graph = b"".join(
        (
            *(_bytes(1, node) for node in nodes),
            _bytes(2, b"endless"),
            _bytes(5, _whole("square", [1] * (len(patch)) + [side, side])),
            _bytes(5, _whole("answer", [1, channels, *patch])),
            _bytes(11, _value("image", (1, 1, *patch))),
            _bytes(12, _value("logits", (1, channels, *patch))),
        )
    )
    opset = _bytes(1, b"") + _number(2, 17)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, opset))
    return path


def _whole(name: str, values: list[int]) -> bytes:
    return (
        _number(1, len(values))
        + _number(2, INT64)
        + _bytes(8, name.encode())
        + _bytes(9, np.array(values, "<i8").tobytes())
    )

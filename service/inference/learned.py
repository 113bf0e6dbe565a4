"""The table ``[quality.predictor]`` of a card: what was learned about when its network is wrong."""

from typing import Any

import numpy as np

from service.core.predictor import FEATURES, Predictor
from service.core.shape import DESCRIPTORS, ShapeStatistics


def read_predictor(quality: dict[str, Any], sha256: str) -> Predictor | None:
    """The predictor of a card's ``[quality]``, None where it has none; raises ValueError for a wrong one.

    ``sha256`` is that of the network: what was learned about one says nothing about another.
    """
    content = quality.get("predictor")
    if content is None:
        return None
    if content["learned_on"] != sha256:
        raise ValueError(
            "quality.predictor was learned on other weights; models.training.quality learns anew"
        )
    return Predictor(
        shape=_shape(content["shape"]),
        intercept=float(content["intercept"]),
        coefficients=_by_feature(content["coefficients"]),
        residual_sd=_not_negative("residual_sd", content["residual_sd"]),
        withhold_below=_not_negative("withhold_below", content["withhold_below"]),
        limits=_by_feature(content["limits"]),
    )


def _by_feature(content: dict[str, Any]) -> dict[str, float]:
    unknown = set(content) - set(FEATURES)
    if unknown:
        raise ValueError(f"quality.predictor names {', '.join(sorted(unknown))}, which is no feature")
    return {name: _not_negative(name, value) for name, value in content.items()}


def _not_negative(name: str, value: Any) -> float:
    number = float(value)
    # Written so that what is no number fails too.
    if not 0.0 <= number < np.inf:
        raise ValueError(f"{name} of quality.predictor must be a number from 0")
    return number


def _shape(content: dict[str, Any]) -> ShapeStatistics:
    count = len(DESCRIPTORS)
    mean = np.array(content["mean"], dtype=np.float64)
    covariance = np.array(content["covariance"], dtype=np.float64)
    if tuple(content["descriptors"]) != DESCRIPTORS:
        raise ValueError("the descriptors of quality.predictor.shape are not those of this program")
    if mean.shape != (count,) or covariance.shape != (count, count):
        raise ValueError("mean or covariance of quality.predictor.shape has another size")
    if not np.allclose(covariance, covariance.T) or not bool((np.linalg.eigvalsh(covariance) > 0).all()):
        raise ValueError("the covariance of quality.predictor.shape is none")
    return ShapeStatistics(mean=mean, covariance=covariance)

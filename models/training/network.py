"""The network: a small two-dimensional U-Net, fully convolutional."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Features at each depth; 3.2 million weights, 12.9 MB as float32.
WIDTHS = (16, 32, 64, 128, 192, 192)
#: Side of the squares whose means give the local brightness, and how many squares are averaged each way:
#: 5 x 10 mm, wide against muscle septa and narrow against the fall-off of a surface coil. Chosen by us.
LOCAL_SQUARE = 8
LOCAL_SQUARES = 5


def planes(image: Tensor) -> Tensor:
    """The image, its square root, and the image over its local mean: (n, 3, rows, columns) of (n, 1, ...).

    One scale cannot show dark muscle in fat images and bright muscle in water images alike; the square
    root lifts the dark, and the local mean takes out what a surface coil does.
    """
    half = LOCAL_SQUARES // 2
    coarse = functional.avg_pool2d(image, LOCAL_SQUARE)
    coarse = functional.avg_pool2d(coarse, LOCAL_SQUARES, stride=1, padding=half)
    local = functional.interpolate(coarse, scale_factor=float(LOCAL_SQUARE), mode="bilinear")
    even = image / (local + 0.02)
    return torch.cat([image, torch.sqrt(image.clamp(min=0.0)), 0.5 * even.clamp(max=4.0)], dim=1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, each with batch normalisation and a rectifier."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """One image channel in, three logits out: background, compartment right, compartment left."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = zip((3, *widths[:-1]), widths, strict=True)
        self.down = nn.ModuleList(_block(a, b) for a, b in pairs)
        depths = range(len(widths) - 1, 0, -1)
        self.up = nn.ModuleList(_block(widths[d] + widths[d - 1], widths[d - 1]) for d in depths)
        self.last = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape (n, 3, rows, columns); rows and columns are multiples of 32."""
        kept: list[Tensor] = []
        features = planes(image)
        for depth, block in enumerate(self.down):
            if depth:
                features = functional.max_pool2d(features, 2)
            features = block(features)
            kept.append(features)
        for block, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([larger, skip], dim=1))
        logits: Tensor = self.last(features)
        return logits


class WithSoftmax(nn.Module):
    """The exported form: probabilities instead of logits."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities of the three channels."""
        return torch.softmax(self.network(image), dim=1)

"""The network: a small two-dimensional U-Net, fully convolutional."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Features at each depth; 3.2 million weights, 12.9 MB as float32.
WIDTHS = (16, 32, 64, 128, 192, 192)
#: The exported network dims its input by this factor before the first layer. Chosen by us among 1, 0.6,
#: 0.4 and 0.25 on eight slices of tum01: at 1 much of the bright muscle of its water image was missed.
INPUT_LEVEL = 0.6


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
        pairs = zip((1, *widths[:-1]), widths, strict=True)
        self.down = nn.ModuleList(_block(a, b) for a, b in pairs)
        depths = range(len(widths) - 1, 0, -1)
        self.up = nn.ModuleList(_block(widths[d] + widths[d - 1], widths[d - 1]) for d in depths)
        self.last = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape (n, 3, rows, columns); rows and columns are multiples of 32."""
        kept: list[Tensor] = []
        features = image
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
    """The exported form: input at the level that works, probabilities instead of logits."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities of the three channels."""
        return torch.softmax(self.network(image * INPUT_LEVEL), dim=1)

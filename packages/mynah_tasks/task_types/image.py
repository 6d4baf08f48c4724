"""image_processing: looks at images and changes them. Holds no state, so any number of threads may do it at once."""

from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mynah_tasks.task_types.pixels import COLOURS, Image, Picture, Pixels
from mynah_tasks.task_types.typed import BadPayload, Payload, typed

LUMA = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue look."""
LARGEST_SIDE = 8192
COLOUR_STEPS = 4
"""Into how many shades a channel is sorted when colours are counted."""


class Grayscale(Payload):
    """Brightness alone."""

    op: Literal["grayscale"]

    def apply(self, pixels: Pixels) -> Pixels:
        """One channel, and opacity where there was one."""
        grey = to_bytes(brightness(pixels))[:, :, None]
        return np.concatenate([grey, pixels[:, :, -1:]], axis=2) if pixels.shape[2] in (2, 4) else grey


class Resize(Payload):
    """Another size; one side alone keeps the proportions."""

    op: Literal["resize"]
    width: int | None = Field(default=None, ge=1, le=LARGEST_SIDE)
    height: int | None = Field(default=None, ge=1, le=LARGEST_SIDE)

    def apply(self, pixels: Pixels) -> Pixels:
        """Averages where it shrinks, interpolates where it grows."""
        height, width = pixels.shape[:2]
        new_width = self.width or (self.height and round(width * self.height / height)) or width
        new_height = self.height or (self.width and round(height * self.width / width)) or height
        across = _resample(pixels.astype(np.float32), min(max(1, new_width), LARGEST_SIDE))
        down = _resample(across.swapaxes(0, 1), min(max(1, new_height), LARGEST_SIDE))
        return to_bytes(down.swapaxes(0, 1))


class Crop(Payload):
    """A part, from its upper left corner."""

    op: Literal["crop"]
    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)

    def apply(self, pixels: Pixels) -> Pixels:
        """What of the part lies inside; raises BadPayload when nothing does."""
        part = pixels[self.top : self.top + self.height, self.left : self.left + self.width]
        if not part.size:
            raise BadPayload(f"the part at {self.left}, {self.top} lies outside of the image")
        return part


class Rotate(Payload):
    """A turn to the right."""

    op: Literal["rotate"]
    degrees: Literal[90, 180, 270]

    def apply(self, pixels: Pixels) -> Pixels:
        """All pixels, elsewhere."""
        return np.rot90(pixels, -self.degrees // 90)


class Flip(Payload):
    """A mirror image."""

    op: Literal["flip"]
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def apply(self, pixels: Pixels) -> Pixels:
        """All pixels, elsewhere."""
        return pixels[:, ::-1] if self.axis == "horizontal" else pixels[::-1]


class Blur(Payload):
    """Each pixel the average of those around it."""

    op: Literal["blur"]
    radius: int = Field(default=1, ge=1, le=100)

    def apply(self, pixels: Pixels) -> Pixels:
        """Smoothed in both directions."""
        across = _average(pixels.astype(np.float64), self.radius)
        return to_bytes(_average(across.swapaxes(0, 1), self.radius).swapaxes(0, 1))


class Contrast(Payload):
    """From black to white, whatever the darkest and the brightest pixels were."""

    op: Literal["contrast"]

    def apply(self, pixels: Pixels) -> Pixels:
        """Stretched, colours kept; an image of one colour stays as it is."""
        low, high = np.quantile(pixels, (0.01, 0.99))
        return pixels if high <= low else to_bytes((pixels - low) * (255 / (high - low)))


class Edges(Payload):
    """How much brightness changes at each pixel."""

    op: Literal["edges"]

    def apply(self, pixels: Pixels) -> Pixels:
        """One channel."""
        return to_bytes(_slope(brightness(pixels)))[:, :, None]


Operation: TypeAlias = Annotated[
    Grayscale | Resize | Crop | Rotate | Flip | Blur | Contrast | Edges, Field(discriminator="op")
]


class ImageProcessing(Payload):
    """An image, and what to do with it, in order."""

    image: Picture
    operations: tuple[Operation, ...] = Field(default=(), max_length=50)
    analysis: bool = True
    """Whether to say what the result looks like."""


class Look(Payload):
    """What an image looks like."""

    brightness: float
    """0 black to 1 white."""
    contrast: float
    """Standard deviation of brightness, 0 to 0.5."""
    sharpness: float
    """Mean change of brightness between neighbours, 0 to 1."""
    colourfulness: float
    """0 grey to 1."""
    colours: tuple[tuple[str, float], ...]
    """The most frequent colours as #rrggbb with their share."""


class ProcessedImage(Payload):
    """What came out; the image is in the form in which it came, and left out when nothing was done to it."""

    width: int
    height: int
    channels: int
    image: Picture = None
    look: Look | None = None


@typed
def process(request: ImageProcessing) -> ProcessedImage:
    """Apply the operations and look at the result."""
    image = Image.decode(request.image)
    pixels = image.pixels
    for operation in request.operations:
        pixels = operation.apply(pixels)
    height, width, channels = pixels.shape
    return ProcessedImage(
        width=width,
        height=height,
        channels=channels,
        image=image.encode(np.ascontiguousarray(pixels)) if request.operations else None,
        look=look_at(pixels) if request.analysis else None,
    )


def look_at(pixels: Pixels) -> Look:
    """Describe an image in figures."""
    grey = brightness(pixels) / 255
    colours = np.repeat(pixels[:, :, :1], 3, axis=2) if pixels.shape[2] < COLOURS else pixels[:, :, :COLOURS]
    spread = (colours.max(axis=2).astype(np.int16) - colours.min(axis=2)) / 255
    return Look(
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        sharpness=float(_slope(grey).mean()),
        colourfulness=float(spread.mean()),
        colours=_frequent_colours(colours),
    )


def brightness(pixels: Pixels) -> NDArray[np.float64]:
    """How bright each pixel looks, 0 to 255."""
    if pixels.shape[2] < COLOURS:
        return pixels[:, :, 0].astype(np.float64)
    grey: NDArray[np.float64] = pixels[:, :, :3] @ LUMA
    return grey


def to_bytes(values: NDArray[Any]) -> Pixels:
    """Values rounded and cut to 0 to 255."""
    whole: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return whole


def _resample(rows: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Another number of columns (axis 1)."""
    old = rows.shape[1]
    if width < old:
        sums = np.cumsum(np.pad(rows.astype(np.float64), ((0, 0), (1, 0), (0, 0))), axis=1)
        borders = _between(sums, np.linspace(0, old, width + 1))
        means: NDArray[np.float32] = (np.diff(borders, axis=1) * (width / old)).astype(np.float32)
        return means
    return _between(rows, np.clip((np.arange(width) + 0.5) * old / width - 0.5, 0, old - 1))


def _between(columns: NDArray[Any], places: NDArray[np.float64]) -> NDArray[Any]:
    """Values between columns, in proportion."""
    left = np.minimum(places.astype(int), columns.shape[1] - 1)
    right = np.minimum(left + 1, columns.shape[1] - 1)
    share = (places - left)[None, :, None].astype(columns.dtype)
    mixed: NDArray[Any] = columns[:, left] * (1 - share) + columns[:, right] * share
    return mixed


def _average(rows: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """The mean of the columns around each one; the border is continued outwards."""
    width = 2 * radius + 1
    sums = np.cumsum(np.pad(rows, ((0, 0), (radius + 1, radius), (0, 0)), mode="edge"), axis=1)
    return (sums[:, width:] - sums[:, :-width]) / width


def _slope(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    across = np.diff(grey, axis=1, append=grey[:, -1:])
    down = np.diff(grey, axis=0, append=grey[-1:])
    return np.hypot(across, down)


def _frequent_colours(colours: Pixels, most: int = 5) -> tuple[tuple[str, float], ...]:
    coarse = (colours // (256 // COLOUR_STEPS)).reshape(-1, 3).astype(int) @ (COLOUR_STEPS**2, COLOUR_STEPS, 1)
    counts = np.bincount(coarse, minlength=COLOUR_STEPS**3)
    flat = colours.reshape(-1, 3)
    means = [np.bincount(coarse, flat[:, channel], COLOUR_STEPS**3) for channel in range(3)]
    best = [place for place in np.argsort(-counts, kind="stable")[:most] if counts[place]]
    return tuple(
        ("#" + "".join(f"{round(mean[place] / counts[place]):02x}" for mean in means), float(counts[place] / len(flat)))
        for place in best
    )

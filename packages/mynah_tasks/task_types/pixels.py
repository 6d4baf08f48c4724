"""Images as tasks carry them: arrays, nested lists, files in bytes or base64."""

import base64
import binascii
import importlib
import io
import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import SkipValidation

from mynah_tasks.task_types.typed import BadPayload, NotConfigured

Picture: TypeAlias = Annotated[Any, SkipValidation]
"""Pixels from 0 to 255 as array or lists, (height, width) or (height, width, 1 to 4); or a file as bytes or base64."""
Pixels: TypeAlias = NDArray[np.uint8]
"""Shape (height, width, channels): 1 grey, 2 grey and opacity, 3 red, green, blue, 4 with opacity."""

MOST_PIXELS = 50_000_000
MOST_CHANNELS = 4
SHAPES = FLAT, WITH_CHANNELS = 2, 3
"""Dimensions of an array of pixels."""
COLOURS = 3
HEADER = re.compile(rb"P([56])\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s+(\d{1,6})\s+255\s")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True)
class Image:
    """Pixels, and in which form they came."""

    pixels: Pixels
    source: Any = None
    file_format: str | None = None

    @classmethod
    def decode(cls, picture: Any) -> "Image":
        """Understand a picture; files of the Netpbm formats P5 and P6 without help, all others with Pillow.

        Raises:
            BadPayload: it is none, or has more than 50 million pixels.
            NotConfigured: it needs Pillow, which is not installed.
        """
        if isinstance(picture, str):
            try:
                content = base64.b64decode(picture, validate=True)
            except (binascii.Error, ValueError) as error:
                raise BadPayload("an image that is text must be base64") from error
            pixels, file_format = _read_file(content)
        elif isinstance(picture, bytes | bytearray | memoryview):
            pixels, file_format = _read_file(bytes(picture))
        else:
            pixels, file_format = _as_pixels(picture), None
        height, width, channels = pixels.shape
        if not 0 < height * width <= MOST_PIXELS or not 0 < channels <= MOST_CHANNELS:
            raise BadPayload(f"an image of {width} x {height} pixels with {channels} channels is not understood")
        return cls(pixels, picture, file_format)

    def encode(self, pixels: Pixels) -> Any:
        """Other pixels in the form in which this image came."""
        if self.file_format is None:
            flat = pixels[:, :, 0] if np.ndim(self.source) == FLAT and pixels.shape[2] == 1 else pixels
            return flat.tolist() if isinstance(self.source, list) else flat
        content = _write_file(pixels, self.file_format)
        return base64.b64encode(content).decode() if isinstance(self.source, str) else content


def _as_pixels(values: Any) -> Pixels:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise BadPayload("the rows of an image must be of one length") from error
    if array.dtype.kind not in "iub" or array.ndim not in SHAPES or not np.array_equal(array, array.astype(np.uint8)):
        raise BadPayload(f"pixels are whole numbers from 0 to 255, not {array.dtype} of shape {array.shape}")
    pixels: Pixels = array.astype(np.uint8)
    return pixels if array.ndim == WITH_CHANNELS else pixels[:, :, None]


def _read_file(content: bytes) -> tuple[Pixels, str]:
    if (header := HEADER.match(content)) is None:
        return _read_with_pillow(content)
    width, height = int(header[2]), int(header[3])
    channels = COLOURS if header[1] == b"6" else 1
    size = width * height * channels
    if size > len(content) - header.end():
        raise BadPayload("the image file ends too early")
    pixels = np.frombuffer(content, np.uint8, size, header.end()).reshape(height, width, channels)
    return pixels, "PPM"


def _read_with_pillow(content: bytes) -> tuple[Pixels, str]:
    pillow = _pillow()
    try:
        with pillow.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadPayload(f"an image of {image.width} x {image.height} pixels is too large")
            mode = image.mode if image.mode in MODES.values() else "RGB"
            return _as_pixels(np.asarray(image.convert(mode))), image.format
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPayload(f"the image file cannot be read: {error}") from error


def _write_file(pixels: Pixels, file_format: str) -> bytes:
    memory = io.BytesIO()
    height, width, channels = pixels.shape
    if file_format != "PPM":
        whole = pixels[:, :, 0] if channels == 1 else pixels
        _pillow().fromarray(whole, MODES[channels]).save(memory, file_format)
        return memory.getvalue()
    kind, colours = (b"P6", COLOURS) if channels >= COLOURS else (b"P5", 1)
    return kind + b"\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(pixels[:, :, :colours]).tobytes()


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise NotConfigured(
            "image files other than PGM and PPM (P5, P6) need the library Pillow: pip install pillow"
        ) from error

import csv
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mynah_audio.pcm import Encoding, Samples
from mynah_audio.recording import load
from mynah_audio.vad import SileroVad

_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True)
class Speech:
    """A recording of a real voice."""

    file: Path
    text: str

    @property
    def samples(self) -> Samples:
        return load(self.file).samples


@pytest.fixture(scope="session")
def speech() -> list[Speech]:
    folder = os.environ.get("MYNAH_MODELS_DIR")
    if not folder:
        pytest.skip("MYNAH_MODELS_DIR is not set: no recordings of real voices")
    recordings = Path(folder) / "speech"
    with (recordings / "transcripts.tsv").open(newline="") as table:
        return [Speech(recordings / row["file"], row["text"]) for row in csv.DictReader(table, delimiter="\t")]


@pytest.fixture(scope="session")
def silero() -> SileroVad:
    return SileroVad()


@pytest.fixture
def vad(silero: SileroVad) -> SileroVad:
    silero.reset()
    return silero


def to_wire(floats: np.ndarray, encoding: Encoding) -> bytes:
    """Floats, full scale ±1, in an encoding: what a recorder would write."""
    match encoding:
        case Encoding.U8:
            return np.clip(np.rint(floats * 128 + 128), 0, 255).astype(np.uint8).tobytes()
        case Encoding.S24:
            wide = np.clip(np.rint(floats * 2**23), -(2**23), 2**23 - 1).astype("<i4")
            return wide.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
        case Encoding.F32 | Encoding.F64:
            return floats.astype(f"<f{encoding.width}").tobytes()
        case _:
            top = 2 ** (8 * encoding.width - 1)
            return (
                np.clip(np.rint(floats.astype(np.float64) * top), -top, top - 1).astype(f"<i{encoding.width}").tobytes()
            )


@pytest.fixture
def make_wav() -> Callable[..., bytes]:
    """A WAV whose every header field can be made to lie."""

    def make(  # noqa: PLR0913  # each field of the header
        data: bytes,
        *,
        rate: int = 16_000,
        channels: int = 1,
        bits: int = 16,
        tag: int = 1,
        extensible: bool = False,
        frame_bytes: int | None = None,
        data_size: int | None = None,
        riff_size: int | None = None,
        before: bytes = b"",
        after: bytes = b"",
        magic: bytes = b"RIFF",
    ) -> bytes:
        frame_bytes = channels * bits // 8 if frame_bytes is None else frame_bytes
        fmt = struct.pack(
            "<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * frame_bytes & 0xFFFFFFFF, frame_bytes, bits
        )
        if extensible:
            fmt += struct.pack("<HHIH", 22, bits, 0, tag) + _GUID_TAIL
        body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(fmt)) + fmt
        body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data + after
        return magic + struct.pack("<I", len(body) if riff_size is None else riff_size) + body

    return make


@pytest.fixture
def wire() -> Callable[[np.ndarray, Encoding], bytes]:
    return to_wire


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    def make(hertz: float, rate: int, seconds: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
        return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)

    return make

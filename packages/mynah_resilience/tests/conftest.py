import pytest

from mynah_resilience.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

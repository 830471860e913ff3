"""A pipeline of fakes over drawn people."""

import pytest

from drawn_people import drawn_pipeline
from lineament.pipeline import FacePipeline


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    return drawn_pipeline()

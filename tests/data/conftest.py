"""A prepared folder for the tests of this room."""

import pytest

from bat import config, data


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "data"
    data.prepare(config.DigitsData(), folder)
    return data.load(folder)

"""`ext`: each extension module that this processor can run, in turn."""

import pytest

from tests.extension.helpers import MODULES

NONE = pytest.param(None, marks=pytest.mark.skip(reason="the C++ extension is not built"))


@pytest.fixture(params=MODULES or [NONE], ids=lambda module: module.isa if module else "none")
def ext(request):
    return request.param

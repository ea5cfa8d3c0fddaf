"""Fixtures of the language and glue that the hard cases use too."""

from tests.shared.conftest import desk as desk
from tests.shared.conftest import line as line

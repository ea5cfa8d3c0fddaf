"""All views there are."""

from typing import Final

from services.projections.views import View
from services.projections.views.case_list import CASE_LIST

VIEWS: Final[tuple[View, ...]] = (CASE_LIST,)

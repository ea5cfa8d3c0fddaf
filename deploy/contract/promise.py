"""What this build makes of a released contract."""

from typing import Any

from deploy.contract.compatible import breaches, has_grown
from deploy.contract.document import VERSION, asyncapi
from deploy.contract.export import version_of


def broken(released: dict[str, Any]) -> list[str]:
    """A sentence for each promise that this build breaks, and one when it says more under the
    same version. Raises LookupError, TypeError or ValueError for what is no contract of ours."""
    now, version = asyncapi(), str(released["info"]["version"])
    found = breaches(released, now)
    if version_of() <= version_of(version) and has_grown(released, now):
        found.append(
            f"the contract says other than {version} and is called {VERSION}: raise VERSION in "
            "deploy/contract/document.py"
        )
    return found

"""A broker's users and rights: what there is, and how it is changed. The seam to confluent-kafka,
for aiokafka knows no users."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final, cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from deploy.rights.table import Resource, Right
from shared.kafka_access import MECHANISM, KafkaAccess

SECONDS: Final = 15.0
_PRINCIPAL: Final = "User:"
ITERATIONS: Final = 8192
"""Of SCRAM; the passwords are random and long."""

_TYPES: Final[Mapping[Resource, ResourceType]] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_ANY: Final = cast(Any, AclBindingFilter)(
    ResourceType.ANY,
    None,
    ResourcePatternType.ANY,
    None,
    None,
    AclOperation.ANY,
    AclPermissionType.ANY,
)


class NotDone(Exception):
    """The broker did not do it; the message is one sentence."""


class Broker:
    """A broker as its admin sees it. Every method raises NotDone."""

    def __init__(self, admin: KafkaAccess, mechanism: str = MECHANISM) -> None:
        told: dict[str, Any] = {
            **admin.librdkafka(),
            "sasl.mechanism": mechanism,
            "log_level": 0,  # what fails is said once, by us
        }
        self._servers = admin.servers
        self._admin = AdminClient(told, logger=None)

    def users(self) -> frozenset[str]:
        """Who has a password of SCRAM."""
        described = self._admin.describe_user_scram_credentials(request_timeout=SECONDS)
        return frozenset(self._answer(described))

    def rights(self) -> frozenset[Right]:
        """Every right to a topic, group, transaction or the cluster, also of others."""
        bindings = self._answer(self._admin.describe_acls(_ANY, request_timeout=SECONDS))
        return frozenset(right for each in bindings if (right := _right(each)))

    def make_users(self, passwords: Mapping[str, str]) -> None:
        """Make these users, or give them these passwords."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        self._alter(
            [UserScramCredentialUpsertion(u, how, p.encode()) for u, p in passwords.items()]
        )

    def remove_users(self, users: Iterable[str]) -> None:
        """Nobody comes in by these names any more."""
        self._alter([UserScramCredentialDeletion(u, ScramMechanism.SCRAM_SHA_512) for u in users])

    def give(self, rights: Iterable[Right]) -> None:
        """Give what is missing; what is there stays."""
        if bindings := [_binding(AclBinding, right) for right in rights]:
            self._answers(self._admin.create_acls(bindings, request_timeout=SECONDS))

    def take(self, rights: Iterable[Right]) -> None:
        """Take these away, exactly these."""
        if filters := [_binding(AclBindingFilter, right) for right in rights]:
            self._answers(self._admin.delete_acls(filters, request_timeout=SECONDS))

    def _alter(self, alterations: list[UserScramCredentialAlteration]) -> None:
        if alterations:
            self._answers(
                self._admin.alter_user_scram_credentials(alterations, request_timeout=SECONDS)
            )

    def _answers(self, asked: Mapping[Any, "Future[Any]"]) -> None:
        for each in asked.values():
            self._answer(each)

    def _answer(self, asked: Any) -> Any:
        try:
            return asked.result(timeout=SECONDS + 5)
        except KafkaException as failed:
            why = failed.args[0].name().strip("_").replace("_", " ").lower()
        except TimeoutError:
            why = "no answer in time"
        raise NotDone(f"Kafka at {self._servers} did not do it: {why}")


def _binding(form: type[AclBinding], right: Right) -> Any:
    """The right as the library says it, to be made (AclBinding) or found (AclBindingFilter)."""
    return form(
        _TYPES[right.resource],
        right.name,
        ResourcePatternType.PREFIXED if right.begins else ResourcePatternType.LITERAL,
        _PRINCIPAL + right.user,
        right.host,
        AclOperation[right.operation.upper().replace("-", "_")],
        AclPermissionType.ALLOW if right.given else AclPermissionType.DENY,
    )


def _right(said: Any) -> Right | None:
    """None for rights to what this house does not use (tokens, users)."""
    resource = {type_: name for name, type_ in _TYPES.items()}.get(said.restype)
    if resource is None:
        return None
    return Right(
        said.principal.removeprefix(_PRINCIPAL),
        said.operation.name.lower().replace("_", "-"),
        resource,
        said.name,
        said.resource_pattern_type == ResourcePatternType.PREFIXED,
        said.host,
        said.permission_type == AclPermissionType.ALLOW,
    )

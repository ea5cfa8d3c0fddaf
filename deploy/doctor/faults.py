"""The faults by name: what each means in one sentence, and the command that mends it."""

from dataclasses import dataclass, field
from typing import Final

_COMPOSE: Final = "docker compose --file deploy/docker-compose.yml"
_KAFKA: Final = f"{_COMPOSE} exec kafka /opt/kafka/bin"
_AS_ADMIN: Final = "--bootstrap-server kafka:9092 --command-config /run/secrets/admin.properties"
_INITIATE: Final = "mongosh '{uri}' --eval \"rs.initiate({members})\""

KNOWN: Final[dict[str, tuple[str, str]]] = {
    "settings-wrong": (
        "A service would not start with these settings: {why}.",
        "set it as deploy/env.example shows",
    ),
    "towns-unreadable": (
        "The files of the towns do not read: {why}.",
        "wishgrid profile check {folder}",
    ),
    "secrets-unreadable": (
        "A file of secrets or keys does not read: {why}.",
        "ls -l {folder}   # bring the file back, or name the right one in the setting",
    ),
    "secret-exposed": (
        "Everybody on this host can read {file}: whoever copies it opens every sealed text.",
        "chmod 400 {file}",
    ),
    "mongo-away": (
        "{where} does not answer ({why}): nothing can be accepted and nothing read.",
        f"{_COMPOSE} up --detach mongo",
    ),
    "mongo-alone": (
        "{where} was started without --replSet: there are no transactions and no change stream, "
        "so nothing is relayed or projected.",
        f"start each with --replSet {{set}} (deploy/docker-compose.yml does), and then, once: "
        f"{_INITIATE}",
    ),
    "mongo-not-begun": (
        "{where} waits to be made a replica set: until then it takes and gives nothing.",
        _INITIATE,
    ),
    "mongo-without-primary": (
        "{where} has no primary: what is sent in is refused until a majority of its members is up.",
        "mongosh '{uri}' --eval 'rs.status()'",
    ),
    "store-half-restored": (
        "{store} is half restored: no service starts with it.",
        "wishgrid restore --again …   # with the same backups",
    ),
    "store-behind": (
        "{store} was restored and has not taken in yet what Kafka holds beyond it: until then "
        "{service} serves nothing.",
        f"{_COMPOSE} up --detach kafka {{service}}-1 {{service}}-2   # and see their logs",
    ),
    "store-and-topic-apart": (
        "{store} and the topic of facts cannot be brought together: {why}. {service} serves "
        "nothing.",
        "wishgrid restore --help   # from a later backup; or, if the store is right, wishgrid "
        "republish --all into a new topic, and restart {service}",
    ),
    "kafka-away": (
        "Kafka at {where} does not answer ({why}): what is accepted waits in its store, and no "
        "reaction or view moves on.",
        f"{_COMPOSE} up --detach kafka",
    ),
    "kafka-shut": (
        "Kafka at {where} does not let {user} in with the password at hand.",
        f"{_COMPOSE} run --rm rights   # has the file of the admin itself changed, first: "
        f"{_COMPOSE} run --rm --no-deps passwords && {_COMPOSE} restart kafka",
    ),
    "topics-missing": (
        "There is no topic {topics}: its facts wait in the stores, or its partner is not heard.",
        "wishgrid topics",
    ),
    "topic-differs": (
        "{topic}: {setting} is {value}, wanted {wanted}.",
        f"{_KAFKA}/kafka-configs.sh {_AS_ADMIN} --alter --entity-type topics "
        "--entity-name {topic} --add-config {setting}={wanted}",
    ),
    "topic-cut-wrong": (
        "{topic}: {setting} is {value}, wanted {wanted}; that cannot be changed under facts that "
        "are there.",
        "wishgrid republish --help   # into a new topic, once intake and dispatch have stopped",
    ),
    "topic-to-make-again": (
        "{topic}: {setting} is {value}, wanted {wanted}; that cannot be changed while it is there.",
        f"{_KAFKA}/kafka-topics.sh {_AS_ADMIN} --delete --topic {{topic}} && "
        f"{_COMPOSE} run --rm topics   # what is in it, read or not, is gone then",
    ),
    "log-without-head": (
        "{topic} has lost its first facts: no read model can be built from it again.",
        "wishgrid republish --help   # into a new topic, once intake and dispatch have stopped",
    ),
    "secrets-of-another": (
        "{why}: with these files no sealed text opens, or nobody is recognised.",
        "put back the file this installation was begun with (from its own backup): {files}",
    ),
    "profile-edited": (
        "Profile {profile} was edited after {service} had used it: it does not start with it.",
        "git checkout -- {folder}   # or put the old text back; the change is the next profile",
    ),
    "profile-absent": (
        "{service} has used profile {profile}, and the folder of towns has no such file: facts "
        "recorded under it wait.",
        "put the file back into {folder}",
    ),
    "relay-behind": (
        "The oldest commit of {service} has waited {seconds} s for Kafka: no instance relays it.",
        f"{_COMPOSE} up --detach {{service}}-1 {{service}}-2",
    ),
    "reader-gone": (
        "{lag} records wait for {group}, and no process reads for it.",
        f"{_COMPOSE} up --detach {{service}}-1 {{service}}-2",
    ),
    "read-model-elsewhere": (
        "Read model {generation} was made from another {topic}: it stands still at {read} of {end} "
        "in partition {partition}.",
        "wishgrid republish --all && wishgrid rebuild",
    ),
    "read-model-outdated": (
        "Read model {generation} {misfit}: projections of this build do not write it.",
        "wishgrid rebuild",
    ),
    "reader-stands-still": (
        "A reader ({where}) has stood still since {since}, so as not to park everything; it skips "
        "nothing. {why}.",
        "wishgrid parked replay --all   # once the mended build runs; where so many really are "
        "bad: raise WISHGRID_MOST_STORIES_PARKED and start it again",
    ),
    "stories-parked": (
        "{count} records in {where} wait until somebody mends their story.",
        "wishgrid parked list   # and once what it names is mended: wishgrid parked replay --all",
    ),
    "reactions-refused": (
        "In {service} a rule refused {count} reactions to facts in the last {days} days ({codes}): "
        "what was to follow did not.",
        "curl -H 'Authorization: Bearer …' <projections>/v1/cases/{story}/timeline   # the latest",
    ),
}


@dataclass(frozen=True)
class Fault:
    """One fault: `name` is stable, `says` one sentence, `mend` the command to type, or what to
    do where no command can know."""

    name: str
    says: str
    mend: str


@dataclass
class Diagnosis:
    """What was found, in the order to mend it, and what could not be looked at."""

    faults: list[Fault] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def add(self, name: str, **words: object) -> None:
        """Add a fault with the words its sentences need."""
        says, mend = KNOWN[name]
        self.faults.append(Fault(name, says.format(**words), mend.format(**words)))

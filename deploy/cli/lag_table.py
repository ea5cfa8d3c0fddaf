"""`wishgrid lag` on a terminal: one table of consumers, one of relays."""

from rich.console import Console
from rich.table import Table

from deploy.lag import Lag


def show(lag: Lag, console: Console) -> None:
    """Print both tables."""
    consumers = Table("consumer", "topic", title="readers")
    for column in ("partition", "end", "read", "lag"):
        consumers.add_column(column, justify="right")
    for consumer, places in lag.consumers.items():
        state = lag.generations.get(consumer)
        name = f"{consumer} ({state})" if state else consumer
        for place in places:
            numbers = (place.partition, place.end, place.read, place.lag)
            consumers.add_row(name, place.topic, *map(str, numbers))
        consumers.add_row("", "", "", "", "[bold]sum", f"[bold]{sum(p.lag for p in places)}")
        consumers.add_section()
    relays = Table("store", title="relays")
    relays.add_column("seconds that the oldest commit waits", justify="right")
    for store, seconds in lag.relays.items():
        relays.add_row(store, f"{seconds:.0f}")
    console.print(consumers)
    console.print(relays)

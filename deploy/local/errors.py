"""What keeps a local server from running, named by what to do about it."""


class InstallFirst(Exception):
    """Something this machine lacks; the message is one sentence naming the package to install."""


class StartFailed(Exception):
    """A process did not come up; the message names its log file and the log's last lines."""

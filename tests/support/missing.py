"""What is said when there is no server to test against."""


class ServerMissingError(Exception):
    """There is no such server here and none can be started; the message says what to do."""

"""One container, and one network of containers, that are gone when their owner is gone, however it went."""

import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from docker.errors import DockerException, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.support.missing import ServerMissingError
from tests.support.ports import LOOPBACK
from tests.support.sandbox import STOP_TIMEOUT, Sandbox

# What a killed run leaves behind is removed by the guard of its sandbox, and not by one more image that has to be had
# and to be given the engine's socket.
testcontainers_config.ryuk_disabled = True


class Box:
    """One container, which keeps its port and its data while it is down."""

    def __init__(
        self,
        sandbox: Sandbox,
        image: str,
        ports: Mapping[int, int],
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = (),
        network: Network | None = None,
        **options: Any,
    ) -> None:
        """`ports`: those inside, each with that on the loopback interface of this machine. In a `network` it is known
        by its `hostname`. When the owner of the `sandbox` is gone, it is too."""
        self._sandbox, self._image = sandbox, image
        self._container = DockerContainer(image).with_envs(**environment).with_kwargs(**options)
        if command:
            self._container.with_command(list(command))
        if network:
            self._container.with_network(network).with_network_aliases(options["hostname"])
        bound = {f"{inside}/tcp": (LOOPBACK, outside) for inside, outside in ports.items()}
        cast("dict[str, Any]", self._container.ports).update(bound)
        self.running = self._made = False

    @property
    def id(self) -> str:
        return str(self._docker.id)

    def start(self) -> None:
        try:
            if self._made:
                self._docker.start()
            else:
                self._container.start()
                self._made = True
                self._sandbox.guard(f"container:{self.id}")
        except DockerException as fault:
            self.close()
            raise ServerMissingError(f"no server from Docker: {self._image} did not start: {fault}") from fault
        self.running = True

    def stop(self) -> None:
        self._docker.stop(timeout=int(STOP_TIMEOUT.total_seconds()))
        self.running = False

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> None:
        self._docker.kill(sign.name)
        self._docker.wait(timeout=STOP_TIMEOUT.total_seconds())
        self.running = False

    def pause(self) -> None:
        self._docker.pause()

    def unpause(self) -> None:
        self._docker.reload()
        if self._docker.status == "paused":
            self._docker.unpause()

    def close(self) -> None:
        with suppress(NotFound):  # this may be repeated
            self._container.stop()
        if self._made:
            self._sandbox.release(f"container:{self.id}")
        self.running = False

    @property
    def has_ended(self) -> bool:
        self._docker.reload()
        return str(self._docker.status) in ("exited", "dead")

    @property
    def pid(self) -> int:
        self._docker.reload()
        return int(self._docker.attrs["State"]["Pid"])

    def succeeds(self, *command: str) -> bool:
        return bool(self._docker.exec_run(command).exit_code == 0)

    def run(self, *command: str) -> str:
        """What it printed.

        :raises RuntimeError: it failed.
        """
        code, output = self._docker.exec_run(command)
        if code:
            raise RuntimeError(f"{command[0]} ended with {code} in its container: {output.decode(errors='replace')}")
        return str(output.decode())

    def tail(self) -> str:
        return str(self._docker.logs(tail=15).decode(errors="replace"))

    @property
    def _docker(self) -> Any:
        return self._container.get_wrapped_container()


class ContainerNetwork:
    """Where the nodes of a cluster reach each other, and the secrets that they share."""

    def __init__(self) -> None:
        self.password, self.cookie = secrets.token_hex(8), secrets.token_hex(16)
        self._sandbox = Sandbox("network")
        try:
            self.network = Network().create()
        except DockerException as fault:
            self._sandbox.close()
            raise ServerMissingError(f"no network from Docker: {fault}") from fault
        self._sandbox.guard(f"network:{self.network.id}")

    def close(self) -> None:
        """Remove it, when its nodes are gone."""
        self.network.remove()
        self._sandbox.release(f"network:{self.network.id}")
        self._sandbox.close()

"""A console into a private RabbitMQ node: what `rabbitmqctl eval` does, in milliseconds, not seconds."""

import shutil
import threading
from collections.abc import Mapping, Sequence

from tests.support.sandbox import Sandbox

# Evaluates each line of its input on the broker's node and answers with one line.
_LOOP = """
Answer = fun(Line) ->
    try
        {ok, Tokens, _} = erl_scan:string(Line),
        {ok, Expressions} = erl_parse:parse_exprs(Tokens),
        {value, Value, _} = rpc:call('%s', erl_eval, exprs, [Expressions, []], 20000),
        {ok, Value}
    catch Class:Reason -> {Class, Reason}
    end
end,
Loop = fun Again() ->
    case io:get_line("") of
        eof -> halt(0, [{flush, false}]);
        Line -> io:format("~0tp~n", [Answer(Line)]), Again()
    end
end,
Loop().
"""


class ErlangConsole:
    """One Erlang node that stays up beside the broker's, also while that is down.

    It needs the broker's cookie in `$HOME` and a running epmd; both come with `env`.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        node: str,
        *,
        env: Mapping[str, str],
        inside: Sequence[str] = (),
        cookie: str | None = None,
    ) -> None:
        """`inside`: a command that runs another one where the broker is, if that is not here. `cookie`: not that of
        `$HOME`."""
        self._sandbox = sandbox
        self._lock = threading.Lock()
        erl = "erl" if inside else shutil.which("erl", path=env["PATH"]) or "erl"
        name = node.replace("@", "-console@")
        flags = [
            "-noshell",
            "-hidden",
            "-start_epmd",
            "false",
            "-sname",
            name,
            *(["-setcookie", cookie] if cookie else []),
        ]
        loopback = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
        self._erl = sandbox.spawn(
            [*inside, erl, *flags, *loopback, "-eval", _LOOP % node], env=env, log="console.log", piped=True
        )

    def evaluate(self, expressions: str) -> str:
        """The value of Erlang expressions (without the final dot) on the broker's node, as Erlang prints it.

        :raises RuntimeError: they failed, or the broker is down.
        """
        with self._lock:
            answer = self._exchange(" ".join(expressions.split()))
        if not answer.startswith("{ok,"):
            raise RuntimeError(f"RabbitMQ did not evaluate {expressions!r}: {answer or 'the console ended'}")
        return answer[len("{ok,") : -1]

    def _exchange(self, line: str) -> str:
        if self._erl.stdin is None or self._erl.stdout is None:
            raise RuntimeError("the Erlang console was started without pipes")
        self._erl.stdin.write(f"{line}.\n")
        self._erl.stdin.flush()
        return self._erl.stdout.readline().rstrip("\n")

    def close(self) -> None:
        """End the console's node."""
        self._sandbox.stop(self._erl)

"""A store on Redis 6 or newer, or Valkey: a value has its version in front, and one script compares and writes.

A client that the application brings need not be redis-py's, nor have its errors: whatever comes out of it is an outage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..errors import StoreError
from . import VERSION_LENGTH, Options, Outcome, Stored, Version, new_version, store_errors

# Answers of the script. One that the driver sent twice finds its own version, and says again that it is done.
# Redis hands out errors as tables; any but that of a foreign type is an outage and goes to the caller.
_REPLACE = """
local found = redis.pcall('GETRANGE', KEYS[1], 0, 15)
if type(found) == 'table' then
  return string.find(found.err, 'WRONGTYPE', 1, true) and 'GONE' or found
end
if #found < 16 then return 'GONE' end
if found ~= ARGV[3] and found ~= string.sub(ARGV[1], 1, 16) then return 'CONFLICT' end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 'DONE'
"""

# A client may be of a library whose errors are not those of redis-py.
_store_errors = partial(store_errors, "Redis cannot be used.")


class RedisStore:
    """Keeps values as strings with a native time to live.

    Args:
        client: a client of redis-py or of a library with its interface, for bytes (`decode_responses` off): of one
            server, of the master that Sentinels know, or of a cluster.
        wait: replicas that must have a write before it counts (`WAIT`); StoreError if they have not in time.
        timeout: seconds; replicas have half of it. The client's own socket timeouts are the client's.
    """

    atomic = True

    def __init__(self, client: Any, *, wait: int = 0, timeout: float = 2.0) -> None:
        if client.get_encoder().decode_responses:
            raise ValueError("the Redis client decodes what it reads: make it with decode_responses=False")
        if getattr(client, "read_from_replicas", False) or getattr(client, "load_balancing_strategy", None):
            raise ValueError(
                "SESSION_REDIS reads from replicas, which hear of a logout late: have it read from masters alone"
            )
        self._client = client
        self._wait = wait
        self._patience = max(1, int(timeout * 500))

    @classmethod
    def from_url(cls, url: str, *, wait: int = 0, timeout: float = 2.0) -> RedisStore:
        """A store with a client of its own, which waits for `timeout` seconds at most and does not try again.

        It speaks RESP2, where a server cannot push what nobody asked for, such as a longer timeout.
        """
        import redis  # an application that brings its client may have another library

        options: dict[str, Any] = {"retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0), "protocol": 2}
        if url.startswith("rediss:"):
            options["ssl_check_hostname"] = True  # which redis-py before 6 leaves out
        client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, **options)
        pool = client.connection_pool
        try:
            pool.connection_class(**pool.connection_kwargs)
        except TypeError as error:
            raise ValueError(f"the Redis URL has an option that the client does not know ({error})") from None
        return cls(client, wait=wait, timeout=timeout)

    def get(self, key: str) -> Stored | None:
        with _store_errors():
            try:
                found = self._client.get(key)
            except Exception as error:
                if _is_foreign(error):
                    return None
                raise
        if found is None or len(found) < VERSION_LENGTH:
            return None
        return Stored(found[VERSION_LENGTH:], Version(found[:VERSION_LENGTH]))

    def add(self, key: str, value: bytes, ttl: int) -> bool:
        version = new_version()
        if self._written(key, lambda to: to.set(key, version + value, nx=True, ex=ttl)):
            return True
        # A driver that lost the answer sends the command again, and is refused by what it has just written.
        return self.replace(key, value, ttl, version) is Outcome.DONE

    def replace(self, key: str, value: bytes, ttl: int, version: Version) -> Outcome:
        written = new_version() + value
        answer = self._written(key, lambda to: to.eval(_REPLACE, 1, key, written, ttl, version))
        return Outcome[answer.decode()]

    def delete(self, key: str) -> None:
        self._written(key, lambda to: to.delete(key))

    def keys(self, prefix: str) -> Iterator[str]:
        with _store_errors():
            for key in self._client.scan_iter(match=_escaped(prefix) + "*", count=500):
                if key.isascii():
                    yield key.decode()

    def _written(self, key: str, write: Callable[[Any], Any]) -> Any:
        """Write, and have it replicated where that is asked for."""
        with _store_errors():
            if not self._wait:
                return write(self._client)
            answer, replicas = self._replicated(key, write)
            if replicas < self._wait:
                raise StoreError(f"Redis did not replicate a write to {self._wait} replicas in time.")
            return answer

    def _replicated(self, key: str, write: Callable[[Any], Any]) -> list[Any]:
        """What the write was answered, and how many replicas have it.

        The pipeline of a cluster will not do: what fails in it is sent again by itself, on another connection.
        """
        cluster = self._client
        if not hasattr(cluster, "get_node_from_key"):
            return self._waited(cluster, write)
        server = getattr(cluster, "get_redis_connection", None) or cluster.get_valkey_connection
        try:
            return self._waited(server(cluster.get_node_from_key(key)), write)
        except Exception as error:
            self.get(key)  # the client goes where it is sent, or looks where its servers are now
            sent_to: Any = error
            if not hasattr(sent_to, "slot_id"):
                raise
            # MOVED or ASK: nothing was written there. ASKING does no harm to a server that has the key already.
            return self._waited(server(cluster.get_node(sent_to.host, sent_to.port)), write, "ASKING")

    def _waited(self, server: Any, write: Callable[[Any], Any], *first: str) -> list[Any]:
        """Write, and `WAIT` right behind it: that speaks of what its own connection wrote."""
        pipeline = server.pipeline(transaction=False)
        for command in first:
            pipeline.execute_command(command)
        write(pipeline)
        pipeline.wait(self._wait, self._patience)
        answers: list[Any] = pipeline.execute(raise_on_error=False)  # its own error would quote the value
        for problem in answers:
            if isinstance(problem, Exception):
                raise problem
        return answers[-2:]


def build(options: Options) -> RedisStore:
    """From a URL, or a client in `SESSION_REDIS`, which is used as it is; without both, Redis on this machine."""
    client, wait = options.settings.get("SESSION_REDIS"), options.settings.get("SESSION_REDIS_WAIT") or 0
    if not isinstance(wait, int) or wait < 0:
        raise ValueError("SESSION_REDIS_WAIT is no number of replicas")
    if options.url is not None or client is None:
        return RedisStore.from_url(options.url or "redis://localhost:6379", wait=wait, timeout=options.timeout)
    if not hasattr(client, "get_encoder"):
        raise ValueError("SESSION_REDIS is no client of redis-py, and SESSION_STORE takes a URL")
    return RedisStore(client, wait=wait, timeout=options.timeout)


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)


def _is_foreign(error: Exception) -> bool:
    """Whether a list or a hash stands under our key, somebody else's value. Any other refusal is an outage."""
    return str(error).startswith("WRONGTYPE")

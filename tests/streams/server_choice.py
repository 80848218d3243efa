"""Which tests of the store run on every server, and which do not, with the reason."""

from redis_servers import RedisSource, Servers

ONCE = {
}
"""By module, or module and test."""

ONE_SERVER = {
}


def servers_of(module: str, test: str, servers: Servers) -> list[RedisSource]:
    """Return the servers on which a test runs."""
    names = {module.rpartition(".")[2], f"{module.rpartition('.')[2]}.{test}"}
    if names & ONCE.keys():
        return [servers.default]
    found = servers.every.values()
    return [one for one in found if one.mode == "single" or not names & ONE_SERVER.keys()]

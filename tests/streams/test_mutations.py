"""The tests are tested: with one line of a script broken, the audit and the model must find it."""

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct
from streams.test_state_machine import Transitions

from millstream_streams import store
from millstream_streams.scripting import Script, load_script


class Mutation(Struct, frozen=True):
    """A mistake that somebody could make in a script."""

    script: str
    right: str
    wrong: str

    def apply(self, script: Script) -> Script:
        """Return the script with the mistake in it. Raises: AssertionError, when the line is no longer there."""
        assert self.right in script.text, f"{self.script}.lua has changed: mend this mutation"
        text = script.text.replace(self.right, self.wrong)
        # Under another name for EVALSHA: the server knows the right one.
        return Script(name=script.name, text=text, sha="0" * 39 + "1")


MUTATIONS = {
    "commit does not compare the token": Mutation(
        "commit", "job[1] == 'running' and job[2] == token", "job[1] == 'running'"
    ),
    "commit forgets the last token": Mutation("commit", "elseif job[3] == token then", "elseif false then"),
    "a retry is scheduled and not put into due": Mutation("commit", "redis.call('ZADD', due, int(run_at), id)", ""),
    "commit acknowledges without deleting": Mutation(
        "commit", "redis.call('XDEL', ready[index], unpack(entries[index]))", ""
    ),
    "hand_back acknowledges without deleting": Mutation("hand_back", "redis.call('XDEL', stream, entry)", ""),
    "hand_back does not compare the token": Mutation("hand_back", " or job[2] ~= token", ""),
    "recover skips the low stream": Mutation(
        "recover", "for index = 1, 3 do\n  local cursor", "for index = 1, 2 do\n  local cursor"
    ),
    "recover buries no job": Mutation("recover", "crashes >= max_crashes", "false"),
    "recover charges a job that had not begun": Mutation(
        "recover", "local crashed = job[1] == 'running'", "local crashed = true"
    ),
    "renew does not compare the token": Mutation("renew", "job[1] == ARGV[at + 3] and ", ""),
    "renew does not ask who holds the entry": Mutation("renew", " and pending[1][2] == consumer", ""),
    "claim gives one job twice": Mutation("claim", "if given[id] then return end", ""),
    "claim runs a late job": Mutation("claim", "if expires_at and expires_at <= now then", "if false then"),
    "claim takes what another has read": Mutation("claim", " and pending[1][2] == consumer", ""),
    "cancel leaves the entry": Mutation("cancel", "drop_entry(ready[stream_index(job[3])], job[2])", ""),
    "redrive leaves the dead letter": Mutation("redrive", "redis.call('XDEL', dlq, job[2])", ""),
    "discard keeps the job for ever": Mutation("discard", "redis.call('PEXPIRE', key, ttl_ms)", ""),
    "release_due leaves the job in due": Mutation("release_due", "redis.call('ZREM', due, unpack(ids))", ""),
    "enqueue forgets idempotency keys": Mutation("enqueue", "if idempotency_key ~= '' then", "if false then"),
    "enqueue stores an id twice": Mutation("enqueue", "redis.call('EXISTS', jobs .. id) == 1", "false"),
}

# Without a search for the shortest example: that it is found is enough. Derandomized, so that it is found each time.
SEARCH = settings(
    max_examples=150,
    stateful_step_count=50,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    verbosity=hypothesis.Verbosity.quiet,
)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_script_is_found(redis_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Random transitions against the model meet the mistake."""
    mutation = MUTATIONS[name]

    def load(wanted: str) -> Script:
        script = load_script(wanted)
        return mutation.apply(script) if wanted == mutation.script else script

    monkeypatch.setattr(store, "load_script", load)
    machine = type("TransitionsHere", (Transitions,), {"redis_url": redis_url})
    with pytest.raises(Exception, match=r".") as caught:
        run_state_machine_as_test(machine, settings=SEARCH)
    assert isinstance(caught.value, AssertionError | KeyError), repr(caught.value)

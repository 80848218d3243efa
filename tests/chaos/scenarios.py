"""Every scenario by name: the rows of the table of faults in docs/guarantees.md."""

from chaos import (
    draining,
    families,
    history_faults,
    hostile,
    kills,
    links,
    mixed,
    moves,
    occasions,
    outages,
    poison,
    redis_faults,
)
from chaos.fleet import Timing
from chaos.history_keeper import HistoryKeeper
from chaos.scenario import Scenario
from chaos.submitter import EVERYDAY, Wish
from chaos.topology_keepers import ClusterKeeper, TrioKeeper

PROCESS_PARENT = Wish(type="chaos.process-parent", weight=4)
"""Not where workers leave: a job that is handed back while its process starts looks like one that never had a slot."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="mixed", act=mixed.mixed),
        Scenario(name="kills", act=kills.kills, mix=(*EVERYDAY, PROCESS_PARENT)),
        Scenario(name="zombie", act=kills.zombie, rules=(kills.a_zombie_was_refused,), rate_per_s=15),
        Scenario(
            name="drain",
            act=draining.drain,
            timing=draining.TIMING,
            rate_per_s=0,
            rules=(draining.none_waits_for_a_lease,),
            describe={"handed back": draining.describe_waits},
        ),
        Scenario(name="redis-restart", act=redis_faults.redis_restart),
        Scenario(name="outage", act=outages.outage),
        Scenario(name="full", act=redis_faults.full),
        Scenario(
            name="poison",
            act=poison.poison,
            timing=poison.TIMING,
            mix=poison.NEIGHBOURS,
            rate_per_s=20,
            rules=(poison.neighbours_were_there,),
        ),
        Scenario(
            name="hostile",
            act=hostile.hostile,
            timing=hostile.TIMING,
            rate_per_s=0,
            rules=(
                hostile.nothing_is_charged,
                hostile.no_job_is_stained,
                hostile.clean_up_ends,
                hostile.nothing_is_left_behind,
                hostile.releases_cost_nothing,
            ),
        ),
        Scenario(
            name="schedules",
            act=occasions.schedules,
            rate_per_s=0,
            rules=(occasions.each_occasion_has_one_job,),
            # Their jobs come from schedules.
            waived=frozenset({"every_job_was_submitted"}),
        ),
        Scenario(
            name="dependencies",
            act=families.dependencies,
            rate_per_s=10,
            rules=(families.some_job_waited,),
            describe={"jobs that waited": families.describe_families},
        ),
        Scenario(name="duplicates", act=links.duplicates, copies=3, rate_per_s=20),
        Scenario(
            name="failover",
            act=moves.failover,
            redis=TrioKeeper,
            # Children that handlers submit are not confirmed by a replica.
            mix=tuple(wish for wish in EVERYDAY if wish.type != "chaos.parent"),
            headers={"Prefer": "durability=replicated"},
            waived=moves.WAIVED,
            describe={"lost by the failovers": moves.describe_losses},
        ),
        Scenario(
            name="history-away",
            act=history_faults.history_away,
            history=HistoryKeeper,
            rules=(history_faults.every_step_is_remembered, history_faults.every_end_is_remembered),
        ),
        Scenario(name="slot-move", act=moves.slot_move, redis=ClusterKeeper),
        Scenario(name="slow-link", act=links.slow_link, timing=Timing(grace_s=2.0)),
    )
}

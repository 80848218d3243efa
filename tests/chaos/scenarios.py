"""Every scenario by name: the rows of the table of faults in docs/guarantees.md."""

from chaos import (
    breakers,
    draining,
    durables,
    families,
    graphs,
    history_faults,
    hostile,
    kills,
    limited,
    links,
    mixed,
    moves,
    occasions,
    outages,
    packs,
    poison,
    quota,
    redis_faults,
    tenant_rules,
    tenants,
    unique_jobs,
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
        Scenario(
            name="workflows",
            act=graphs.workflows,
            history=HistoryKeeper,
            rate_per_s=5,
            rules=(graphs.each_node_ran_once_and_in_order,),
            # The jobs of nodes come from workflows.
            waived=frozenset({"every_job_was_submitted"}),
        ),
        Scenario(
            name="workflows-failover",
            act=graphs.workflows_failover,
            redis=TrioKeeper,
            rate_per_s=0,
            rules=(graphs.each_node_ran_once_and_in_order,),
            waived=moves.WAIVED | {"every_job_was_submitted"},
            describe={"lost by the failovers": moves.describe_losses},
        ),
        Scenario(
            name="workflows-slot-move",
            act=graphs.workflows_slot_move,
            redis=ClusterKeeper,
            rate_per_s=5,
            rules=(graphs.each_node_ran_once_and_in_order,),
            waived=frozenset({"every_job_was_submitted"}),
        ),
        Scenario(
            name="batches",
            act=packs.batches,
            rate_per_s=5,
            rules=(packs.each_callback_ran_once_and_after_all_members,),
            # Members and callbacks come from batches.
            waived=frozenset({"every_job_was_submitted"}),
        ),
        Scenario(
            name="limits",
            act=limited.limits,
            mix=(*limited.MIX, *breakers.MIX),
            rate_per_s=25,
            rules=(
                *limited.RULES,
                unique_jobs.no_two_jobs_hold_a_key,
                unique_jobs.no_two_jobs_of_a_key_run_at_once,
                unique_jobs.keys_were_in_the_way,
                breakers.attempts_were_spared,
            ),
            # How long the breaker was open is no fault of workers.
            waived=frozenset({"ready_jobs_soon_start"}),
            describe={**limited.DESCRIBE, "unique jobs": unique_jobs.describe_conflicts},
        ),
        Scenario(
            name="limits-failover",
            act=limited.limits_failover,
            redis=TrioKeeper,
            mix=limited.MIX,
            rate_per_s=15,
            headers={"Prefer": "durability=replicated"},
            rules=limited.RULES,
            waived=moves.WAIVED,
            describe={**limited.DESCRIBE, "lost by the failovers": moves.describe_losses},
        ),
        Scenario(
            name="quota",
            act=quota.quota,
            mix=quota.MIX,
            rate_per_s=8,
            rules=(quota.no_more_run_at_once_than_the_quota_says,),
            # They wait for their turn.
            waived=frozenset({"ready_jobs_soon_start"}),
            describe={"most at once": lambda evidence: str(quota.most_of_all(evidence))},
        ),
        Scenario(
            name="flow",
            act=breakers.flow,
            mix=breakers.MIX,
            rate_per_s=20,
            rules=(
                unique_jobs.no_two_jobs_hold_a_key,
                unique_jobs.no_two_jobs_of_a_key_run_at_once,
                unique_jobs.keys_were_in_the_way,
                breakers.attempts_were_spared,
            ),
            # How long the breaker was open is no fault of workers.
            waived=frozenset({"ready_jobs_soon_start"}),
            describe={"unique jobs": unique_jobs.describe_conflicts},
        ),
        Scenario(
            name="durable",
            act=durables.durables,
            rate_per_s=5,
            rules=durables.RULES,
            describe={"steps kept": durables.describe_durables},
        ),
        Scenario(
            name="durable-cluster",
            act=durables.durables_on_cluster,
            redis=ClusterKeeper,
            rate_per_s=5,
            rules=durables.RULES,
            describe={"steps kept": durables.describe_durables},
        ),
        Scenario(
            name="tenants",
            act=tenants.tenants,
            timing=tenants.TIMING,
            history=HistoryKeeper,
            tenants=tenants.TENANTS,
            rate_per_s=0,
            rules=tenant_rules.RULES,
            # How long a tenant is suspended is no fault of workers.
            waived=frozenset({"ready_jobs_soon_start"}),
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

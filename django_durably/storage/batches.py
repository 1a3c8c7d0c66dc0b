"""One transaction of the journal: everything that waits, and a claim, in one commit."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from django_durably.events import EventDraft
from django_durably.storage import (
    checkpoints,
    claims,
    database,
    events,
    leases,
    reports,
    transitions,
)
from django_durably.storage.changes import Change, ClaimRequest, Lease
from django_durably.storage.claims import NOTHING, Claims
from django_durably.storage.leases import Hold


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a batch.

    Changes of a lease in ``lost`` were not stored and never will be; those of a lease in
    ``locked_elsewhere`` were not stored yet, because somebody else holds the run's row.
    """

    lost: dict[Lease, str | None] = field(default_factory=dict)
    locked_elsewhere: set[Lease] = field(default_factory=set)
    claims: Claims = NOTHING
    drafts: tuple[EventDraft, ...] = ()
    event_ids: tuple[int, ...] = ()
    freed: bool = False


@database.retrying
def commit(changes: Sequence[Change], request: ClaimRequest | None = None) -> Committed:
    """Store changes of leased runs, then claim: what frees a key goes before what takes it.

    What comes after the settlement of a lease is not stored: it ends with it.
    """
    changes = until_settled(changes)
    with database.atomic() if _needs_transaction(changes, request) else nullcontext():
        stored = _store(changes) if changes else Committed()
        taken = claims.claim(request) if request is not None else NOTHING
    return Committed(
        stored.lost,
        stored.locked_elsewhere,
        taken,
        (*stored.drafts, *taken.drafts),
        (*stored.event_ids, *taken.event_ids),
        stored.freed,
    )


def until_settled(changes: Sequence[Change]) -> list[Change]:
    """Without the changes of a lease that come after its settlement."""
    settled: set[Lease] = set()
    kept = []
    for change in changes:
        if change.lease not in settled or change.of_cancelled:
            kept.append(change)
        if change.settlement is not None:
            settled.add(change.lease)
    return kept


def _needs_transaction(changes: Sequence[Change], request: ClaimRequest | None) -> bool:
    """False when all is one statement, which is a transaction by itself."""
    return request is not None or not _is_plain(changes) or any(c.settlement for c in changes)


def _is_plain(changes: Sequence[Change]) -> bool:
    is_postgresql = database.connection().vendor == "postgresql"
    return is_postgresql and not any(change.of_cancelled for change in changes)


def _store(changes: Sequence[Change]) -> Committed:
    if _is_plain(changes):
        held, kept, event_ids = _store_at_once(changes)
    else:
        held, kept, event_ids = _store_step_by_step(changes)
    freed = transitions.free_keys(kept)
    transitions.forget_steps(kept)
    drafts = tuple(draft for change in kept for draft in change.events)
    return Committed(
        held.lost, held.locked_elsewhere, drafts=drafts, event_ids=tuple(event_ids), freed=freed
    )


def _store_at_once(changes: Sequence[Change]) -> tuple[Hold, list[Change], list[int]]:
    from django_durably.storage import postgresql

    stored, event_ids = postgresql.store(changes)
    held = leases.sort_out(dict.fromkeys(c.lease for c in changes), stored)
    return held, [c for c in changes if c.lease in stored], event_ids


def _store_step_by_step(changes: Sequence[Change]) -> tuple[Hold, list[Change], list[int]]:
    held = leases.hold(dict.fromkeys(c.lease for c in changes if not c.of_cancelled))
    noted = leases.still_cancelled([c.lease for c in changes if c.of_cancelled])
    kept = [c for c in changes if c.lease in (noted if c.of_cancelled else held.kept)]
    checkpoints.save(kept)
    reports.save(kept)
    transitions.advance([c for c in kept if not c.of_cancelled])
    transitions.settle(kept)
    return held, kept, events.record([draft for change in kept for draft in change.events])


def stored_leases(changes: Sequence[Change]) -> set[Lease]:
    """The leases whose part of this batch is in the database already.

    A connection can break between the commit and its answer. What one lease has in a batch is
    stored as a whole, so one step or settlement tells of all. Reports alone leave no such trace:
    at worst their log lines are there twice.
    """
    tries = checkpoints.tries([c.lease.run_id for c in changes if c.step is not None])
    settled = [c for c in changes if c.settlement is not None]
    status = leases.status_of([c.lease for c in settled])
    return {
        c.lease
        for c in changes
        if (c.step and (c.lease.run_id, c.lease.generation, c.step.name, c.step.attempt) in tries)
        or (c.settlement and status.get(c.lease) == c.settlement.status)
    }

"""One transaction of the journal: everything that waits, and a claim, in one commit."""

from collections.abc import Sequence
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
    """Store these changes of leased runs, then claim: what frees a key comes before what takes it."""
    with database.atomic():
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


def _store(changes: Sequence[Change]) -> Committed:
    held = leases.hold(dict.fromkeys(c.lease for c in changes if not c.of_cancelled))
    noted = leases.still_cancelled([c.lease for c in changes if c.of_cancelled])
    kept = [c for c in changes if c.lease in (noted if c.of_cancelled else held.kept)]
    checkpoints.save(kept)
    reports.save(kept)
    transitions.advance([c for c in kept if not c.of_cancelled])
    freed = transitions.settle(kept, held.keys)
    drafts = tuple(draft for change in kept for draft in change.events)
    event_ids = tuple(events.record(drafts))
    return Committed(
        held.lost, held.locked_elsewhere, drafts=drafts, event_ids=event_ids, freed=freed
    )


def was_committed(changes: Sequence[Change]) -> bool:
    """True when this batch is in the database already.

    A connection can break between the commit and its answer. A batch is stored as a whole, so
    one step or settlement tells of all. A batch of reports alone leaves no such trace: at worst
    its log lines are there twice.
    """
    stored = checkpoints.load([c.lease.run_id for c in changes if c.step is not None])
    tries = {(run_id, s.name, s.attempt) for run_id, steps in stored.items() for s in steps}
    if any(c.step and (c.lease.run_id, c.step.name, c.step.attempt) in tries for c in changes):
        return True
    settled = [c for c in changes if c.settlement is not None]
    status = leases.status_of([c.lease for c in settled])
    return any(
        c.settlement is not None and status.get(c.lease) == c.settlement.status for c in settled
    )

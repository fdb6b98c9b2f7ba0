"""Puts what the pollsters of a tick yielded into batches for the journal; apart from waiting for them."""

from collections.abc import Callable, Iterable
from operator import attrgetter

from meteragent import wire
from meteragent.batch import Batch, Begun, Kept, Outcome, Poll, Provenance, Refused
from meteragent.errors import Unavailable
from meteragent.pollsters.calls import Call
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.refusals import Turned, fold, no_text, turned
from meteragent.sample import Sample

Accept = Callable[[Batch, list[Refused], int], Batch]
"""Journals a batch and what was refused, told how many samples both are together."""

_METADATA = attrgetter("resource_metadata.json")


class Account:
    """What became of one call: its poll row, as far as it is known."""

    def __init__(self, call: Call, now: int) -> None:
        self.call, self.began = call, now
        self.ended: int | None = None
        self.outcome: Outcome = "complete"
        self.reason = ""
        self.samples = self.refused = 0
        """Taken."""
        self.journaled = self.quarantined = 0
        """Of those, what the journal has."""
        self.kept: Kept | None = None
        """The state that goes with the row."""

    def row(self) -> Poll:
        """The poll row of a call that ended."""
        call = self.call
        remarks = [*call.problems, *call.remarks]
        if self.refused:
            remarks.append(f"{self.refused} samples refused")
        return Poll(
            call.caller.polling_source,
            call.tick,
            call.caller.name,
            call.began or self.began,
            self.ended or self.began,
            call.resources,
            self.samples,
            self.outcome,
            "; ".join(filter(None, [self.reason, *(each for each in remarks if each not in self.reason)])),
            call.failed,
        )


class Batches:
    """The batches of one tick: the first names all polls under way if it is not the only one."""

    def __init__(self, accept: Accept, limits: Limits, accounts: Iterable[Account], owed: list[Poll]) -> None:
        """
        :param owed: rows of an earlier tick that go with the first batch; emptied then
        """
        self._accept, self._limits, self._owed = accept, limits, owed
        self._accounts = list(accounts)
        self._runs: list[tuple[Account, list[Sample]]] = []
        self._turned: list[tuple[Account, list[Turned]]] = []
        self._ended: list[Account] = []
        self._count, self._weight = 0, 0
        self.begun = False
        """Whether a batch of this tick is in the journal."""

    @property
    def pending(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._count or self._ended or (self._owed and not self.begun))

    def add(self, account: Account, samples: list[Sample], others: list[Turned]) -> None:
        """Take what a call yielded; commits what would be too much together with it."""
        weight = _weight(samples)
        if weight > self._limits.batch_bytes and len(samples) > 1:
            half = len(samples) // 2
            self.add(account, samples[:half], [])
            self.add(account, samples[half:], others)
            return
        self._add(account, samples, others, weight)

    def add_whole(self, account: Account, samples: list[Sample], others: list[Turned]) -> None:
        """Take all that a call yielded, for one commit; as ``end`` follows, with its row and state."""
        self._add(account, samples, others, _weight(samples))

    def _add(self, account: Account, samples: list[Sample], others: list[Turned], weight: int) -> None:
        count = len(samples) + len(others)
        if self._count and (
            self._count + count > self._limits.batch_size or self._weight + weight > self._limits.batch_bytes
        ):
            self.commit()
        if samples:
            self._runs.append((account, samples))
            account.samples += len(samples)
        if others:
            self._turned.append((account, others))
            account.refused += len(others)
        self._count += count
        self._weight += weight

    def end(self, account: Account) -> None:
        """Let the poll row of a call go with its last samples."""
        self._ended.append(account)

    def commit(self) -> None:
        """Hand over what there is.

        :raises Unavailable: when the journal holds; what there is stays
        """
        while True:
            batch, refused = self._batch()
            try:
                self._accept(batch, refused, len(batch.samples) + sum(each.samples for each in refused))
                break
            except ValueError:
                if not self._put_aside():
                    raise
        for account, samples in self._runs:
            account.journaled += len(samples)
        for account, others in self._turned:
            account.quarantined += len(others)
        for account in self._ended:
            if account.kept is not None:
                account.call.caller.journaled(account.kept)
        self._owed.clear()
        self._runs, self._turned, self._ended = [], [], []
        self._count = self._weight = 0
        self.begun = True

    def cut_off(self, now: int, error: Unavailable) -> list[Poll]:
        """The rows still owed of a tick that the journal took a part of.

        :param now: when it ended, microseconds since the epoch
        """
        rows = []
        for account in self._accounts:
            if account.ended is None or account in self._ended:
                account.samples, account.refused = account.journaled, account.quarantined
                account.ended = account.ended or now
                account.outcome = "partial" if account.journaled else "failed"
                account.reason = f"cut off by the journal: {error}"
                rows.append(account.row())
        return rows

    def _batch(self) -> tuple[Batch, list[Refused]]:
        samples = [sample for _, each in self._runs for sample in each]
        rows = [account.row() for account in self._ended]
        open_calls = [account for account in self._accounts if account.ended is None]
        begun = [
            Begun(account.call.caller.polling_source, account.call.tick, account.call.caller.name, at)
            for account in (() if self.begun else open_calls)
            for at in (account.call.began or account.began,)
        ]
        refused = [
            entry
            for account in dict.fromkeys(account for account, _ in self._turned)
            for entry in fold(
                account.call.caller.polling_source,
                account.call.caller.name,
                (one for whose, others in self._turned if whose is account for one in others),
            )
        ]
        kept = [account.kept for account in self._ended if account.kept is not None]
        return Batch(samples, self._provenance(), begun, [*self._owed, *rows], kept=kept), refused

    def _provenance(self) -> list[Provenance]:
        runs: list[tuple[Account, int]] = []
        for account, samples in self._runs:
            if runs and runs[-1][0] is account:
                runs[-1] = (account, runs[-1][1] + len(samples))
            else:
                runs.append((account, len(samples)))
        return [
            Provenance(account.call.caller.polling_source, account.call.caller.name, count)
            for account, count in runs
            if count
        ]

    def _put_aside(self) -> int:
        """Refuse the samples whose text cannot be written; how many there were."""
        found = 0
        for index, (account, samples) in enumerate(self._runs):
            culprits = [sample for sample in samples if not _writable(sample)]
            if culprits:
                found += len(culprits)
                account.samples -= len(culprits)
                account.refused += len(culprits)
                self._runs[index] = (account, [sample for sample in samples if _writable(sample)])
                self._turned.append((account, [turned(each, _reason(each)) for each in culprits]))
        return found


def _weight(samples: list[Sample]) -> int:
    """Bytes of their metadata."""
    return sum(map(len, map(_METADATA, samples)))


def _writable(sample: Sample) -> bool:
    try:
        wire.encode(Batch([sample]))
    except ValueError:
        return False
    return True


def _reason(sample: Sample) -> Exception:
    return no_text(sample) or ValueError("cannot be written")

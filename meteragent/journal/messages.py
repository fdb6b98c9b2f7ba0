"""Messages in the journal: their account, and what becomes of those in quarantine that are replayed.

Messages received = converted + ignored + quarantined + discarded. A message of which nothing came is one
entry of the category ``message``, and none of its samples counts as read. One that was converted, and of
which samples were refused, is an entry of the category ``refused`` that stands for these samples in the
other line: samples read = journaled + refused + discarded.
"""

import apsw
import msgspec

from meteragent.errors import NotFound
from meteragent.journal import account
from meteragent.journal.aside import Aside
from meteragent.journal.quarantine import (
    HEAD,
    MESSAGE,
    MESSAGE_HEAD,
    Entry,
    forget_discarded,
    marked,
    note_discarded,
)
from meteragent.message import Message, Received, SetAside, pack, told_of
from meteragent.plugins.reason import shortened, valid

LONGEST_DETAIL = 2000
"""Characters that are kept of what else is told of a message."""
_LONGEST_LABEL = 255
"""Characters that are kept of what a broker tells of a message; AMQP has no longer ones."""


def asides(received: Received, sequence: int) -> list[Aside]:
    """What goes to quarantine of the messages of a batch; one that comes from there has its entry already."""
    return [] if received.replayed else [_aside(each, sequence) for each in received.aside]


def _aside(each: SetAside, sequence: int) -> Aside:
    index, payload, detail = _kept(each)
    return Aside(
        "message" if each.whole else "refused", "", sequence, index,
        shortened(valid(each.reason)), 0 if each.whole else each.samples, payload, detail,
        message_id=shortened(valid(each.message_id)), event_type=shortened(valid(each.event_type)),
    )  # fmt: skip


def _kept(each: SetAside) -> tuple[int, bytes, str]:
    """What stands for an index, the payload and the detail of a message."""
    message, detail = each.message, valid(each.detail)
    body = message.body
    index = MESSAGE
    if len(body) > HEAD:
        index = MESSAGE_HEAD
        detail = f"the first {HEAD} of {each.sent or told_of(body)}; it cannot be replayed" + (
            f"\n{detail}" if detail else ""
        )
        body = body[:HEAD]
    labels = (message.routing_key, message.content_type, message.content_encoding)
    told = [None if label is None else valid(label)[:_LONGEST_LABEL] for label in labels]
    payload = pack(Message(body, told[0] or "", told[1], told[2]))
    return index, payload, detail if len(detail) <= LONGEST_DETAIL else detail[:LONGEST_DETAIL] + "…"


def count(connection: apsw.Connection, received: Received) -> None:
    """Add the messages of a batch to their account."""
    account.count_messages(
        connection,
        received=received.messages,
        converted=received.converted,
        ignored=received.ignored,
        quarantined=received.quarantined,
    )


def settle(connection: apsw.Connection, received: Received, journaled: int, at: int) -> None:
    """Move the account by what became of a message that was in quarantine, and settle its entry.

    Nothing came of it again: the entry stays, with the new reason, and no line moves. Else the message moves
    from quarantined to converted or ignored, if it stood there, and its samples count so: those refused
    before, n, are no longer refused, and those read now, s journaled and r refused, were read before as far
    as they are n; so read grows by s + r - n. Where s + r is less than n, present definitions no longer make
    the others, and they are discarded under the name of who asked for the replay. Samples that were stored
    before are journaled again, and are duplicates in the store.

    :param journaled: samples that came of it and were not refused, s
    :raises NotFound: when it was discarded meanwhile, or marked anew; then nothing may be journaled of it
    """
    (entry,) = marked(connection, "", received.replayed - 1, 1) or (None,)
    if entry is None or entry.serial != received.replayed:
        raise NotFound(f"replay {received.replayed} is no longer asked for")
    aside = _aside(received.aside[0], entry.sequence) if received.aside else None
    if aside is not None and aside.category == "message":
        _keep(connection, entry, msgspec.structs.replace(aside, category=entry.category), entry.samples)
        return
    if entry.category == "message":
        into = "ignored" if received.ignored else "converted"
        account.count_messages(connection, quarantined=-1, **{into: 1})
    read = journaled + received.refused
    gone = max(0, entry.samples - read)
    account.count(
        connection,
        read=read - entry.samples + gone,
        journaled=journaled,
        refused=received.refused - entry.samples,
        discarded=gone,
    )
    if aside is not None:
        _keep(connection, entry, aside, aside.samples)
    else:
        connection.execute("delete from quarantine where id = ?", (entry.id,))
    if gone:
        note_discarded(connection, entry, at, entry.by, gone)
        forget_discarded(connection)


def _keep(connection: apsw.Connection, entry: Entry, aside: Aside, samples: int) -> None:
    """Leave an entry with what is wrong with it now."""
    connection.execute(
        "update quarantine set state = 'kept', category = ?, reason = ?, detail = ?, samples = ?"
        " where id = ?",
        (aside.category, aside.reason, aside.detail, samples, entry.id),
    )

//! The rules that the append protocol rests on, each to be taken away alone, and what each frame of the model is.

/// Which rule is off. The letters are those of docs/ARCHITECTURE.md, "The one idea".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Off {
    /// None: the protocol as it is.
    Nothing,
    /// The store's: an append whose expected head is not the head stores nothing. Off: it is written where it was meant to go.
    ExpectedHead,
    /// The store's: head and events are one batch. Off: the head may move without the events.
    OneBatch,
    /// A: whoever appends has read what took effect. Off: a room that starts does not read the dedupe window.
    WindowRead,
    /// A: sender and `msg_id` are in the event's own row. Off: what is read from the store tells nobody whose it is.
    KeysInTheRow,
    /// A: an event that another appended is remembered like one's own. Off: only the head is taken from what is followed.
    TailRemembered,
    /// B: after `Conflict` the tail is read. Off: the head that the answer names is taken, and the batch appended behind it.
    TailAfterConflict,
    /// B: after `Conflict` anything is read at all. Off: the batch is sent again as it was.
    ReadAfterConflict,
    /// B: after `Unknown` the tail is read. Off: the append is taken for done.
    TailAfterUnknown,
    /// B, as the client hears it: a frame whose append ended unknown is not refused as not stored while it may yet be. Off: it is, where its next append is refused.
    DoubtKept,
    /// C: an event is published once it is durable. Off: when its append is sent.
    PublishDurable,
    /// C and P-1: a frame is acknowledged once its event is durable. Off: when its append is sent.
    AcknowledgeDurable,
    /// D: membership is what the timeline says. Off: it is read beside the timeline when the room starts.
    MembersFromEvents,
    /// D: a projection knows the position it has reached, and catches up from there. Off: it is taken as that of the head.
    ProjectionCatchesUp,
    /// P-5: a named head is a reason to read, nothing more. Off: it is taken as one's own.
    HeadsAreHints,
    /// Not needed for safety: after `Unknown` the append may be repeated unread, if the tail is read after `Conflict`.
    ReadBeforeRepeat,
    /// Not needed for safety: a room may start from an old head, and learns from the first append that it is behind.
    NewestHead,
}

/// Every rule, with the property that must fail without it.
pub(crate) const RULES: [(Off, &str); 15] = [
    (Off::ExpectedHead, super::property::ACKNOWLEDGED),
    (Off::OneBatch, super::property::HOLES),
    (Off::WindowRead, super::property::ONCE),
    (Off::KeysInTheRow, super::property::ONCE),
    (Off::TailRemembered, super::property::ONCE),
    (Off::TailAfterConflict, super::property::ONCE),
    (Off::ReadAfterConflict, super::property::ANSWERED),
    (Off::TailAfterUnknown, super::property::ACKNOWLEDGED),
    (Off::DoubtKept, super::property::NOTHING_STORED),
    (Off::PublishDurable, super::property::PUBLISHED),
    (Off::AcknowledgeDurable, super::property::ACKNOWLEDGED),
    (Off::MembersFromEvents, super::property::MEMBERS),
    (Off::ProjectionCatchesUp, super::property::MEMBERS),
    (Off::HeadsAreHints, super::property::ONCE),
    (Off::HeadsAreHints, super::property::GAPS),
];

/// What the code does for speed or for the client's sake, and no property hangs on.
pub(crate) const NOT_NEEDED: [Off; 2] = [Off::ReadBeforeRepeat, Off::NewestHead];

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Ana, who is always a member, sends a message.
    Message,
    /// Bob, who can be put out, sends a message.
    BobsMessage,
    /// Ana puts Bob out.
    PutsBobOut,
}

/// A frame with its `msg_id`, and how often its client sends it at most: a copy may go to any node at any time, acknowledged or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// What it asks for.
    pub(crate) asks: Asks,
    /// Sends.
    pub(crate) sends: u8,
}

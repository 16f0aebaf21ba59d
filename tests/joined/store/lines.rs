//! One line to the store: what was asked for and not done, what was told and has not come, and what is heard.

use std::collections::{BTreeSet, VecDeque};

use core_shards::cursor::RunId;
use core_shards::store::{Append, Refused, StoreEvent, StoreRequest, StoreTrouble, Topic, Unanswered};
use core_shards::{ChannelName, Partition, Placement};

pub(super) struct Line {
    pub(super) run: RunId,
    partitions: Vec<Partition>,
    pub(super) is_up: bool,
    is_dead: bool,
    requests: VecDeque<StoreRequest>,
    /// Appends of a former line that have not reached the store, and still may.
    late: VecDeque<Box<Append>>,
    events: VecDeque<StoreEvent>,
    /// What is to be heard; what was opened stays so until it is closed.
    watched: BTreeSet<ChannelName>,
    /// Requests that have an answer and have not got it.
    unanswered: Vec<Unanswered>,
}

impl Line {
    pub(super) fn new(run: RunId, partitions: Vec<Partition>) -> Self {
        Self {
            run,
            partitions,
            is_up: false,
            is_dead: false,
            requests: VecDeque::new(),
            late: VecDeque::new(),
            events: VecDeque::new(),
            watched: BTreeSet::new(),
            unanswered: Vec::new(),
        }
    }

    pub(super) fn ask(&mut self, request: StoreRequest) {
        let answered = answer_to(&request);
        if let Some(request) = told_if_undone(&request).filter(|_| !self.is_up) {
            self.refuse(request);
        } else if self.is_up {
            self.unanswered.extend(answered);
            self.requests.push_back(request);
        } else if let Some(request) = answered {
            self.refuse(request);
        } else if let StoreRequest::Close(channel) = &request {
            self.watched.remove(channel);
        }
    }

    fn refuse(&mut self, request: Unanswered) {
        if let Unanswered::Open(channel) = &request {
            self.watched.remove(channel);
        }
        let refused = Refused { request, reason: StoreTrouble::Away };
        self.events.push_back(StoreEvent::Refused(Box::new(refused)));
    }

    pub(super) fn next_request(&mut self) -> Option<StoreRequest> {
        self.requests.pop_front()
    }

    pub(super) fn next_late(&mut self) -> Option<Box<Append>> {
        self.late.pop_front()
    }

    pub(super) fn forget_late(&mut self) {
        self.late.clear();
    }

    pub(super) fn tell(&mut self, event: StoreEvent) {
        if self.is_up {
            self.events.push_back(event);
        }
    }

    pub(super) fn next_event(&mut self) -> Option<StoreEvent> {
        let event = self.events.pop_front()?;
        self.unanswered.retain(|request| !is_answer(&event, request));
        Some(event)
    }

    pub(super) fn is_busy(&self, is_running: bool) -> bool {
        !self.events.is_empty() || is_running && !self.requests.is_empty()
    }

    pub(super) fn watch(&mut self, channel: &ChannelName) {
        self.watched.insert(channel.clone());
    }

    pub(super) fn unwatch(&mut self, channel: &ChannelName) {
        self.watched.remove(channel);
    }

    /// Whether a session's private id says that it began on this line's node.
    pub(super) fn began(&self, pid: &str) -> bool {
        pid.starts_with(self.run.as_str())
    }

    pub(super) fn hears_channel(&self, channel: &ChannelName, partition: Partition) -> bool {
        let is_user = channel.starts_with("user:");
        self.is_up && (self.watched.contains(channel) || is_user && self.partitions.contains(&partition))
    }

    pub(super) fn hears_topic(&self, topic: &Topic, placement: &Placement) -> bool {
        let hears_first = self.partitions.contains(&Partition(0));
        self.is_up
            && match topic {
                Topic::Channel(channel) => {
                    let partition = placement.partition_of(channel);
                    partition.is_some_and(|partition| self.partitions.contains(&partition))
                        && self.watched.contains(channel)
                }
                Topic::Presence(partition) => self.partitions.contains(partition),
                Topic::Everybody => hears_first,
                Topic::Node(run) => hears_first && *run == self.run,
            }
    }

    pub(super) fn connect(&mut self) {
        // A line takes longer to make than its owner to hear that the one before broke.
        if self.is_up || self.is_dead || !self.events.is_empty() {
            return;
        }
        self.is_up = true;
        self.events.extend(self.partitions.iter().copied().map(StoreEvent::Up));
    }

    pub(super) fn cut(&mut self) {
        if !self.is_up {
            return;
        }
        self.is_up = false;
        let mut undone = Vec::new();
        for request in self.requests.drain(..) {
            match request {
                StoreRequest::Append(append) => self.late.push_back(append),
                other => undone.extend(told_if_undone(&other)),
            }
        }
        // What did not come by now never does.
        self.events.retain(|event| {
            matches!(event, StoreEvent::Refused(_) | StoreEvent::Up(_) | StoreEvent::Down(_))
        });
        let refused = std::mem::take(&mut self.unanswered);
        self.events.extend(self.partitions.iter().copied().map(StoreEvent::Down));
        undone.into_iter().for_each(|request| self.refuse(request));
        let is_refused = |event: &StoreEvent, request: &Unanswered| is_answer(event, request);
        for request in refused {
            if !self.events.iter().any(|event| is_refused(event, &request)) {
                self.refuse(request);
            }
        }
    }

    pub(super) fn die(&mut self) {
        (self.is_up, self.is_dead) = (false, true);
        self.requests.clear();
        self.late.clear();
        self.events.clear();
    }
}

fn answer_to(request: &StoreRequest) -> Option<Unanswered> {
    match request {
        StoreRequest::Append(append) => Some(Unanswered::Append(append.partition, append.number)),
        StoreRequest::Open(channel) => Some(Unanswered::Open(channel.clone())),
        StoreRequest::CatchUp(catch_up) => Some(Unanswered::CatchUp(catch_up.partition, catch_up.ticket)),
        StoreRequest::AskAbsences { ticket, .. } => Some(Unanswered::AskAbsences(*ticket)),
        StoreRequest::TakeSession { ticket, .. } => Some(Unanswered::TakeSession(*ticket)),
        StoreRequest::Renew { .. } => Some(Unanswered::Renew),
        StoreRequest::Close(_)
        | StoreRequest::Renounce(..)
        | StoreRequest::Signal(..)
        | StoreRequest::KeepSession { .. }
        | StoreRequest::NoteAbsences { .. }
        | StoreRequest::EndAbsence { .. }
        | StoreRequest::DropSession { .. } => None,
    }
}

/// What has no answer but is told if it was not done.
fn told_if_undone(request: &StoreRequest) -> Option<Unanswered> {
    match request {
        StoreRequest::KeepSession { ticket, .. } => Some(Unanswered::KeepSession(*ticket)),
        StoreRequest::NoteAbsences { user, .. } => Some(Unanswered::NoteAbsences(user.clone())),
        _ => None,
    }
}

fn is_answer(event: &StoreEvent, request: &Unanswered) -> bool {
    match (event, request) {
        (StoreEvent::Appended { partition, number, .. }, Unanswered::Append(of, asked)) => {
            (partition, number) == (of, asked)
        }
        (StoreEvent::Opened(opened), Unanswered::Open(channel)) => opened.channel == *channel,
        (StoreEvent::CaughtUp(caught_up), Unanswered::CatchUp(_, ticket)) => caught_up.ticket == *ticket,
        (StoreEvent::Taken { ticket, .. }, Unanswered::TakeSession(asked))
        | (StoreEvent::Absences { ticket, .. }, Unanswered::AskAbsences(asked)) => ticket == asked,
        (StoreEvent::Leases { .. }, Unanswered::Renew) => true,
        (StoreEvent::Refused(refused), request) => format!("{:?}", refused.request) == format!("{request:?}"),
        _ => false,
    }
}

//! One project: its events, its state by the events, and its projection, which trails behind. Does no I/O.

use std::collections::VecDeque;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::config::Lag;
use crate::random;
use crate::world::build::ChangeError;
use crate::world::events::{Event, EventKind};
use crate::world::model::Model;

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) org: String,
    pub(crate) events: Vec<Event>,
    /// What commands see: strongly consistent.
    pub(crate) current: Model,
    /// What GET and introspection see.
    projected: Model,
    pending: VecDeque<Pending>,
}

/// An event on its way to the projection.
#[derive(Debug)]
struct Pending {
    event: Event,
    /// Nothing: only when forced.
    due: Option<Instant>,
}

/// An event that is about to be pushed.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) kind: EventKind,
    pub(crate) app: Option<String>,
    pub(crate) editor: String,
    pub(crate) passed_by: bool,
}

impl NewEvent {
    pub(crate) fn of_project(kind: EventKind, editor: &str) -> Self {
        Self {
            kind,
            app: None,
            editor: editor.to_owned(),
            passed_by: false,
        }
    }

    pub(crate) fn of_app(kind: EventKind, app: &str, editor: &str) -> Self {
        Self {
            kind,
            app: Some(app.to_owned()),
            editor: editor.to_owned(),
            passed_by: false,
        }
    }
}

impl Project {
    pub(crate) fn new(id: String, org: String) -> Self {
        Self {
            id,
            org,
            events: Vec::new(),
            current: Model::default(),
            projected: Model::default(),
            pending: VecDeque::new(),
        }
    }

    /// Appends one event and returns its sequence. Two events of one push share `created_at`.
    pub(crate) fn push(&mut self, new: NewEvent, created_at: Timestamp, lag: Lag) -> u64 {
        let event = self.append(new, created_at);
        let sequence = event.sequence;
        self.enqueue(event, lag);
        sequence
    }

    /// Two transactions at once: the first to start commits last. The later `created_at` has the lower sequence and survives.
    /// Returns sequence and date of the survivor and of the loser.
    pub(crate) fn push_crossed(
        &mut self,
        survivor: NewEvent,
        loser: NewEvent,
        created_at: Timestamp,
        lag: Lag,
    ) -> [(u64, Timestamp); 2] {
        let survivor = self.append(survivor, created_at);
        let loser = self.append(loser, created_at - SignedDuration::from_micros(500));
        let pushed = [&survivor, &loser].map(|event| (event.sequence, event.created_at));
        self.enqueue(loser, lag);
        self.enqueue(survivor, lag);
        pushed
    }

    /// Whether an app may be called this: no other app of the project is, in any case (`internal/repository/project/application.go`,
    /// `UniqueAppNameType`; the event store compares in lower case).
    pub(crate) fn name_is_free(&self, name: &str, app: &str) -> Result<(), ChangeError> {
        match self.current.app_named(name) {
            Some(holder) if holder != app => Err(ChangeError::NameInUse {
                project: self.id.clone(),
                name: name.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn append(&mut self, new: NewEvent, created_at: Timestamp) -> Event {
        let sequence = self.events.last().map_or(0, |last| last.sequence) + 1;
        let event = Event {
            sequence,
            kind: new.kind,
            app: new.app,
            editor: new.editor,
            created_at,
            passed_by: new.passed_by,
        };
        self.current.apply(&event);
        self.events.push(event.clone());
        event
    }

    fn enqueue(&mut self, event: Event, lag: Lag) {
        if event.passed_by {
            return;
        }
        // The queue keeps its order, so an event waits for those before it.
        let due = random::lag(lag).map(|lag| Instant::now() + lag);
        self.pending.push_back(Pending { event, due });
    }

    /// The projection as it is now.
    pub(crate) fn projected(&mut self) -> &Model {
        let now = Instant::now();
        while self
            .pending
            .front()
            .is_some_and(|first| first.due.is_some_and(|due| due <= now))
        {
            self.project_next();
        }
        &self.projected
    }

    /// Brings the projection up to date, as a v1 GET of an app does (`internal/query/app.go`, `GetAppByID`).
    pub(crate) fn force_projection(&mut self) -> &Model {
        while !self.pending.is_empty() {
            self.project_next();
        }
        &self.projected
    }

    /// One app in the projection once everything on its way has arrived.
    pub(crate) fn eventual(&self, app: &str) -> Model {
        let found = self
            .projected
            .apps
            .get(app)
            .map(|found| (app.to_owned(), found.clone()));
        let name = self.projected.name.clone();
        let mut model = Model {
            name,
            state: self.projected.state,
            apps: found.into_iter().collect(),
            ..Model::default()
        };
        for pending in &self.pending {
            model.apply(&pending.event);
        }
        model
    }

    fn project_next(&mut self) {
        if let Some(next) = self.pending.pop_front() {
            self.projected.apply(&next.event);
        }
    }

    /// Forgets every event after `sequence`, as a restored backup does; later events use the numbers again.
    pub(crate) fn restore(&mut self, sequence: u64) {
        self.events.retain(|event| event.sequence <= sequence);
        self.pending.clear();
        self.current = Model::default();
        self.projected = Model::default();
        for event in &self.events {
            self.current.apply(event);
        }
        let mut by_position: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| !event.passed_by)
            .collect();
        by_position.sort_by_key(|event| event.created_at);
        for event in by_position {
            self.projected.apply(event);
        }
    }
}

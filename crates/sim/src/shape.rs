//! Which machines a run has: how many, and what their processes are.

use crate::chance::Chance;
use crate::workload;

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Roles {
    Both,
    Controller,
    Broker,
}

/// One machine, before it is there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its `node.id`.
    pub(crate) number: i32,
    pub(crate) roles: Roles,
}

impl Place {
    /// Its name in the network.
    pub(crate) fn host(&self) -> String {
        format!("n{}", self.number)
    }

    pub(crate) fn is_controller(&self) -> bool {
        self.roles != Roles::Broker
    }

    pub(crate) fn is_broker(&self) -> bool {
        self.roles != Roles::Controller
    }

    /// The settings that say what it is.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        let host = self.host();
        let (roles, listeners, advertised) = match self.roles {
            Roles::Both => (
                "broker,controller",
                "PLAINTEXT://:9092,CONTROLLER://:9093",
                format!("PLAINTEXT://{host}:9092,CONTROLLER://{host}:9093"),
            ),
            Roles::Controller => {
                ("controller", "CONTROLLER://:9093", format!("CONTROLLER://{host}:9093"))
            }
            Roles::Broker => ("broker", "PLAINTEXT://:9092", format!("PLAINTEXT://{host}:9092")),
        };
        [
            ("process.roles", roles.to_owned()),
            ("listeners", listeners.to_owned()),
            ("advertised.listeners", advertised),
        ]
    }
}

/// How long a sync takes on a disk that nothing is wrong with, about, in milliseconds. Where it takes no
/// time hardly anything is ever written and not on disk, and nobody is caught who counts on it too early.
const SYNC_MS: [u64; 5] = [0, 2, 5, 10, 30];

/// The machines of a run.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) places: Vec<Place>,
    /// How long a sync takes, about.
    pub(crate) sync_ms: u64,
}

impl Shape {
    /// Three combined nodes, mostly; or five; or three controllers and three brokers; on faster or slower disks.
    pub(crate) fn of(seed: u64) -> Self {
        let combined = |count| (1..=count).map(|number| Place { number, roles: Roles::Both });
        let separate = |number| Place {
            number,
            roles: if number <= 3 { Roles::Controller } else { Roles::Broker },
        };
        let chance = Chance::of(seed, 8_000_000);
        let places = match chance.index(5) {
            0..=2 => combined(3).collect(),
            3 => combined(5).collect(),
            _ => (1..=6).map(separate).collect(),
        };
        Self { places, sync_ms: SYNC_MS[chance.index(SYNC_MS.len())] }
    }

    /// All hosts of the network; the last one is that of the clients.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let machines = self.places.iter().map(Place::host);
        machines.chain([workload::HOST.to_owned()]).collect()
    }

    /// `controller.quorum.voters`.
    pub(crate) fn voters(&self) -> String {
        let controllers = self.places.iter().filter(|place| place.is_controller());
        let voter = |place: &Place| format!("{}@{}:9093", place.number, place.host());
        controllers.map(voter).collect::<Vec<_>>().join(",")
    }

    /// `bootstrap.servers` of the clients.
    pub(crate) fn bootstrap(&self) -> String {
        let brokers = self.places.iter().filter(|place| place.is_broker());
        brokers.map(|place| format!("{}:9092", place.host())).collect::<Vec<_>>().join(",")
    }

    /// The ids of the brokers.
    pub(crate) fn brokers(&self) -> Vec<i32> {
        let brokers = self.places.iter().filter(|place| place.is_broker());
        brokers.map(|place| place.number).collect()
    }

    /// What it is, for the reader of a run.
    pub(crate) fn told(&self) -> String {
        let of = |roles| self.places.iter().filter(|place| place.roles == roles).count();
        let (both, controllers) = (of(Roles::Both), of(Roles::Controller));
        let brokers = of(Roles::Broker);
        let sync_ms = self.sync_ms;
        format!(
            "{both} combined nodes, {controllers} controllers, {brokers} brokers; syncs of {sync_ms} ms"
        )
    }
}

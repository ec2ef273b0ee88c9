//! Who works at the cluster through a round: some die in the midst of it and come back, some live and
//! have to go on without an error.

use kalda_client::admin::NewTopic;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::appender::{self, Appender};
use crate::copier::{self, Copier};
use crate::member::Member;
use crate::mover::{self, Mover};
use crate::process::Numbers;
use crate::watcher::Watcher;
use crate::{ROUND_MAX, client_of};

/// Where a round stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Running,
    /// In the midst of it: who is mortal dies.
    Dying,
    /// All is healed: end what is begun.
    Over,
}

/// All of them.
pub(crate) struct Workers {
    pub(crate) movers: [Mover; 2],
    pub(crate) copier: Copier,
    pub(crate) member: Member,
    pub(crate) appenders: [Appender; 2],
    /// Of the lines before they are stable, and of the numbers that are committed.
    pub(crate) watchers: [Watcher; 2],
}

/// Which of them die.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mortals {
    movers: [bool; 2],
    copier: bool,
    member: bool,
    appender: bool,
}

impl Mortals {
    pub(crate) fn draw(numbers: &mut Numbers) -> Self {
        let mut dies = || numbers.below(3) == 0;
        Self { movers: [dies(), dies()], copier: dies(), member: dies(), appender: dies() }
    }
}

/// Works until the round is over, or dies. Returns whether it lives.
async fn work(
    mut phase: watch::Receiver<Phase>,
    is_mortal: bool,
    steps: impl AsyncFnOnce(watch::Receiver<Phase>),
) -> bool {
    let watched = phase.clone();
    tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase != Phase::Running), if is_mortal => false,
        () = steps(watched) => true,
    }
}

fn is_over(phase: &watch::Receiver<Phase>) -> bool {
    *phase.borrow() == Phase::Over
}

impl Workers {
    pub(crate) fn new(numbers: &mut Numbers) -> Self {
        Self {
            movers: [Mover::new("one", numbers.next()), Mover::new("two", numbers.next())],
            copier: Copier::new(numbers.next()),
            member: Member::default(),
            appenders: [
                Appender::new("mortal", numbers.next()),
                Appender::new("lasting", numbers.next()),
            ],
            watchers: [
                Watcher::new(appender::TOPIC, "read_uncommitted"),
                Watcher::new(mover::TOPIC, "read_committed"),
            ],
        }
    }

    /// Makes the topics, and those of the coordinators by the way.
    pub(crate) async fn set_up(&mut self, bootstrap: &str) {
        let admin = client_of(bootstrap, &[]).admin();
        for name in [mover::TOPIC, copier::TOPIC, appender::TOPIC] {
            let partitions = Some(mover::PARTITIONS);
            let topic = NewTopic { name: name.to_owned(), partitions, ..NewTopic::default() };
            admin.create_topic(&topic, false).await.unwrap();
        }
        self.revive(bootstrap).await;
        while self.member.commits == 0 {
            self.movers[0].transaction().await;
            self.member.step().await;
        }
    }

    pub(crate) async fn revive(&mut self, bootstrap: &str) {
        let client = |settings: &[(&str, &str)]| client_of(bootstrap, settings);
        for mover in &mut self.movers {
            mover.revive(client).await;
        }
        self.copier.revive(client).await;
        self.member.revive(client);
        self.appenders.iter_mut().for_each(|one| one.revive(client));
        self.watchers.iter_mut().for_each(|one| one.revive(client));
    }

    /// One round of all.
    pub(crate) async fn round(&mut self, phase: &watch::Receiver<Phase>, mortals: Mortals) {
        let [one, two] = &mut self.movers;
        let [mortal, lasting] = &mut self.appenders;
        let [lines, numbers] = &mut self.watchers;
        let all = async {
            tokio::join!(
                move_on(one, phase, mortals.movers[0]),
                move_on(two, phase, mortals.movers[1]),
                copy_on(&mut self.copier, phase, mortals.copier),
                read_on(&mut self.member, phase, mortals.member),
                append_on(mortal, phase, mortals.appender),
                append_on(lasting, phase, false),
                watch_on(lines, phase),
                watch_on(numbers, phase),
            )
        };
        timeout(ROUND_MAX, all).await.expect("they go on when all is healed");
    }
}

async fn move_on(mover: &mut Mover, phase: &watch::Receiver<Phase>, is_mortal: bool) {
    let lives = work(phase.clone(), is_mortal, async |phase| {
        while !is_over(&phase) {
            mover.transaction().await;
        }
    });
    if !lives.await {
        mover.producer = None;
    }
}

async fn copy_on(copier: &mut Copier, phase: &watch::Receiver<Phase>, is_mortal: bool) {
    let lives = work(phase.clone(), is_mortal, async |phase| {
        while !is_over(&phase) {
            copier.transaction().await;
        }
    });
    if !lives.await {
        copier.process = None;
    }
}

async fn read_on(member: &mut Member, phase: &watch::Receiver<Phase>, is_mortal: bool) {
    let lives = work(phase.clone(), is_mortal, async |phase| {
        while !is_over(&phase) {
            member.step().await;
        }
    });
    if !lives.await {
        member.consumer = None;
    }
}

async fn append_on(appender: &mut Appender, phase: &watch::Receiver<Phase>, is_mortal: bool) {
    let lives = work(phase.clone(), is_mortal, async |phase| {
        while !is_over(&phase) {
            appender.step().await;
        }
        appender.settle(0).await;
    });
    if !lives.await {
        appender.producer = None;
    }
}

async fn watch_on(watcher: &mut Watcher, phase: &watch::Receiver<Phase>) {
    while !is_over(phase) {
        watcher.step().await;
    }
}

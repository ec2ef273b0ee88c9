//! One machine of the cluster: a disk, a clock, a link to the others, and a process that comes and goes.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use kalda_env::{Disk as _, OpenMode};
use kalda_metadata::Image;
use kalda_server::{BrokerConfig, Node, Observer, World};
use tokio::sync::Notify;
use turmoil::Sim;

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::disk::Platter;
use crate::network::{Cuts, SimNet};
use crate::shape::{Place, Shape};
use crate::threads::SimThreads;
use crate::trace::Trace;

/// Where the data lies on every machine.
pub(crate) const DATA: &str = "/data";
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// The settings of every node. Times are short where the network of the simulation loses what a real
/// one would send again.
const SETTINGS: [(&str, &str); 13] = [
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", DATA),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("offsets.topic.num.partitions", "2"),
    ("transaction.state.log.num.partitions", "2"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("request.timeout.ms", "3000"),
    ("replica.socket.timeout.ms", "3000"),
    ("controller.socket.timeout.ms", "3000"),
    ("socket.connection.setup.timeout.ms", "2000"),
    ("replica.lag.time.max.ms", "5000"),
    ("metadata.log.max.record.bytes.between.snapshots", "20000"),
];

/// Whether a process is to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Process {
    /// It runs, or tries to start.
    Up,
    /// It is not started; the machine refuses connections.
    Down,
}

/// A machine. Its process is turmoil's host of the same name.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) platter: Platter,
    /// All hosts of the network but this one.
    others: Vec<String>,
    shared: Rc<Shared>,
}

struct Shared {
    name: String,
    place: Place,
    voters: String,
    seed: u64,
    platter: Platter,
    cuts: Cuts,
    trace: Trace,
    skew_ms: Arc<AtomicI64>,
    wish: Cell<Process>,
    lives: Cell<u64>,
    /// Of the life that is on.
    has_ended: RefCell<Arc<AtomicBool>>,
    terminate: Notify,
    /// What the newest life ended with, if it did.
    ended: RefCell<Option<String>>,
    is_serving: Cell<bool>,
    /// Looks at the life that is on.
    observer: RefCell<Option<Observer>>,
    /// The metadata that the newest life acted on last, if it ended by itself.
    last_image: RefCell<Option<Arc<Image>>>,
}

impl Machine {
    pub(crate) fn new(shape: &Shape, place: &Place, seed: u64, cuts: &Cuts, trace: &Trace) -> Self {
        let name = place.host();
        let others = shape.hosts().into_iter().filter(|host| *host != name).collect();
        let platter = Platter::new(&name, shape.sync_ms, trace.clone());
        let shared = Rc::new(Shared {
            name: name.clone(),
            place: place.clone(),
            voters: shape.voters(),
            seed,
            platter: platter.clone(),
            cuts: Arc::clone(cuts),
            trace: trace.clone(),
            skew_ms: Arc::default(),
            wish: Cell::new(Process::Up),
            lives: Cell::new(0),
            has_ended: RefCell::default(),
            terminate: Notify::new(),
            ended: RefCell::default(),
            is_serving: Cell::new(false),
            observer: RefCell::default(),
            last_image: RefCell::default(),
        });
        Self { name, place: place.clone(), platter, others, shared }
    }

    /// Puts the machine on the network and switches it on.
    pub(crate) fn join(&self, sim: &mut Sim<'_>) {
        let shared = Rc::clone(&self.shared);
        sim.host(&*self.name, move || Rc::clone(&shared).run());
    }

    /// Whether a process is there or on its way.
    pub(crate) fn is_up(&self) -> bool {
        self.shared.wish.get() == Process::Up && self.shared.ended.borrow().is_none()
    }

    /// Whether clients are served.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_up() && self.shared.is_serving.get()
    }

    /// Looks at the process, if there is one.
    pub(crate) fn observer(&self) -> Option<Observer> {
        self.shared.observer.borrow().clone()
    }

    /// The committed metadata that the process acts on, or acted on before it ended by itself: between
    /// two looks it may have heard of something, done it, and ended.
    pub(crate) fn image(&self) -> Option<Arc<Image>> {
        let image = self.observer().and_then(|observer| observer.image());
        image.or_else(|| self.shared.last_image.borrow().clone())
    }

    /// How many lives the process has had.
    pub(crate) fn lives(&self) -> u64 {
        self.shared.lives.get()
    }

    /// `kill -9`: what was written is still there, and the machine refuses connections.
    pub(crate) fn kill(&self, sim: &mut Sim<'_>) {
        self.end_life();
        self.platter.end_life();
        sim.bounce(&*self.name);
    }

    /// The machine is dark: nobody is told, and what was not on the disk is lost.
    pub(crate) fn cut_power(&self, sim: &mut Sim<'_>, chance: &Chance) {
        self.end_life();
        // Nothing leaves while its connections are dropped.
        for other in &self.others {
            sim.partition(&*self.name, &**other);
        }
        self.platter.end_life();
        sim.crash(&*self.name);
        for other in &self.others {
            sim.repair(&*self.name, &**other);
        }
        self.platter.cut_power(chance);
    }

    /// Asks the process to stop, as SIGTERM does.
    pub(crate) fn terminate(&self) {
        self.shared.terminate.notify_one();
    }

    /// Starts the process, whatever became of the one before.
    pub(crate) fn start(&self, sim: &mut Sim<'_>) {
        self.end_life();
        self.shared.wish.set(Process::Up);
        sim.bounce(&*self.name);
    }

    /// A process that ended by itself leaves nothing behind: its tasks go with it.
    pub(crate) fn bury(&self, sim: &mut Sim<'_>) {
        let Some(line) = self.ended().filter(|_| self.shared.wish.get() == Process::Up) else {
            return;
        };
        let last_image = self.image();
        self.kill(sim);
        *self.shared.ended.borrow_mut() = Some(line);
        *self.shared.last_image.borrow_mut() = last_image;
    }

    /// Sets the wall clock.
    pub(crate) fn set_skew_ms(&self, skew_ms: i64) {
        self.shared.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    fn end_life(&self) {
        self.shared.has_ended.borrow().store(true, Ordering::Relaxed);
        self.shared.wish.set(Process::Down);
        self.shared.is_serving.set(false);
        self.shared.observer.take();
        self.shared.last_image.take();
        self.shared.ended.take();
    }

    /// What the newest life ended with, if it ended by itself.
    pub(crate) fn ended(&self) -> Option<String> {
        self.shared.ended.borrow().clone()
    }
}

impl Shared {
    fn run(self: Rc<Self>) -> Pin<Box<dyn Future<Output = turmoil::Result>>> {
        Box::pin(async move {
            if self.wish.get() == Process::Down {
                std::future::pending::<()>().await;
            }
            let mut life = pin!(self.live());
            let ended = poll_fn(|context| {
                // With its last step the node is gone, and cannot be asked any more.
                self.keep_image();
                life.as_mut().poll(context)
            })
            .await;
            self.is_serving.set(false);
            self.observer.take();
            // It has ended at this moment, whatever its tasks try until they are dropped.
            self.has_ended.borrow().store(true, Ordering::Relaxed);
            self.platter.end_life();
            self.trace.tell(&format!("{} ended: {ended}", self.name));
            *self.ended.borrow_mut() = Some(ended);
            // The machine goes on, and refuses connections.
            std::future::pending::<()>().await;
            Ok(())
        })
    }

    fn keep_image(&self) {
        let observer = self.observer.borrow();
        if let Some(image) = observer.as_ref().and_then(Observer::image) {
            *self.last_image.borrow_mut() = Some(image);
        }
    }

    /// One life of the process, up to the line with which it ends.
    async fn live(&self) -> String {
        let life = self.lives.get() + 1;
        self.lives.set(life);
        self.trace.tell(&format!("{} begins life {life}", self.name));
        let has_ended = Arc::new(AtomicBool::new(false));
        *self.has_ended.borrow_mut() = Arc::clone(&has_ended);
        let disk = self.platter.of_life(life);
        let chance =
            Chance::of(self.seed, u64::from(self.place.number.unsigned_abs()) * 1000 + life);
        if let Err(error) = format(&disk) {
            return format!("the disk cannot be formatted: {error}");
        }
        let world = World {
            clock: Arc::new(SimClock::new(Arc::clone(&self.skew_ms))),
            rng: Arc::clone(&chance) as Arc<_>,
            disk: Arc::new(disk),
            net: Arc::new(SimNet { here: self.name.clone(), cuts: Arc::clone(&self.cuts) }),
            threads: Arc::new(SimThreads { platter: self.platter.clone(), chance, has_ended }),
        };
        let begun = |observer| *self.observer.borrow_mut() = Some(observer);
        let node = match Node::start(self.config(), world, begun).await {
            Ok(node) => node,
            Err(error) => return error.to_string(),
        };
        self.is_serving.set(true);
        self.trace.tell(&format!("{} serves", self.name));
        tokio::select! {
            biased;
            () = node.stopping() => {}
            () = self.terminate.notified() => node.stop().await,
        }
        match node.wait().await {
            Ok(()) => "closed clean".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn config(&self) -> BrokerConfig {
        let own = [
            ("node.id", self.place.number.to_string()),
            ("controller.quorum.voters", self.voters.clone()),
        ];
        let own = own.into_iter().chain(self.place.settings());
        let mut settings: Vec<(String, String)> = Vec::new();
        settings.extend(SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())));
        settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let environment = [("CLUSTER_ID".to_owned(), CLUSTER_ID.to_owned())];
        let (config, _) =
            BrokerConfig::load(None, environment, &settings).expect("the settings hold");
        config
    }
}

/// The file system that the data lies on is there before the process.
fn format(disk: &crate::disk::SimDisk) -> std::io::Result<()> {
    if disk
        .open(DATA.as_ref(), OpenMode::Read)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        disk.create_dir_all(DATA.as_ref())?;
        disk.sync_dir("/".as_ref())?;
    }
    Ok(())
}

//! What happens to the machines: all that the seed says, then nothing any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use turmoil::Sim;

use crate::Options;
use crate::chance::Chance;
use crate::disk::Faults;
use crate::machine::Machine;
use crate::network::Cuts;
use crate::oracle::Counts;
use crate::shape::Shape;
use crate::trace::Trace;

/// After so long without trouble all replicas are in sync.
const LONG_ENOUGH_MS: u64 = 3_000;
/// An empty disk has everything again after this time.
const CAUGHT_UP_MS: u64 = 25_000;

/// What may happen to a machine or to the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Kill,
    PowerCut,
    Blackout,
    Terminate,
    Part,
    Heal,
    Hold,
    SlowDisk,
    BadDisk,
    EmptyDisk,
    ClockJump,
}

/// All of them, and how often each comes.
const FAULTS: [(Fault, usize); 11] = [
    (Fault::Kill, 3),
    (Fault::PowerCut, 3),
    (Fault::Blackout, 1),
    (Fault::Terminate, 2),
    (Fault::Part, 3),
    (Fault::Heal, 3),
    (Fault::Hold, 2),
    (Fault::SlowDisk, 1),
    (Fault::BadDisk, 1),
    (Fault::EmptyDisk, 1),
    (Fault::ClockJump, 1),
];
/// How much more often what a seed favours comes.
const FAVOUR: usize = 8;

/// What a seed makes happen, by lot. All but every twelfth seed favour a kind, one after the other, and
/// often another one: what is rare comes often somewhere, and on top of something else.
#[derive(Debug)]
struct Lots {
    lots: Vec<Fault>,
    /// The kind that it is this seed's turn to favour.
    favourite: Option<Fault>,
}

impl Lots {
    fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, 4_500_000);
        let mut lots = Vec::new();
        for (fault, weight) in FAULTS {
            lots.extend(std::iter::repeat_n(fault, weight));
        }
        let turn = (seed % (FAULTS.len() as u64 + 1)) as usize;
        let other = chance.percent(60).then(|| chance.index(FAULTS.len()));
        for index in [Some(turn), other].into_iter().flatten() {
            let Some((favoured, weight)) = FAULTS.get(index) else { continue };
            // What comes often anyway is to leave room for the rest.
            lots.extend(std::iter::repeat_n(*favoured, FAVOUR / weight + weight));
        }
        Self { lots, favourite: FAULTS.get(turn).map(|(fault, _)| *fault) }
    }

    fn draw(&self, chance: &Chance) -> Fault {
        self.lots[chance.index(self.lots.len())]
    }
}

/// The one who makes trouble.
pub(crate) struct Trouble {
    chance: Arc<Chance>,
    /// All hosts of the network; the last one is that of the clients.
    hosts: Vec<String>,
    cuts: Cuts,
    trace: Trace,
    lots: Lots,
    /// Links that keep what is sent, to deliver it later.
    held: BTreeSet<(String, String)>,
    /// Machines that are started again, and when.
    starts: Vec<(u64, usize)>,
    next_ms: u64,
    /// Since when all have served, and heard each other.
    calm_since_ms: u64,
    /// From when on an empty disk is worked for: it takes some calm, which hardly comes by chance.
    empties_disk_at_ms: Option<u64>,
    flips_bits: bool,
    /// Whose disk flips bits.
    flipped: Option<usize>,
    pub(crate) counts: Counts,
}

impl Trouble {
    pub(crate) fn new(
        options: Options,
        shape: &Shape,
        cuts: &Cuts,
        trace: &Trace,
        now_ms: u64,
    ) -> Self {
        let chance = Chance::of(options.seed, 4_000_000);
        let lots = Lots::of(options.seed);
        let early_ms = chance.between(0, options.seconds * 1000 / 4);
        let is_favoured = lots.favourite == Some(Fault::EmptyDisk);
        Self {
            chance,
            empties_disk_at_ms: is_favoured.then_some(now_ms + early_ms),
            hosts: shape.hosts(),
            cuts: Arc::clone(cuts),
            trace: trace.clone(),
            lots,
            held: BTreeSet::new(),
            starts: Vec::new(),
            next_ms: now_ms + 1000,
            calm_since_ms: now_ms,
            flips_bits: options.flips_bits,
            flipped: None,
            counts: Counts::default(),
        }
    }

    /// What is due at this moment.
    pub(crate) fn go_on(&mut self, sim: &mut Sim<'_>, machines: &[Machine], now_ms: u64) {
        let due: Vec<_> = self.starts.extract_if(.., |(at, _)| *at <= now_ms).collect();
        for (_, index) in due {
            if !machines[index].is_up() {
                self.start(sim, machines, index);
            }
        }
        for (index, machine) in machines.iter().enumerate() {
            // Whatever it ended of, an operator starts it again.
            if !machine.is_up() && !self.starts.iter().any(|(_, known)| *known == index) {
                self.starts.push((now_ms + self.chance.between(100, 5000), index));
            }
        }
        if !self.is_calm(machines) {
            self.calm_since_ms = now_ms;
        }
        if now_ms >= self.next_ms {
            self.next_ms = now_ms + self.chance.between(100, 4000);
            let index = self.chance.index(machines.len());
            if self.empties_disk_at_ms.is_some_and(|at| at <= now_ms) {
                self.calm_down(sim, machines);
                self.replace_disk(sim, machines, index, now_ms);
            } else {
                self.make(sim, machines, index, now_ms);
            }
        }
    }

    fn make(&mut self, sim: &mut Sim<'_>, machines: &[Machine], index: usize, now_ms: u64) {
        let machine = &machines[index];
        match self.lots.draw(&self.chance) {
            Fault::Kill if machine.is_up() => {
                self.trace.tell(&format!("kill {}", machine.name));
                self.counts.kills += 1;
                machine.kill(sim);
            }
            Fault::PowerCut if machine.is_up() => self.cut_power(sim, machine),
            Fault::Blackout => {
                self.counts.blackouts += 1;
                for machine in machines.iter().filter(|machine| machine.is_up()) {
                    self.cut_power(sim, machine);
                }
            }
            Fault::Terminate if machine.is_serving() => {
                self.trace.tell(&format!("terminate {}", machine.name));
                self.counts.terminations += 1;
                machine.terminate();
            }
            Fault::Part => self.part(sim, index),
            Fault::Heal => self.heal(sim),
            Fault::Hold => self.hold(sim, index),
            Fault::SlowDisk => {
                self.counts.slow_disks += 1;
                let sync_ms_max = [0, 20, 200, 1500][self.chance.index(4)];
                self.trace.tell(&format!("{}: a sync takes up to {sync_ms_max} ms", machine.name));
                machine.platter.set_faults(Faults { sync_ms_max, ..machine.platter.faults() });
            }
            Fault::ClockJump => {
                self.counts.clock_jumps += 1;
                let skew_ms = self.chance.between(0, 240_000) as i64 - 120_000;
                self.trace.tell(&format!("{}: its clock is {skew_ms} ms off", machine.name));
                machine.set_skew_ms(skew_ms);
            }
            Fault::BadDisk if machine.is_serving() => self.spoil_disk(machine),
            Fault::EmptyDisk => self.replace_disk(sim, machines, index, now_ms),
            // There is no process to which it could happen.
            Fault::Kill | Fault::PowerCut | Fault::Terminate | Fault::BadDisk => {}
        }
    }

    fn spoil_disk(&mut self, machine: &Machine) {
        let is_full = self.chance.percent(50);
        let what = if is_full { "full" } else { "broken" };
        self.counts.full_disks += u64::from(is_full);
        self.counts.broken_disks += u64::from(!is_full);
        self.trace.tell(&format!("{}: its disk is {what}", machine.name));
        let sync_ms_max = machine.platter.faults().sync_ms_max;
        machine.platter.set_faults(Faults { is_full, is_broken: !is_full, sync_ms_max });
    }

    /// Whether all serve, and all hear each other.
    fn is_calm(&self, machines: &[Machine]) -> bool {
        let all_hear = self.cuts.lock().is_empty() && self.held.is_empty();
        machines.iter().all(Machine::is_serving) && all_hear
    }

    /// A machine comes back with an empty disk, while the others are there and stay there until it has
    /// caught up: more than that nobody promises.
    fn replace_disk(&mut self, sim: &mut Sim<'_>, machines: &[Machine], index: usize, now_ms: u64) {
        if !self.is_calm(machines) || now_ms < self.calm_since_ms + LONG_ENOUGH_MS {
            return;
        }
        let machine = &machines[index];
        self.counts.empty_disks += 1;
        self.empties_disk_at_ms = None;
        self.trace.tell(&format!("{} gets an empty disk", machine.name));
        machine.platter.wipe();
        self.cut_power(sim, machine);
        self.next_ms = now_ms + CAUGHT_UP_MS;
    }

    /// Nothing is wrong any more with the network and the disks; who is down is started in time.
    fn calm_down(&mut self, sim: &mut Sim<'_>, machines: &[Machine]) {
        if !self.cuts.lock().is_empty() || !self.held.is_empty() {
            self.heal(sim);
        }
        for machine in machines {
            machine.platter.set_faults(Faults::default());
        }
    }

    fn cut_power(&mut self, sim: &mut Sim<'_>, machine: &Machine) {
        self.trace.tell(&format!("cut the power of {}", machine.name));
        self.counts.power_cuts += 1;
        machine.cut_power(sim, &self.chance);
        // What was kept on its links is gone with it.
        self.held.retain(|(a, b)| *a != machine.name && *b != machine.name);
        self.link(sim);
    }

    fn start(&mut self, sim: &mut Sim<'_>, machines: &[Machine], index: usize) {
        let machine = &machines[index];
        if let Some(line) = machine.ended() {
            self.trace.note("ended", line.as_bytes());
        }
        // Whoever starts it has looked after its disk.
        machine.platter.set_faults(Faults {
            is_broken: false,
            is_full: false,
            ..machine.platter.faults()
        });
        if self.flips_bits && self.chance.percent(20) && self.flipped.is_none_or(|one| one == index)
        {
            // One disk of the three, at rest; what is there was written long ago.
            let is_record = |name: &str| name.ends_with(".log") && !name.contains("__");
            if let Some(place) = machine.platter.flip_a_bit(&self.chance, is_record) {
                self.flipped = Some(index);
                self.counts.flipped_bits += 1;
                self.trace.tell(&format!("{}: a bit of {place} is flipped", machine.name));
            }
        }
        machine.start(sim);
    }

    /// Cuts links between the nodes, and sometimes to the clients.
    fn part(&mut self, sim: &mut Sim<'_>, index: usize) {
        self.counts.partitions += 1;
        self.release(sim);
        let mut cuts = self.cuts.lock();
        cuts.clear();
        let nodes = self.hosts.len() - 1;
        let hosts = &self.hosts[..nodes + usize::from(self.chance.percent(25))];
        let shape = self.chance.index(4);
        for (from, a) in hosts.iter().enumerate() {
            for (to, b) in hosts.iter().enumerate() {
                let is_cut = match shape {
                    // One is alone.
                    0 => from == index || to == index,
                    // It hears the others, and they do not hear it, or the other way round.
                    1 => from == index,
                    2 => to == index,
                    // Any link, in any direction.
                    _ => self.chance.percent(30),
                };
                if is_cut && from != to {
                    cuts.insert((a.clone(), b.clone()));
                }
            }
        }
        self.counts.one_way += u64::from(shape == 1 || shape == 2);
        let told: Vec<String> = cuts.iter().map(|(from, to)| format!("{from}>{to}")).collect();
        drop(cuts);
        self.trace.tell(&format!("cut {}", told.join(" ")));
        self.link(sim);
    }

    /// Has links of a machine, or any, keep what is sent until they are healed: it arrives late, and all
    /// of it at once.
    fn hold(&mut self, sim: &mut Sim<'_>, index: usize) {
        self.counts.holds += 1;
        let is_any = self.chance.percent(50);
        let mut told = Vec::new();
        for (number, a) in self.hosts.iter().enumerate() {
            for (other, b) in self.hosts.iter().enumerate().skip(number + 1) {
                let link = (a.clone(), b.clone());
                let is_meant = if is_any {
                    self.chance.percent(30)
                } else {
                    (number == index || other == index) && self.chance.percent(80)
                };
                let cuts = self.cuts.lock();
                let is_cut = cuts.contains(&link) || cuts.contains(&(b.clone(), a.clone()));
                if is_meant && !is_cut && self.held.insert(link) {
                    told.push(format!("{a}-{b}"));
                    sim.hold(&**a, &**b);
                }
            }
        }
        self.trace.tell(&format!("hold {}", told.join(" ")));
    }

    /// What was kept is delivered.
    fn release(&mut self, sim: &mut Sim<'_>) {
        for (a, b) in std::mem::take(&mut self.held) {
            sim.release(a, b);
        }
    }

    fn heal(&mut self, sim: &mut Sim<'_>) {
        self.release(sim);
        self.cuts.lock().clear();
        self.trace.tell("heal the network");
        self.link(sim);
    }

    /// Has turmoil's links be what is cut and what is not.
    fn link(&self, sim: &mut Sim<'_>) {
        let cuts = self.cuts.lock();
        for (number, a) in self.hosts.iter().enumerate() {
            for b in self.hosts.iter().skip(number + 1) {
                if self.held.contains(&(a.clone(), b.clone())) {
                    continue;
                }
                sim.repair(&**a, &**b);
                for (from, to) in [(a, b), (b, a)] {
                    if cuts.contains(&(from.clone(), to.clone())) {
                        sim.partition_oneway(&**from, &**to);
                    }
                }
            }
        }
    }

    /// No more trouble.
    pub(crate) fn end(&mut self, sim: &mut Sim<'_>, machines: &[Machine]) {
        self.heal(sim);
        for machine in machines {
            machine.platter.set_faults(Faults::default());
            machine.set_skew_ms(0);
        }
        self.start_ended(sim, machines);
    }

    /// Starts all that do not run.
    pub(crate) fn start_ended(&mut self, sim: &mut Sim<'_>, machines: &[Machine]) {
        for index in 0..machines.len() {
            if !machines[index].is_up() {
                self.start(sim, machines, index);
            }
        }
    }
}

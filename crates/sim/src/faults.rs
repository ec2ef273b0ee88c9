//! What happens to the machines: all that the seed says, then nothing any more.

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

/// The one who makes trouble.
pub(crate) struct Trouble {
    chance: Arc<Chance>,
    /// All hosts of the network; the last one is that of the clients.
    hosts: Vec<String>,
    cuts: Cuts,
    trace: Trace,
    /// Machines that are started again, and when.
    starts: Vec<(u64, usize)>,
    next_ms: u64,
    /// Since when all have served, and heard each other.
    calm_since_ms: u64,
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
        Self {
            chance,
            hosts: shape.hosts(),
            cuts: Arc::clone(cuts),
            trace: trace.clone(),
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
        if !machines.iter().all(Machine::is_serving) || !self.cuts.lock().is_empty() {
            self.calm_since_ms = now_ms;
        }
        if now_ms >= self.next_ms {
            self.next_ms = now_ms + self.chance.between(100, 4000);
            let index = self.chance.index(machines.len());
            self.make(sim, machines, index, now_ms);
        }
    }

    fn make(&mut self, sim: &mut Sim<'_>, machines: &[Machine], index: usize, now_ms: u64) {
        let machine = &machines[index];
        match self.chance.index(20) {
            0..=2 if machine.is_up() => {
                self.trace.tell(&format!("kill {}", machine.name));
                self.counts.kills += 1;
                machine.kill(sim);
            }
            3..=5 if machine.is_up() => self.cut_power(sim, machine),
            6 => {
                self.counts.blackouts += 1;
                for machine in machines.iter().filter(|machine| machine.is_up()) {
                    self.cut_power(sim, machine);
                }
            }
            7..=8 if machine.is_serving() => {
                self.trace.tell(&format!("terminate {}", machine.name));
                self.counts.terminations += 1;
                machine.terminate();
            }
            9..=12 => self.part(sim, index),
            13..=15 => self.heal(sim),
            16 => {
                self.counts.slow_disks += 1;
                let sync_ms_max = [0, 20, 200, 1500][self.chance.index(4)];
                self.trace.tell(&format!("{}: a sync takes up to {sync_ms_max} ms", machine.name));
                machine.platter.set_faults(Faults { sync_ms_max, ..machine.platter.faults() });
            }
            17 => {
                self.counts.clock_jumps += 1;
                let skew_ms = self.chance.between(0, 240_000) as i64 - 120_000;
                self.trace.tell(&format!("{}: its clock is {skew_ms} ms off", machine.name));
                machine.set_skew_ms(skew_ms);
            }
            18 if machine.is_serving() => {
                let is_full = self.chance.percent(50);
                let what = if is_full { "full" } else { "broken" };
                self.counts.full_disks += u64::from(is_full);
                self.counts.broken_disks += u64::from(!is_full);
                self.trace.tell(&format!("{}: its disk is {what}", machine.name));
                let sync_ms_max = machine.platter.faults().sync_ms_max;
                machine.platter.set_faults(Faults { is_full, is_broken: !is_full, sync_ms_max });
            }
            19 => self.replace_disk(sim, machines, index, now_ms),
            _ => {}
        }
    }

    /// A machine comes back with an empty disk, while the others are there and stay there until it has
    /// caught up: more than that nobody promises.
    fn replace_disk(&mut self, sim: &mut Sim<'_>, machines: &[Machine], index: usize, now_ms: u64) {
        let is_calm = machines.iter().all(Machine::is_serving) && self.cuts.lock().is_empty();
        if !is_calm || now_ms < self.calm_since_ms + LONG_ENOUGH_MS {
            return;
        }
        let machine = &machines[index];
        self.counts.empty_disks += 1;
        self.cut_power(sim, machine);
        self.trace.tell(&format!("{} gets an empty disk", machine.name));
        machine.platter.wipe();
        self.next_ms = now_ms + CAUGHT_UP_MS;
    }

    fn cut_power(&mut self, sim: &mut Sim<'_>, machine: &Machine) {
        self.trace.tell(&format!("cut the power of {}", machine.name));
        self.counts.power_cuts += 1;
        machine.cut_power(sim, &self.chance);
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

    fn heal(&mut self, sim: &mut Sim<'_>) {
        self.cuts.lock().clear();
        self.trace.tell("heal the network");
        self.link(sim);
    }

    /// Has turmoil's links be what is cut and what is not.
    fn link(&self, sim: &mut Sim<'_>) {
        let cuts = self.cuts.lock();
        for (number, a) in self.hosts.iter().enumerate() {
            for b in self.hosts.iter().skip(number + 1) {
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

//! What will go wrong, and what is imported meanwhile: a pure function of the seed.

use std::time::Duration;

use testkit::dice::Dice;
use testkit::proxy::Trouble;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How long faults go on.
    pub length: Duration,
    /// Worker processes. Of producers and projectors there are two each, of gateways one.
    pub workers: usize,
    /// Images per second of `length`, roughly, over all imports.
    pub images_per_second: u64,
    /// The mean time between two faults.
    pub gap: Duration,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// How long faults go on.
    pub length: Duration,
    /// Every process.
    pub members: Vec<Member>,
    /// In the order of their times.
    pub faults: Vec<(Duration, Fault)>,
    /// In the order of their times.
    pub imports: Vec<Import>,
}

/// A role of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Lists.
    Producer,
    /// Moves images.
    Worker,
    /// Keeps the tables.
    Projector,
    /// Answers.
    Gateway,
}

impl Role {
    /// The binary's subcommand.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Projector => "projector",
            Self::Gateway => "gateway",
        }
    }
}

/// One process among those of its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// What it does.
    pub role: Role,
    /// From 0.
    pub index: usize,
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.role.command(), self.index)
    }
}

/// A connection that passes through a proxy of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Between workers or gateway and the object store.
    Store,
    /// Between every process and nats-server.
    Broker,
    /// Between producers or workers and Drive.
    Drive,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; started again after a while.
    Kill(Member, Duration),
    /// SIGTERM; started again after it ended and a while.
    Terminate(Member, Duration),
    /// SIGSTOP, and SIGCONT after a while.
    Freeze(Member, Duration),
    /// SIGKILL to nats-server; started again with its data after a while.
    BrokerKill(Duration),
    /// nats-server is shut down in order and started again.
    BrokerRestart,
    /// A proxy makes trouble for a while.
    Link(Link, Trouble, Duration),
    /// Drive resets every connection for a while.
    DriveDown(Duration),
    /// Drive refuses the credentials for a while.
    DriveUnauthorized(Duration),
    /// Drive answers three of ten requests with 500 for a while.
    DriveBroken(Duration),
    /// Drive answers nearly everything with 403 or 429 for a while.
    DriveThrottled(Duration),
    /// Somebody else holds SQLite's write lock for a while.
    DatabaseLocked(Duration),
}

impl Fault {
    /// Its kind, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(..) => "sigkill",
            Self::Terminate(..) => "sigterm",
            Self::Freeze(..) => "sigstop",
            Self::BrokerKill(_) => "broker_sigkill",
            Self::BrokerRestart => "broker_restart",
            Self::Link(Link::Store, trouble, _) => match trouble {
                Trouble::Slow(_) => "store_slow",
                Trouble::Stall => "store_stall",
                Trouble::Reset(_) => "store_reset",
                Trouble::Cut | Trouble::None => "store_cut",
            },
            Self::Link(Link::Broker, trouble, _) => match trouble {
                Trouble::Slow(_) => "broker_slow",
                Trouble::Stall => "broker_stall",
                Trouble::Reset(_) => "broker_reset",
                Trouble::Cut | Trouble::None => "broker_cut",
            },
            Self::Link(Link::Drive, trouble, _) => match trouble {
                Trouble::Slow(_) => "drive_slow",
                Trouble::Stall => "drive_stall",
                Trouble::Reset(_) => "drive_reset",
                Trouble::Cut | Trouble::None => "drive_cut",
            },
            Self::DriveDown(_) => "drive_down",
            Self::DriveUnauthorized(_) => "drive_unauthorized",
            Self::DriveBroken(_) => "drive_broken",
            Self::DriveThrottled(_) => "drive_throttled",
            Self::DatabaseLocked(_) => "database_locked",
        }
    }
}

/// One import and what people do to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// When it is submitted.
    pub at: Duration,
    /// What is imported.
    pub folder: String,
    /// Whether it stores the images under another prefix, whatever was imported before: each object
    /// then replaces another, if there is one.
    pub moved: bool,
    /// What is done to it.
    pub course: Course,
}

/// What people do to an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing.
    Plain,
    /// Cancelled so long after it began.
    Cancelled(Duration),
    /// Paused so long after it began, and resumed after a while.
    Paused(Duration, Duration),
    /// Its failures are re-driven once it has completed.
    Redriven,
}

impl Plan {
    /// The plan that belongs to a seed.
    #[must_use]
    pub fn new(seed: u64, size: Size) -> Self {
        let mut dice = Dice::new(seed);
        let members = members(size.workers);
        let imports = imports(&mut dice, seed, size);
        let faults = faults(&mut dice, &members, size);
        Self {
            seed,
            length: size.length,
            members,
            faults,
            imports,
        }
    }
}

fn members(workers: usize) -> Vec<Member> {
    [
        (Role::Projector, 2),
        (Role::Producer, 2),
        (Role::Worker, workers),
        (Role::Gateway, 1),
    ]
    .into_iter()
    .flat_map(|(role, count)| (0..count).map(move |index| Member { role, index }))
    .collect()
}

/// One large import to be paused, one to be cancelled, a strange one to be re-driven, one folder
/// twice to the same place and one to another, and small ones all along. Folders of different seeds hold different files.
fn imports(dice: &mut Dice, seed: u64, size: Size) -> Vec<Import> {
    let length = u64::try_from(size.length.as_millis()).unwrap_or(u64::MAX);
    let budget = (size.length.as_secs() * size.images_per_second).max(100);
    let mut serial = 0;
    let mut folder = |dice: &mut Dice, images: u64| {
        serial += 1;
        let bytes = dice.within(600..6_000);
        // Seeds of their own, so that two imports share files only where that is planned.
        format!(
            "sim-n{images}-s{bytes}-seed{}",
            seed % 1_000_000 * 1000 + serial
        )
    };
    let import = |at: Duration, folder: String, course| Import {
        at,
        folder,
        moved: false,
        course,
    };
    let early = |dice: &mut Dice| dice.millis(0..length / 8);
    let mut all = Vec::new();
    let large = folder(dice, budget * 30 / 100);
    let pause = Course::Paused(dice.millis(0..2_500), dice.millis(2_000..10_000));
    all.push(import(Duration::ZERO, large, pause));
    let given_up = folder(dice, budget * 20 / 100);
    let cancel = Course::Cancelled(dice.millis(0..1_500));
    all.push(import(early(dice), given_up, cancel));
    all.push(import(
        early(dice),
        drive_sim::MUSEUM.to_owned(),
        Course::Redriven,
    ));
    let twice = folder(dice, budget * 10 / 100);
    all.push(import(early(dice), twice.clone(), Course::Plain));
    let again = dice.millis(0..length * 3 / 4);
    all.push(import(again, twice, Course::Plain));
    let there = folder(dice, budget * 8 / 100);
    all.push(import(early(dice), there.clone(), Course::Plain));
    all.push(Import {
        moved: true,
        ..import(
            dice.millis(length / 8..length * 3 / 4),
            there,
            Course::Plain,
        )
    });
    let nested = format!(
        "0Asimshareddrive-n{}-s{}",
        dice.within(20..80),
        dice.within(600..3_000)
    );
    all.push(import(early(dice), nested, Course::Plain));
    let mut left = budget * 24 / 100;
    while left > 0 {
        let images = dice.within(10..(budget / 8).max(20)).min(left);
        left -= images;
        let at = dice.millis(0..length * 9 / 10);
        let small = folder(dice, images);
        all.push(import(at, small, Course::Plain));
    }
    all.sort_by_key(|import| import.at);
    all
}

fn faults(dice: &mut Dice, members: &[Member], size: Size) -> Vec<(Duration, Fault)> {
    let gap = u64::try_from(size.gap.as_millis()).unwrap_or(u64::MAX);
    let mut faults = Vec::new();
    let mut at = dice.millis(500..2_000);
    while at < size.length {
        faults.push((at, fault(dice, members)));
        at += dice.millis(gap / 4..gap * 7 / 4);
    }
    faults
}

fn fault(dice: &mut Dice, members: &[Member]) -> Fault {
    // Half of what befalls processes befalls workers, which are half of them.
    let member = dice.one_of(members);
    match dice.within(0..100) {
        0..28 => Fault::Kill(member, dice.millis(0..2_500)),
        28..38 => Fault::Terminate(member, dice.millis(0..1_500)),
        // Longer than the ack wait, mostly: others take over, and then it wakes up.
        38..48 => Fault::Freeze(member, dice.millis(1_000..9_000)),
        48..53 => Fault::BrokerKill(dice.millis(0..3_000)),
        53..55 => Fault::BrokerRestart,
        55..68 => Fault::Link(Link::Store, trouble(dice), dice.millis(1_000..6_000)),
        68..77 => Fault::Link(Link::Broker, trouble(dice), dice.millis(500..5_000)),
        77..85 => Fault::Link(Link::Drive, trouble(dice), dice.millis(1_000..5_000)),
        85..89 => Fault::DriveDown(dice.millis(1_000..6_000)),
        89..91 => Fault::DriveUnauthorized(dice.millis(1_000..4_000)),
        91..93 => Fault::DriveBroken(dice.millis(1_000..4_000)),
        93..95 => Fault::DriveThrottled(dice.millis(1_000..4_000)),
        _ => Fault::DatabaseLocked(dice.millis(1_000..7_000)),
    }
}

fn trouble(dice: &mut Dice) -> Trouble {
    match dice.within(0..4) {
        0 => Trouble::Cut,
        1 => Trouble::Slow(dice.millis(20..300)),
        2 => Trouble::Stall,
        _ => Trouble::Reset(dice.within(5..80)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn size(minutes: u64) -> Size {
        Size {
            length: Duration::from_secs(60 * minutes),
            workers: 3,
            images_per_second: 15,
            gap: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn a_plan_is_its_seed() {
        assert_eq!(Plan::new(3, size(1)), Plan::new(3, size(1)));
        assert_ne!(Plan::new(3, size(1)).faults, Plan::new(4, size(1)).faults);
    }

    #[test]
    fn a_long_run_has_every_kind_of_fault_and_every_course() {
        let plan = Plan::new(1, size(20));
        let kinds: BTreeSet<_> = plan.faults.iter().map(|(_, fault)| fault.kind()).collect();
        assert_eq!(kinds.len(), 22, "{kinds:?}");
        assert!(
            (600..1000).contains(&plan.faults.len()),
            "{}",
            plan.faults.len()
        );
        assert!(plan.faults.is_sorted_by_key(|(at, _)| *at));
        let has =
            |wanted: fn(&Course) -> bool| plan.imports.iter().any(|import| wanted(&import.course));
        assert!(has(|course| matches!(course, Course::Cancelled(_))));
        assert!(has(|course| matches!(course, Course::Paused(..))));
        assert!(has(|course| matches!(course, Course::Redriven)));
        let folders: BTreeSet<_> = plan.imports.iter().map(|import| &import.folder).collect();
        assert_eq!(folders.len(), plan.imports.len() - 2, "two come twice");
    }

    #[test]
    fn folders_are_ones_that_the_simulator_knows() {
        for seed in 0..50 {
            for import in Plan::new(seed, size(1)).imports {
                let known = drive_sim::planned(&import.folder).is_some()
                    || import.folder == drive_sim::MUSEUM;
                assert!(known, "{}", import.folder);
            }
        }
    }
}

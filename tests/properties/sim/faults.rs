//! Where a run is interrupted. Every request that can change something, to either side, is an effect and has a
//! number; a plan names effects and what happens there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

/// When, around an effect, the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the request takes effect.
    Before,
    /// After it took effect, before its answer.
    During,
    /// After its answer, before anything else.
    After,
}

impl Phase {
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
    /// During a recovery. After an effect is before the next one, but for the time between them, which the first
    /// crash has tried.
    pub const AGAIN: [Self; 2] = [Self::Before, Self::During];
}

/// One interruption: which effect since the last one, and when around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub effect: usize,
    pub phase: Phase,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes its way.
    Through,
    /// It never takes effect, and nobody waits for the answer any more.
    DieBefore,
    /// It takes effect, and nobody waits for the answer any more.
    DieAfterEffect,
    /// It is held up on its way there, for so long.
    HeldBefore(Duration),
    /// Its answer is held up on its way back, for so long.
    HeldAfter(Duration),
}

/// The interruptions still to come. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    plans: Vec<Plan>,
    count: usize,
    dying: bool,
    names: Vec<String>,
    hold: Option<(usize, bool, Duration)>,
    held: bool,
}

impl Faults {
    pub fn new(plans: &[Plan]) -> Self {
        let state = State { plans: plans.iter().rev().copied().collect(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), died: Arc::default() }
    }

    /// Holds up one effect, on its way there or its answer on the way back: the process is frozen meanwhile.
    pub fn holding(effect: usize, before: bool, time: Duration) -> Self {
        let state = State { hold: Some((effect, before, time)), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), died: Arc::default() }
    }

    /// One more interruption: so many effects from now, or none any more.
    pub fn interrupt(&self, next: Option<Plan>) {
        let mut state = self.state.lock().unwrap();
        let count = state.count;
        state.plans =
            next.map(|plan| Plan { effect: count + plan.effect, ..plan }).into_iter().collect();
    }

    /// Says what becomes of a request.
    pub fn judge(&self, is_effect: bool, name: &str) -> Verdict {
        let mut state = self.state.lock().unwrap();
        if state.dying {
            // The process died after the answer to the effect before: nothing goes out any more.
            self.died.notify_one();
            return Verdict::DieBefore;
        }
        if !is_effect {
            return Verdict::Through;
        }
        let number = state.count;
        state.count += 1;
        state.names.push(name.to_owned());
        if let Some((_, before, time)) = state.hold.filter(|(effect, ..)| *effect == number) {
            state.held = true;
            self.died.notify_one();
            return if before { Verdict::HeldBefore(time) } else { Verdict::HeldAfter(time) };
        }
        let Some(plan) = state.plans.last().copied().filter(|plan| plan.effect == number) else {
            return Verdict::Through;
        };
        state.dying = true;
        match plan.phase {
            Phase::Before => {
                self.died.notify_one();
                Verdict::DieBefore
            }
            Phase::During => {
                self.died.notify_one();
                Verdict::DieAfterEffect
            }
            Phase::After => Verdict::Through,
        }
    }

    /// Waits until the process dies.
    pub async fn death(&self) {
        self.died.notified().await;
    }

    /// Whether the process is or was frozen: it renews no claim any more.
    pub fn has_held(&self) -> bool {
        self.state.lock().unwrap().held
    }

    /// Whether the process is to die at its next request.
    pub fn is_dying(&self) -> bool {
        self.state.lock().unwrap().dying
    }

    /// A new process: effects are counted anew, towards the next interruption.
    pub fn revive(&self) {
        let mut state = self.state.lock().unwrap();
        state.plans.pop();
        state.count = 0;
        state.dying = false;
        state.names.push("--- crash ---".to_owned());
    }

    /// How many effects this process has had.
    pub fn count(&self) -> usize {
        self.state.lock().unwrap().count
    }

    /// The effects of all processes, in order.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().names.clone()
    }
}

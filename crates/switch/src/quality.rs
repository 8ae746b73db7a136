//! How gateways have done of late, by destination (`RTE-4`): attempts, answers and talk time in a sliding window.

use params::Params;
use routing::Quality;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use vocab::prefix::Matched;
use vocab::{RoutingGatewayId, Tick};

/// Below this many attempts a ratio says nothing.
const ENOUGH: u32 = 10;
/// Gateways times destinations that are remembered.
const MOST_WINDOWS: usize = 50_000;

/// Windows of gateways as a whole (no destination) and by the prefix of the customer's rate.
#[derive(Debug, Default)]
pub(crate) struct Qualities(HashMap<(RoutingGatewayId, Option<Matched>), Window>);

#[derive(Debug, Default)]
struct Window {
    /// In the order of time; steps without attempts are not there.
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    number: u64,
    attempts: u32,
    answered: u32,
    talk_s: u64,
}

/// The window in steps, at a moment.
#[derive(Clone, Copy)]
struct Frame {
    now: u64,
    oldest: u64,
}

impl Frame {
    fn of(now: Tick, params: &Params) -> Frame {
        let step_us = u64::from(params.gateway_asr_reserve_separate_s.max(1)) * 1_000_000;
        let steps =
            u64::from(params.gateway_asr_reserve_time_s / params.gateway_asr_reserve_separate_s.max(1));
        let now = now.0 / step_us;
        Frame { now, oldest: (now + 1).saturating_sub(steps.max(1)) }
    }
}

impl Window {
    fn add(&mut self, frame: Frame, answered: bool, talk: Duration) {
        while self.steps.front().is_some_and(|s| s.number < frame.oldest) {
            self.steps.pop_front();
        }
        if self.steps.back().is_none_or(|s| s.number != frame.now) {
            self.steps.push_back(Step { number: frame.now, ..Step::default() });
        }
        if let Some(step) = self.steps.back_mut() {
            step.attempts = step.attempts.saturating_add(1);
            step.answered = step.answered.saturating_add(u32::from(answered));
            step.talk_s = step.talk_s.saturating_add(talk.as_secs());
        }
    }

    fn quality(&self, frame: Frame) -> Option<Quality> {
        let mut sum = Step::default();
        for step in self.steps.iter().filter(|s| s.number >= frame.oldest) {
            sum.attempts = sum.attempts.saturating_add(step.attempts);
            sum.answered = sum.answered.saturating_add(step.answered);
            sum.talk_s = sum.talk_s.saturating_add(step.talk_s);
        }
        (sum.attempts >= ENOUGH).then(|| {
            let permille = u64::from(sum.answered) * 1000 / u64::from(sum.attempts);
            let acd = sum.talk_s / u64::from(sum.answered.max(1));
            let small = |n| u32::try_from(n).unwrap_or(u32::MAX);
            Quality { asr_permille: small(permille), acd_s: small(acd) }
        })
    }
}

impl Qualities {
    /// An attempt has ended.
    pub fn add(
        &mut self,
        now: Tick,
        params: &Params,
        gateway: RoutingGatewayId,
        destination: Option<Matched>,
        (answered, talk): (bool, Duration),
    ) {
        let frame = Frame::of(now, params);
        if self.0.len() >= MOST_WINDOWS {
            self.0.retain(|_, w| w.steps.back().is_some_and(|s| s.number >= frame.oldest));
        }
        let destinations = [None, destination];
        for key in destinations.iter().take(1 + usize::from(destination.is_some())).map(|d| (gateway, *d)) {
            if self.0.len() < MOST_WINDOWS || self.0.contains_key(&key) {
                self.0.entry(key).or_default().add(frame, answered, talk);
            }
        }
    }

    /// Of the gateway for the destination, else of the gateway as a whole; unknown where attempts are too few.
    pub fn of(
        &self,
        now: Tick,
        params: &Params,
        gateway: RoutingGatewayId,
        destination: Option<Matched>,
    ) -> Option<Quality> {
        let frame = Frame::of(now, params);
        let found = |key: Option<Matched>| self.0.get(&(gateway, key))?.quality(frame);
        destination.and_then(|prefix| found(Some(prefix))).or_else(|| found(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets() {
        let params = Params { gateway_asr_reserve_time_s: 120, ..Params::default() };
        let mut all = Qualities::default();
        let gateway = RoutingGatewayId(1);
        let prefix: Matched = "880".parse().unwrap();
        let second = |s: u64| Tick(s * 1_000_000);
        for i in 0..9 {
            let outcome = if i % 2 == 0 { (true, Duration::from_secs(60)) } else { (false, Duration::ZERO) };
            all.add(second(i), &params, gateway, Some(prefix), outcome);
        }
        assert_eq!(all.of(second(9), &params, gateway, Some(prefix)), None, "nine are too few");
        all.add(second(70), &params, gateway, Some(prefix), (true, Duration::from_secs(120)));
        let want = Quality { asr_permille: 600, acd_s: 70 };
        assert_eq!(all.of(second(71), &params, gateway, Some(prefix)), Some(want));
        assert_eq!(all.of(second(71), &params, gateway, None), Some(want));
        let other: Matched = "44".parse().unwrap();
        assert_eq!(all.of(second(71), &params, gateway, Some(other)), Some(want), "the gateway as a whole");
        assert_eq!(all.of(second(120), &params, gateway, Some(prefix)), None, "the first minute has passed");
    }
}

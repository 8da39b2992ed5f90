//! Which lane is served next: strict order, with a bound on how long a lane can be passed over.

use crate::lane::LANES;

/// After this many messages have been leased past a waiting lane, one message of it goes first.
///
/// So the head of a lane waits for at most `AGE_AFTER + LANES - 2` messages of other lanes, and the
/// first lane for at most `LANES - 1`. Eight keeps an interrupt ahead of ordinary traffic and still
/// moves a report through a flood of input.
pub const AGE_AFTER: u8 = 8;

const MOST_PASSED: u8 = AGE_AFTER + LANES as u8 - 2;

/// For each lane, how many messages were leased past it since it was last served.
#[derive(Debug, Default)]
pub(crate) struct Ageing {
    passed: [u8; LANES],
}

impl Ageing {
    /// The lane to take from, given which lanes have something; `None` when none has.
    pub(crate) fn next(&self, waiting: [bool; LANES]) -> Option<usize> {
        let mut first = None;
        let mut overdue: Option<usize> = None;
        for lane in (0..LANES).filter(|&lane| waiting[lane]) {
            first = first.or(Some(lane));
            let longest = overdue.map_or(AGE_AFTER - 1, |other| self.passed[other]);
            if self.passed[lane] > longest {
                overdue = Some(lane);
            }
        }
        overdue.or(first)
    }

    /// One message was taken from `lane` in its turn; `waiting` is what the lanes hold after that.
    pub(crate) fn took(&mut self, lane: usize, waiting: [bool; LANES]) {
        for (other, passed) in self.passed.iter_mut().enumerate() {
            *passed = if other != lane && waiting[other] { *passed + 1 } else { 0 };
            assert!(*passed <= MOST_PASSED, "lane {other} is starved");
        }
    }

    /// Messages were taken from `lane` out of turn: nobody was passed over.
    pub(crate) fn served(&mut self, lane: usize) {
        self.passed[lane] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which endless lanes are served.
    fn serve(waiting: [bool; LANES], n: usize) -> Vec<usize> {
        let mut ageing = Ageing::default();
        (0..n)
            .map(|_| {
                let lane = ageing.next(waiting).unwrap();
                ageing.took(lane, waiting);
                lane
            })
            .collect()
    }

    #[test]
    fn nothing_waits_nothing_is_served() {
        assert_eq!(Ageing::default().next([false; LANES]), None);
    }

    #[test]
    fn one_lower_lane_gets_one_after_eight() {
        let order = serve([false, false, true, true, false], 20);
        let expected = [vec![2; 8], vec![3], vec![2; 8], vec![3], vec![2; 2]].concat();
        assert_eq!(order, expected);
    }

    #[test]
    fn overdue_lanes_take_turns_longest_wait_first() {
        let order = serve([true; LANES], 16);
        assert_eq!(order, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]);
    }

    #[test]
    fn a_lane_that_was_served_waits_from_the_start_again() {
        let both = [true, false, false, true, false];
        let mut ageing = Ageing::default();
        for _ in 0..7 {
            ageing.took(0, both);
        }
        ageing.served(3);
        for _ in 0..8 {
            assert_eq!(ageing.next(both), Some(0));
            ageing.took(0, both);
        }
        assert_eq!(ageing.next(both), Some(3));
    }

    #[test]
    fn an_empty_lane_does_not_age() {
        let mut ageing = Ageing::default();
        for _ in 0..20 {
            ageing.took(0, [true, false, false, false, false]);
        }
        assert_eq!(ageing.next([true; LANES]), Some(0));
    }

    #[test]
    fn every_mixture_of_full_lanes_keeps_the_bound() {
        for mask in 1u32..1 << LANES {
            let waiting = std::array::from_fn(|lane| mask & (1 << lane) != 0);
            // `took` asserts the bound for the lower lanes.
            let order = serve(waiting, 200);
            let first = (0..LANES).find(|&lane| waiting[lane]).unwrap();
            let longest = order.split(|&lane| lane == first).map(<[usize]>::len).max().unwrap();
            assert!(longest < LANES, "the first lane waited for {longest}");
        }
    }
}

//! The number of canary pods that a weight needs.

use crate::policy::{Shift, Size};

/// Returns the number of canary pods that a Deployment of `replicas` needs for a step: at least 1,
/// at most `replicas`.
pub(super) fn pods(shift: &Shift, replicas: i32) -> i32 {
    let n = i64::from(replicas);
    let pods = match shift.size {
        Size::Percent(percent) => (n * i64::from(percent) + 99) / 100,
        Size::ForWeight => (n * i64::from(shift.weight.tenths()) + 999) / 1000,
        Size::Beside => {
            let (weight, rest) = (shift.weight.tenths(), shift.weight.rest().tenths());
            let (weight, rest) = (i64::from(weight), i64::from(rest.max(1)));
            (n * weight + rest / 2) / rest
        }
    };
    pods.clamp(1, n.max(1)).try_into().unwrap_or(replicas)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{policy::Until, traffic::Weight};

    fn shift(weight: u8, size: Size) -> Shift {
        Shift { weight: Weight::percent(weight), size, duration: Duration::ZERO, until: Until::Verdicts }
    }

    #[test]
    fn a_share_of_the_replicas_is_rounded_up_and_at_least_one_pod() {
        let pods = |percent, n| pods(&shift(5, Size::Percent(percent)), n);
        assert_eq!([pods(5, 4), pods(50, 4), pods(51, 4), pods(100, 4), pods(100, 0)], [1, 2, 3, 4, 1]);
        let pods = |tenths, n| {
            let weight = Weight::from_tenths(tenths).unwrap();
            super::pods(&Shift { weight, ..shift(0, Size::ForWeight) }, n)
        };
        assert_eq!([pods(5, 4), pods(500, 4), pods(501, 4), pods(1000, 4)], [1, 2, 3, 4]);
    }

    #[test]
    fn pods_beside_stable_approximate_the_weight_in_whole_pods() {
        let pods = |weight, n| pods(&shift(weight, Size::Beside), n);
        // 1 of 5 is 20 %, 4 of 8 is 50 %, 3 of 13 is 23 %, 11 of 111 is 10 %.
        assert_eq!([pods(20, 4), pods(50, 4), pods(25, 10), pods(10, 100), pods(1, 4)], [1, 4, 3, 11, 1]);
    }
}

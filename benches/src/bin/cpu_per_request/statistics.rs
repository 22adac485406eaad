//! Medians, ratios of medians and how far chance could move them.

/// Resamples that a confidence interval is taken from.
const RESAMPLES: usize = 10_000;

/// A small deterministic generator (SplitMix64), so that a run can be repeated from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u128;
        // The high half of the product: no bias worth speaking of for bounds this small.
        ((u128::from(self.next()) * bound) >> 64) as usize
    }

    /// Puts `items` in random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The middle value, or the mean of the middle two; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value at `rank` (0 to 1) of `values` in order, between neighbours by their distance.
pub(crate) fn quantile(values: &[f64], rank: f64) -> f64 {
    let mut ordered = values.to_vec();
    ordered.sort_unstable_by(f64::total_cmp);
    let Some(last) = ordered.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = rank.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (
        ordered[place.floor() as usize],
        ordered[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

/// How many times as much one contender takes as another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    /// Median of the one over median of the other.
    pub(crate) estimate: f64,
    /// Lower end of the 95 % bootstrap interval.
    pub(crate) low: f64,
    /// Upper end of the 95 % bootstrap interval.
    pub(crate) high: f64,
}

/// The ratio of the medians of two series measured in the same blocks.
///
/// Whole blocks are drawn again, so that what slowed both contenders in a block stays together.
pub(crate) fn ratio(of: &[f64], to: &[f64], mut random: Random) -> Ratio {
    let blocks = of.len().min(to.len());
    let (of, to) = (&of[..blocks], &to[..blocks]);
    let mut drawn_of = vec![0.0; blocks];
    let mut drawn_to = vec![0.0; blocks];
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for place in 0..blocks {
            let block = random.below(blocks);
            drawn_of[place] = of[block];
            drawn_to[place] = to[block];
        }
        ratios.push(median(&drawn_of) / median(&drawn_to));
    }
    Ratio {
        estimate: median(of) / median(to),
        low: quantile(&ratios, 0.025),
        high: quantile(&ratios, 0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_an_odd_and_the_mean_of_an_even_count() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn quantile_lies_between_neighbours() {
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        assert_eq!(quantile(&[5.0], 0.975), 5.0);
    }

    #[test]
    fn ratio_of_proportional_series_has_no_spread() {
        let to: Vec<f64> = (1..=20).map(f64::from).collect();
        let of: Vec<f64> = to.iter().map(|value| value * 1.5).collect();
        let ratio = ratio(&of, &to, Random::new(1));
        for bound in [ratio.estimate, ratio.low, ratio.high] {
            assert!((bound - 1.5).abs() < 1e-12, "{ratio:?}");
        }
    }

    #[test]
    fn interval_holds_the_estimate_and_narrows_with_less_noise() {
        let mut random = Random::new(7);
        let mut series = |spread: f64| -> Vec<f64> {
            (0..40)
                .map(|_| 100.0 + spread * (random.below(1000) as f64 / 1000.0 - 0.5))
                .collect()
        };
        let (noisy_of, noisy_to) = (series(40.0), series(40.0));
        let (calm_of, calm_to) = (series(2.0), series(2.0));
        let noisy = ratio(&noisy_of, &noisy_to, Random::new(1));
        let calm = ratio(&calm_of, &calm_to, Random::new(1));
        assert!(
            noisy.low <= noisy.estimate && noisy.estimate <= noisy.high,
            "{noisy:?}"
        );
        assert!(
            calm.high - calm.low < (noisy.high - noisy.low) / 4.0,
            "{calm:?} {noisy:?}"
        );
    }

    #[test]
    fn same_seed_gives_the_same_interval() {
        let (of, to) = ([1.0, 2.0, 4.0], [2.0, 2.0, 3.0]);
        assert_eq!(
            ratio(&of, &to, Random::new(3)),
            ratio(&of, &to, Random::new(3))
        );
    }

    #[test]
    fn shuffle_keeps_every_item_and_reaches_every_order() {
        let mut random = Random::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut order = [0, 1, 2];
            random.shuffle(&mut order);
            seen.insert(order);
        }
        assert_eq!(seen.len(), 6);
    }
}

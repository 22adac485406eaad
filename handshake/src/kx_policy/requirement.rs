//! What a policy asks of a key exchange, and how that is written.

use std::fmt;

use rustls::pki_types::UnixTime;

use crate::kx::{
    Group, MLKEM1024, SECP256R1, SECP256R1MLKEM768, SECP384R1, SECP384R1MLKEM1024, X25519,
    X25519MLKEM768,
};

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

static HYBRID: [&Group; 3] = [&SECP256R1MLKEM768, &X25519MLKEM768, &SECP384R1MLKEM1024];
static HYBRID_DEFAULT: [&Group; 1] = [&X25519MLKEM768];
static CNSA: [&Group; 2] = [&MLKEM1024, &SECP384R1MLKEM1024];
static CLASSICAL: [&Group; 3] = [&X25519, &SECP256R1, &SECP384R1];

/// What a key exchange must resist. It shows as it is written in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// [`Requirement::PreferHybrid`] before that time and [`Requirement::RequireHybrid`] from it on; to the
    /// second, so the time itself is already on the strict side.
    AllowClassicalUntil(UnixTime),
    /// Only what the profile CNSA 2.0 permits: ML-KEM-1024 alone or with P-384, AES-256, ML-DSA-87.
    Cnsa,
    /// Hybrid with every peer that can, classical with one that cannot.
    PreferHybrid,
    /// Hybrid, or no connection.
    RequireHybrid,
}

impl Requirement {
    /// The post-quantum groups that a policy of this kind may name, in the order of code points.
    pub fn nameable_groups(self) -> &'static [&'static Group] {
        match self {
            Self::Cnsa => &CNSA,
            Self::AllowClassicalUntil(_) | Self::PreferHybrid | Self::RequireHybrid => &HYBRID,
        }
    }

    /// The post-quantum groups of a policy that names none, most preferred first.
    pub fn default_groups(self) -> &'static [&'static Group] {
        match self {
            Self::Cnsa => &CNSA,
            Self::AllowClassicalUntil(_) | Self::PreferHybrid | Self::RequireHybrid => {
                &HYBRID_DEFAULT
            }
        }
    }

    /// The classical groups a policy of this kind permits while it permits any, most preferred first.
    pub fn classical_groups(self) -> &'static [&'static Group] {
        match self {
            Self::AllowClassicalUntil(_) | Self::PreferHybrid => &CLASSICAL,
            Self::Cnsa | Self::RequireHybrid => &[],
        }
    }

    /// Whether a classical key exchange is permitted at that time.
    pub fn allows_classical(self, now: UnixTime) -> bool {
        match self {
            Self::AllowClassicalUntil(end) => now < end,
            Self::PreferHybrid => true,
            Self::Cnsa | Self::RequireHybrid => false,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllowClassicalUntil(end) => write!(f, "allow-classical-until {}", Date(*end)),
            Self::Cnsa => f.write_str("cnsa"),
            Self::PreferHybrid => f.write_str("prefer-hybrid"),
            Self::RequireHybrid => f.write_str("require-hybrid"),
        }
    }
}

/// A time in UTC as RFC 3339 writes it; without the time of day at midnight.
pub(super) struct Date(pub(super) UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
        write!(f, "{year:04}-{month:02}-{day:02}")?;
        match seconds % SECONDS_PER_DAY {
            0 => Ok(()),
            of_day => {
                let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
                write!(f, "T{hour:02}:{minute:02}:{:02}Z", of_day % 60)
            }
        }
    }
}

/// Year, month and day of the Gregorian calendar, by days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted in eras of 400 years of 146,097 days, from 0000-03-01 so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of March to February: five of them take 153 days, again and again.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    match month {
        0..=9 => (year, month + 3, day),
        _ => (year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn until(seconds: u64) -> String {
        let end = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        Requirement::AllowClassicalUntil(end).to_string()
    }

    #[test]
    fn shows_as_configuration_writes_it() {
        assert_eq!(Requirement::Cnsa.to_string(), "cnsa");
        assert_eq!(Requirement::PreferHybrid.to_string(), "prefer-hybrid");
        assert_eq!(Requirement::RequireHybrid.to_string(), "require-hybrid");
        assert_eq!(until(1_798_761_600), "allow-classical-until 2027-01-01");
        assert_eq!(
            until(1_798_761_600 + 3_723),
            "allow-classical-until 2027-01-01T01:02:03Z"
        );
    }

    #[test]
    fn dates_follow_the_calendar_over_leap_years_and_centuries() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_735_603_200, "2024-12-31"),
            (4_107_542_400, "2100-03-01"),
            (4_107_456_000, "2100-02-28"),
        ] {
            assert_eq!(until(seconds), format!("allow-classical-until {date}"));
        }
        assert!(until(u64::MAX).ends_with('Z'));
    }
}

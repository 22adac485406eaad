//! `kx_policy`, as written.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What key exchange is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKxPolicy {
    /// As `prefer-hybrid` before this date (0:00 UTC), as `require-hybrid` from it on.
    AllowClassicalUntil(Date),
    /// CNSA 2.0: MLKEM1024 or SecP384r1MLKEM1024, AES-256, ML-DSA-87.
    Cnsa,
    /// Hybrid with whoever can, classical with others.
    PreferHybrid,
    /// Hybrid only.
    #[default]
    RequireHybrid,
}

impl std::str::FromStr for FileKxPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let until = text.strip_prefix("allow-classical-until=");
        match (text, until) {
            ("cnsa", _) => Ok(Self::Cnsa),
            ("prefer-hybrid", _) => Ok(Self::PreferHybrid),
            ("require-hybrid", _) => Ok(Self::RequireHybrid),
            (_, Some(date)) => date
                .parse()
                .map(Self::AllowClassicalUntil)
                .map_err(|_not_a_date| "a date is accepted, such as 2027-01-01"),
            (_, None) => Err(
                "accepted are require-hybrid, prefer-hybrid, allow-classical-until=DATE and cnsa",
            ),
        }
    }
}

/// A date, as in `2027-01-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub time::Date);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = toml::value::Datetime::deserialize(from)?;
        match (written.date, written.time) {
            (Some(date), None) => date.to_string().parse().map_err(de::Error::custom),
            _ => Err(de::Error::custom("a date is accepted, such as 2027-01-01")),
        }
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl std::str::FromStr for Date {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, time::error::Parse> {
        let form = time::macros::format_description!("[year]-[month]-[day]");
        time::Date::parse(text, form).map(Self)
    }
}

//! The JSON Schema of configuration files.
//!
//! Gives what editors complete and check a file by: every field with its meaning, its type and, where that is a
//! fixed one, its default. A file that the schema accepts can still be refused when its fields are resolved.
//!
//! Spec: JSON Schema 2020-12.

use std::borrow::Cow;
use std::collections::BTreeSet;

use pqlane_handshake::kx_policy::Requirement;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::address::{ListenAddress, PeerAddress, WorkloadAddress};
use super::file::{AuditTarget, Date, FileConfig, WrittenAuthority, WrittenEndpoint};

/// The schema of a configuration file, as `pqlane check --schema` prints it.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<FileConfig>();
    schema.insert("title".to_owned(), "pqlane configuration".into());
    schema.to_value()
}

/// Takes out null, which an optional field would have in JSON: TOML has none.
fn without_null(schema: &mut Schema) {
    let null = Value::from("null");
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| *kind != null);
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&null));
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            schema.ensure_object().extend(only);
        }
    }
}

/// A type that is written as text: its name in the schema, its pattern and its meaning. The patterns are wider
/// than the types; what is wrong with a text in particular is said when the file is read.
macro_rules! text {
    ($($kind:ty, $name:literal, $pattern:literal, $meaning:literal;)*) => {$(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $meaning })
            }
        }
    )*};
}

/// Stands for [`pqlane_certs::spiffe_id::IdPattern`].
pub(super) struct IdPatternText;

/// Stands for the name of a post-quantum group.
pub(super) struct KxGroupText;

/// Stands for [`pqlane_certs::spiffe_id::SpiffeId`].
pub(super) struct SpiffeIdText;

/// Stands for [`pqlane_certs::spiffe_id::TrustDomain`].
pub(super) struct TrustDomainText;

text! {
    AuditTarget, "AuditTarget", ".",
        "\"stdout\" or \"-\" for standard output, or the path of a file.";
    IdPatternText, "IdPattern",
        r"^spiffe://[a-z0-9._-]{1,255}(/([A-Za-z0-9._-]+|\*))*/([A-Za-z0-9._-]+|\*\*?)$",
        "A SPIFFE ID, or a pattern: * is one path segment, a last ** is one or more.";
    ListenAddress, "ListenAddress",
        r"^(unix:.+|(localhost|[0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5})$",
        "IP:PORT, localhost:PORT or unix:PATH.";
    PeerAddress, "PeerAddress", r"^[^@/\s]+:[0-9]{1,5}$",
        "HOST:PORT.";
    SpiffeIdText, "SpiffeId", r"^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*$",
        "A SPIFFE ID, as in spiffe://example.org/agent/planner.";
    TrustDomainText, "TrustDomain", "^[a-z0-9._-]{1,255}$",
        "The name of a trust domain, as in example.org.";
    WorkloadAddress, "WorkloadAddress", r"^(http://[^@/?\s]+/?|unix:.+)$",
        "http://IP:PORT, http://localhost:PORT or unix:PATH.";
    WrittenAuthority, "Authority", r"^[^/?#\s]+$",
        "HOST or HOST:PORT.";
    WrittenEndpoint, "Endpoint", r"^(unix:(//)?/[^?#]+|tcp://[^/?#]+:[0-9]{1,5})$",
        "unix:///PATH or tcp://IP:PORT.";
}

impl JsonSchema for KxGroupText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("KxGroup")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Those that either kind of policy may name.
        let names: BTreeSet<&str> = [Requirement::RequireHybrid, Requirement::Cnsa]
            .iter()
            .flat_map(|kind| kind.nameable_groups())
            .map(|group| group.name)
            .collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Date")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Checkers of TOML show them a date of TOML as text.
        json_schema!({
            "type": "string",
            "format": "date",
            "description": "A date of TOML, not in quotes, as in 2027-01-01."
        })
    }
}

#[cfg(test)]
mod tests;

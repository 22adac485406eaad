//! Worked set-ups of pqlane: the configuration files in this folder, and the checks with real peers in
//! `interop/`.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pqlane::config::Config;

    fn described(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        Config::read(&path).unwrap().describe()
    }

    #[test]
    fn the_example_sidecar_means_what_it_says() {
        let meaning = described("sidecar.toml");
        assert!(meaning.contains("inbound weather: 0.0.0.0:8443 -> http://127.0.0.1:3110"));
        assert!(meaning.contains("/admin and below; allowed: spiffe://example.org/agent/operator"));
    }

    #[test]
    fn the_example_egress_means_what_it_says() {
        let meaning = described("egress.toml");
        assert!(meaning.contains("default -> weather.internal:8443"));
        assert!(meaning.contains("research.localhost, research.example.org -> research.internal"));
    }
}

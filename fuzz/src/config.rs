//! The configuration and chain specs, from the text of a file: what is taken is written and read again as the same.

use timed::chain::spec::{Chain, ChainSpec};
use timed::config::Config;

/// The bytes are a text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(config) = Config::from_toml(text) {
        assert!(config.check().is_ok());
        let written = toml::to_string(&config).expect("every value has a place in TOML");
        assert_eq!(Config::from_toml(&written).unwrap(), config);
    }
    if let Ok(spec) = ChainSpec::from_toml(text) {
        let written = spec.to_toml().expect("its addresses were read");
        let read = ChainSpec::from_toml(&written).unwrap();
        assert_eq!(read, spec);
        assert_eq!(read.id(), spec.id());
        if spec.check().is_ok() && Chain::new(spec.clone()).is_ok() {
            assert!(spec.genesis_supply().is_some(), "what passes has a supply");
        }
    }
}

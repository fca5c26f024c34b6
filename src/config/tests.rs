use super::*;

/// Reads `text` as a file, with no environment.
fn read(text: &str) -> Result<Config, String> {
    let figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::string(text));
    let config: Config = figment.extract().map_err(|e| explain(e, Some(Path::new("timed.toml"))).to_string())?;
    config.check().map_err(|e| e.to_string())?;
    Ok(config)
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(read("").unwrap(), Config::default());
}

#[test]
fn the_example_has_every_key_with_its_default() {
    let text = include_str!("../../config.example.toml");
    assert_eq!(read(text).unwrap(), Config::default());
    // Every key stands in it, those without a default as a comment.
    let all = toml::Value::try_from(Config::default()).unwrap();
    let mut keys: Vec<String> = Vec::new();
    for (key, value) in all.as_table().unwrap() {
        match value.as_table() {
            Some(section) => keys.extend(section.keys().cloned()),
            None => keys.push(key.clone()),
        }
    }
    keys.extend(
        ["data_dir", "listen", "advertise", "tokens_file", "key_file", "checkpoint", "file"].map(str::to_owned),
    );
    for key in keys {
        let is_there = text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
        assert!(is_there, "{key}");
    }
}

#[test]
fn a_key_nobody_knows_is_named_with_its_file_and_the_nearest_one() {
    let error = read("[p2p]\nmax_pers = 3").unwrap_err();
    assert_eq!(error, "timed.toml: there is no key \"p2p.max_pers\"; did you mean \"p2p.max_peers\"?");
    let error = read("[rcp]\nlisten = 3").unwrap_err();
    assert_eq!(error, "timed.toml: there is no key \"rcp\"; did you mean \"rpc\"?");
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let error = read("[mempool]\nmax_bytes = \"many\"").unwrap_err();
    assert!(error.contains("max_bytes") && error.contains("many"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    for (text, part) in [
        ("[p2p]\nmax_peers = 0", "p2p.max_peers"),
        ("[p2p]\nban_hours = 87601", "p2p.ban_hours"),
        ("[p2p]\nseeds = [\"seed.example\"]", "host:port"),
        ("[mempool]\nmax_transactions = 0", "mempool.max_transactions"),
        ("[storage]\ncache_bytes = 10", "storage.cache_bytes"),
        ("[storage]\nprune_blocks = 10\nsnapshot_every = 0", "storage.snapshot_every"),
        ("[sync]\nmode = \"fast\"", "snapshot"),
        ("[rpc]\nlisten = \"0.0.0.0:80\"", "rpc.public = true"),
        ("[rpc]\nmax_batch = 0", "rpc.max_batch"),
        ("[sync]\ncheckpoint = \"12\"", "HEIGHT:HASH"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    assert!(read("[rpc]\nlisten = \"0.0.0.0:80\"\npublic = true").is_ok());
}

#[test]
fn a_checkpoint_is_a_height_and_a_hash() {
    let hash = "ab".repeat(32);
    let config = read(&format!("[sync]\ncheckpoint = \"12:{hash}\"")).unwrap();
    assert_eq!(config.checkpoint().unwrap(), Some((Height::new(12), BlockHash([0xab; 32]))));
}

//! Holds the crate to its structure: imports go one way, in no circle; what is checked is sealed in one place; the
//! state machines have no IO, no clock and no floats. Reads the source; what is compiled for tests only is free.

#[path = "layers/imports.rs"]
mod imports;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/source.rs"]
mod source;

use imports::Files;
use source::Sources;
use std::path::Path;
use std::sync::LazyLock;

/// Every file below `src`.
static CRATE: LazyLock<Files> = LazyLock::new(|| {
    let mut sources = Sources::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    Files::read(&sources)
});

fn read_folder(folder: &Path, prefix: &str, out: &mut Sources) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        let name = path.file_name().map(|name| format!("{prefix}{}", name.display())).unwrap_or_default();
        if path.is_dir() {
            read_folder(&path, &format!("{name}/"), out);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            out.insert(name, text);
        }
    }
}

fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn imports_go_one_way() {
    assert_none(rules::imports_that_go_up(&CRATE));
}

#[test]
fn imports_go_in_no_circle() {
    assert_none(rules::circles(&CRATE));
}

#[test]
fn only_the_verifier_seals() {
    assert_none(rules::foreign_seals(&CRATE));
}

#[test]
fn engines_are_pure() {
    assert_none(rules::impure_engines(&CRATE));
}

#[test]
fn the_disk_is_touched_in_few_places() {
    assert_none(rules::disk_elsewhere(&CRATE));
}

mod the_checker {
    use super::*;

    fn files(sources: &[(&str, &str)]) -> Files {
        Files::read(&sources.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// What the rule finds if one file has this text in an otherwise clean crate.
    fn found(rule: fn(&Files) -> Vec<String>, name: &str, text: &str) -> usize {
        let clean = [
            ("lib.rs", "pub mod types; pub mod ledger; pub mod signer; pub mod tsdc; pub mod storage;"),
            ("types/mod.rs", "pub mod hash; pub mod codec;"),
            ("types/hash.rs", "pub struct Hash;"),
            ("types/codec.rs", "macro_rules! wire { () => {} }"),
            ("ledger/mod.rs", "pub mod pool; pub mod verify;"),
            ("ledger/pool.rs", "use crate::types::hash::Hash; use super::verify::Verifier;"),
            ("ledger/verify.rs", "pub struct Verifier; fn f() { Verified::seal(1) }"),
            ("tsdc/mod.rs", "mod state; pub use state::State;"),
            ("tsdc/state.rs", "use crate::ledger::pool::Pool;"),
            ("signer/mod.rs", "pub mod log; pub mod policy;"),
            ("signer/log/mod.rs", "mod frame; use frame::Copy; pub(super) use frame::Link; pub struct Ticket;"),
            ("signer/log/frame.rs", "crate::wire!();"),
            ("signer/policy.rs", "use super::log::{Link, Ticket};"),
            ("storage/mod.rs", "fn f() -> f64 { 1.0 }"),
            ("storage/files.rs", "use std::fs;"),
            ("storage/sled_store/mod.rs", "use sled::Db;"),
        ];
        assert_eq!(rule(&files(&clean)), Vec::<String>::new(), "the clean crate");
        let mut sources: Sources = clean.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
        sources.entry(name.to_owned()).or_default().push_str(text);
        rule(&Files::read(&sources)).len()
    }

    #[test]
    fn finds_an_import_that_goes_up_however_it_is_written() {
        for text in [
            "use crate::signer::policy;",
            "use crate::{types::hash, signer::{self}};",
            "use crate::{types, signer::{log::{Ticket}, policy::Policy as P}};",
            "use super::super::signer::policy::Policy;",
            "pub(crate) use super::super::signer::policy::*;",
            "fn f() { crate::signer::policy::decide() }",
            "fn f(x: Vec<crate::signer::policy::Policy>) {}",
            "impl super::super::tsdc::State for X {}",
            "fn f() -> &'static str { let c = '\"'; crate::tsdc::f() }",
            "fn f<'a>(x: &'a str) { let q = '\\''; crate::tsdc::f() }",
            "/* a /* nested */ comment */ use crate::signer;",
            "const S: &str = r#\"a \" quote\"#; use crate::signer;",
            "#[cfg(test)] mod tests { fn f() {} } use crate::signer;",
            "#[cfg(test)] use crate::{types, ledger}; use crate::signer;",
            "#[cfg(test)] const A: [u8; 3] = [1; 3]; use crate::signer;",
            "#[cfg(not(test))] use crate::signer;",
        ] {
            assert_ne!(found(rules::imports_that_go_up, "ledger/pool.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn lets_comments_strings_and_tests_say_anything() {
        for text in [
            "// use crate::signer;\n",
            "//! [`crate::signer`]\n",
            "/* crate::signer::x */",
            "const S: &str = \"use crate::signer; \\\" crate::signer::x\";",
            "const S: &str = r##\"crate::signer::x \"# \"##;",
            "const S: &[u8] = b\"crate::signer::x\";",
            "#[cfg(test)] mod tests { use crate::signer; fn f() { crate::tsdc::f() } }",
            "#[cfg(test)] #[allow(x)] fn f(x: [u8; 4]) -> crate::signer::X { crate::tsdc::f() }",
            "#[cfg(test)] use crate::{signer::{policy}, tsdc};",
            "#[allow(x)] #[cfg(test)] use crate::signer;",
        ] {
            assert_eq!(found(rules::imports_that_go_up, "ledger/pool.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn leaves_out_files_of_tests() {
        for (declared, name) in [
            ("#[cfg(test)] mod tests;", "ledger/pool/tests.rs"),
            ("#[cfg(test)] mod tests;", "ledger/pool/tests/mod.rs"),
            ("#[cfg(test)] mod tests;", "ledger/pool/tests/deep.rs"),
            ("#[cfg(test)] #[path = \"pool_tests.rs\"] mod tests;", "ledger/pool_tests.rs"),
            ("#[path = \"pool_tests.rs\"] #[cfg(test)] mod tests;", "ledger/pool_tests.rs"),
        ] {
            let sources = |text| files(&[("ledger/pool.rs", text), (name, "use crate::signer::X;"), ("signer.rs", "")]);
            assert_eq!(rules::imports_that_go_up(&sources(declared)).len(), 0, "{declared} {name}");
            assert_eq!(rules::imports_that_go_up(&sources("mod tests;")).len(), 1, "{name}");
        }
        let whole = [("ledger/pool.rs", "//! Tests.\n#![cfg(test)] use crate::signer::X;"), ("signer.rs", "")];
        assert_eq!(rules::imports_that_go_up(&files(&whole)).len(), 0);
    }

    #[test]
    fn finds_imports_between_modules_of_one_layer_and_modules_without_a_layer() {
        assert_eq!(found(rules::imports_that_go_up, "signer/policy.rs", "use crate::tsdc::State;"), 1);
        assert_eq!(found(rules::imports_that_go_up, "tsdc/state.rs", "use crate::signer::policy::Policy;"), 1);
        assert_eq!(found(rules::imports_that_go_up, "helpers/mod.rs", ""), 1);
    }

    #[test]
    fn finds_a_circle_of_files_and_names_it() {
        let found = rules::circles(&files(&[
            ("types/mod.rs", "pub mod a; pub mod b; pub mod c;"),
            ("types/a.rs", "use super::b::B;"),
            ("types/b.rs", "use crate::types::{c::C};"),
            ("types/c.rs", "fn f() { super::a::f() }"),
        ]));
        assert_eq!(found, ["src/types: a -> b -> c -> a"]);
    }

    #[test]
    fn finds_every_circle_of_a_folder() {
        let found = rules::circles(&files(&[
            ("types/a.rs", "use super::{b, c};"),
            ("types/b.rs", "use super::a;"),
            ("types/c.rs", "use super::d;"),
            ("types/d.rs", "use super::c;"),
        ]));
        assert_eq!(found, ["src/types: a -> b -> a", "src/types: c -> d -> c"]);
    }

    #[test]
    fn takes_a_file_beside_its_folder_for_the_folders_front() {
        let sources = |front| {
            files(&[("types/mod.rs", "mod a;"), ("types/a.rs", front), ("types/a/part.rs", "impl super::A {}")])
        };
        assert_eq!(rules::circles(&sources("mod part; pub use part::P; pub struct A;")).len(), 0);
        assert_eq!(rules::circles(&sources("mod part; use part::P; pub struct A;")).len(), 0, "front and part are one");
    }

    #[test]
    fn finds_a_circle_of_a_folder_and_its_neighbour() {
        let text = "use crate::signer::policy::Policy;";
        assert_eq!(found(rules::circles, "signer/log/frame.rs", text), 1, "by files that do not know each other");
    }

    #[test]
    fn a_front_and_its_file_are_no_circle() {
        assert_eq!(found(rules::circles, "signer/log/frame.rs", "use super::Ticket;"), 0);
        assert_eq!(found(rules::circles, "tsdc/state.rs", "use super::State;"), 0, "it names itself by its front");
    }

    #[test]
    fn finds_a_circle_through_a_name_that_a_front_passes_on() {
        let sources = |front| {
            files(&[("types/mod.rs", front), ("types/a.rs", "use super::B;"), ("types/b.rs", "use super::a::A;")])
        };
        assert_eq!(rules::circles(&sources("mod a; mod b; pub use b::B;")).len(), 1);
        assert_eq!(rules::circles(&sources("mod a; mod b; pub use self::b::{C, X as B};")).len(), 1);
        assert_eq!(rules::circles(&sources("mod a; mod b; pub use b::C;")).len(), 0);
    }

    #[test]
    fn finds_a_circle_through_a_macro() {
        assert_eq!(found(rules::circles, "types/hash.rs", "crate::wire!(Hash);"), 0);
        let both = "use super::hash::Hash;";
        assert_eq!(found(rules::circles, "types/codec.rs", both), 0);
        let sources =
            [("types/hash.rs", "crate::wire!(Hash);"), ("types/codec.rs", "macro_rules! wire {} use super::hash;")];
        assert_eq!(rules::circles(&files(&sources)).len(), 1);
    }

    #[test]
    fn finds_seals_outside_the_verifier() {
        for text in ["fn f() { Verified::seal(1) }", "fn f() { Verified::<u8>::seal(1) }", "use x::Verified::seal;"] {
            assert_eq!(found(rules::foreign_seals, "ledger/pool.rs", text), 1, "{text}");
        }
        for text in
            ["#[cfg(test)] mod tests { fn f() { Verified::seal(1) } }", "pub(crate) fn seal(value: T) -> Self {}"]
        {
            assert_eq!(found(rules::foreign_seals, "ledger/pool.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn finds_the_disk_where_it_does_not_belong() {
        for (name, text) in [
            ("storage/mod.rs", "use sled::Db;"),
            ("storage/mod.rs", "fn f(db: &sled::Tree) {}"),
            ("storage/mod.rs", "use std::{io, fs::File};"),
            ("storage/sled_store/mod.rs", "fn f() { std::fs::read(p) }"),
        ] {
            assert_eq!(found(rules::disk_elsewhere, name, text), 1, "{name}: {text}");
        }
        for (name, text) in [
            ("storage/files.rs", "use std::fs::File;"),
            ("storage/sled_store/read.rs", "use sled::Tree;"),
            ("storage/mod.rs", "pub mod sled_store; // sled, std::fs\n"),
        ] {
            assert_eq!(found(rules::disk_elsewhere, name, text), 0, "{name}: {text}");
        }
    }

    #[test]
    fn finds_io_clocks_and_floats_in_engines() {
        for text in [
            "use tokio::sync::mpsc;",
            "fn f(db: sled::Db) {}",
            "use std::time::{Duration, Instant};",
            "fn f() { std::time::SystemTime::now(); }",
            "use std::{fmt, fs::File};",
            "fn f() { std::fs::read(p) }",
            "use std::net::TcpStream;",
            "fn f() { std::thread::sleep(d) }",
            "use std::thread; fn f() { thread::sleep(d) }",
            "fn f(x: u64) { x as f64 }",
            "const X: f32 = Y;",
            "fn f() { g(1.5) }",
            "fn f() { g(1.) }",
            "fn f() { g(1e9) }",
            "fn f() { g(2f64) }",
        ] {
            assert!(found(rules::impure_engines, "tsdc/state.rs", text) > 0, "{text}");
        }
        for text in [
            "use std::time::Duration;",
            "fn f(x: ((u8, u8), u8)) { x.0.1 }",
            "fn f() { for i in 0..5 { g(1_000usize, 0x1f32, 3.max(4)) } }",
            "// Instant, f64, 1.5\n",
            "fn f() { g(\"tokio 1.5\") }",
        ] {
            assert_eq!(found(rules::impure_engines, "tsdc/state.rs", text), 0, "{text}");
        }
    }
}

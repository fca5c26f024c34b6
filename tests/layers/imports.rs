//! Which file refers to which: every path of a file, resolved to the module it leads to.

use super::source::{Outside, Sources, Token, lex, outside_tests};
use std::collections::{BTreeMap, BTreeSet};

/// Module path below the crate; empty for the crate itself.
pub type Module = Vec<String>;

/// A path as written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path {
    pub segments: Vec<String>,
    /// The name under which a `use` brings it in; `*` for all of it.
    pub imported_as: Option<String>,
    /// From a `pub use`, whatever the visibility.
    pub is_reexport: bool,
}

/// A file outside tests.
pub struct File {
    pub module: Module,
    pub tokens: Vec<Token>,
    pub paths: Vec<Path>,
}

/// All files outside tests, by name.
pub struct Files {
    pub files: BTreeMap<String, File>,
    by_module: BTreeMap<Module, String>,
    /// Where each `macro_rules!` stands.
    macros: BTreeMap<String, Module>,
}

impl Files {
    pub fn read(sources: &Sources) -> Self {
        let outside: BTreeMap<&String, Outside> =
            sources.iter().map(|(name, text)| (name, outside_tests(lex(text)))).collect();
        let tests: Vec<String> = outside
            .iter()
            .flat_map(|(name, file)| {
                file.test_modules.iter().map(|(module, path)| module_file_stem(name, module, path))
            })
            .collect();
        let is_test = |name: &str| {
            let stem = name.trim_end_matches(".rs");
            tests.iter().any(|t| stem == t || stem.strip_prefix(t.as_str()).is_some_and(|rest| rest.starts_with('/')))
        };
        let mut files = BTreeMap::new();
        for (name, file) in outside {
            if !is_test(name) {
                let paths = paths(&file.tokens);
                files.insert(name.clone(), File { module: module_of(name), tokens: file.tokens, paths });
            }
        }
        let by_module =
            files.iter().map(|(name, file): (&String, &File)| (file.module.clone(), name.clone())).collect();
        let macros = files.values().flat_map(|file| macros(&file.tokens).map(|m| (m, file.module.clone()))).collect();
        Self { files, by_module, macros }
    }

    /// The files that `name` refers to, itself apart. What the front of a folder, or `lib.rs`, passes on with
    /// `pub use` it does not depend on.
    pub fn targets(&self, name: &str) -> BTreeSet<&str> {
        let Some(file) = self.files.get(name) else { return BTreeSet::new() };
        let is_front = self.place(name).ends_with("/mod.rs") || name == "lib.rs";
        let counted = file.paths.iter().filter(|path| !(is_front && path.is_reexport));
        let resolved = counted.filter_map(|path| self.resolve(&file.module, &path.segments, 0));
        let targets = resolved.filter_map(|module| self.by_module.get(&module));
        targets.map(String::as_str).filter(|target| *target != name).collect()
    }

    /// Where the file stands: `a.rs` beside a folder `a` is that folder's front, as `a/mod.rs` is.
    pub fn place(&self, name: &str) -> String {
        let folder = format!("{}/", name.trim_end_matches(".rs"));
        let is_front = self.files.keys().any(|other| other.starts_with(&folder));
        if is_front { format!("{folder}mod.rs") } else { name.to_owned() }
    }

    /// The module in which a path ends, seen from `from`; through re-exports to where the thing is.
    fn resolve(&self, from: &Module, segments: &[String], depth: usize) -> Option<Module> {
        let (mut base, mut rest) = (from.clone(), segments);
        match segments.first()?.as_str() {
            // The binary names the library by the crate's name.
            "crate" | "timed" => (base, rest) = (Vec::new(), &segments[1..]),
            "self" => rest = &segments[1..],
            "super" => {
                while rest.first().is_some_and(|s| s == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                self.by_module.get(&base)?;
                rest = &segments[1..];
            }
        }
        while let Some(next) = rest.first() {
            base.push(next.clone());
            if !self.by_module.contains_key(&base) {
                base.pop();
                break;
            }
            rest = &rest[1..];
        }
        let Some(item) = rest.first() else { return Some(base) };
        if base.is_empty()
            && let Some(module) = self.macros.get(item)
        {
            return Some(module.clone());
        }
        let reexport = self.by_module.get(&base).and_then(|name| self.files.get(name)).and_then(|file| {
            file.paths.iter().find(|path| path.is_reexport && path.imported_as.as_ref() == Some(item))
        });
        match reexport {
            // Re-exports of re-exports are few; a longer chain is a circle of names.
            Some(path) if depth < 8 => self.resolve(&base, &path.segments, depth + 1).or(Some(base)),
            _ => Some(base),
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the crate.
fn module_of(name: &str) -> Module {
    let stem = name.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" || stem == "main" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// The file of `mod module;` in the file `name`, without `.rs`; of a folder's front, the folder.
fn module_file_stem(name: &str, module: &str, path: &Option<String>) -> String {
    let folder = name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    if let Some(path) = path {
        return format!("{folder}{}", path.trim_end_matches(".rs").trim_end_matches("/mod"));
    }
    let own = module_of(name).join("/");
    if own.is_empty() { module.to_owned() } else { format!("{own}/{module}") }
}

fn macros(tokens: &[Token]) -> impl Iterator<Item = String> {
    tokens.windows(3).filter_map(|w| match w {
        [Token::Ident(rules), Token::Punct('!'), Token::Ident(name)] if rules == "macro_rules" => Some(name.clone()),
        _ => None,
    })
}

/// Every path in the tokens: the leaves of `use` trees, and whatever has a `::` elsewhere.
fn paths(tokens: &[Token]) -> Vec<Path> {
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        let Some(first) = tokens[i].ident() else {
            i += 1;
            continue;
        };
        let is_use = first == "use" && !tokens.get(i + 1).is_some_and(|t| t.is('<'));
        if is_use {
            let is_reexport = i > 0 && (tokens[i - 1].ident() == Some("pub") || is_restricted_pub(&tokens[..i]));
            i = use_tree(tokens, i + 1, &mut Vec::new(), is_reexport, &mut out);
            continue;
        }
        let mut segments = vec![first.to_owned()];
        i += 1;
        while tokens.get(i) == Some(&Token::PathSep)
            && let Some(name) = tokens.get(i + 1).and_then(Token::ident)
        {
            segments.push(name.to_owned());
            i += 2;
        }
        if segments.len() > 1 {
            out.push(Path { segments, imported_as: None, is_reexport: false });
        }
    }
    out
}

/// Whether `pub(..)` stands at the end.
fn is_restricted_pub(before: &[Token]) -> bool {
    let open = before.iter().rposition(|t| t.is('('));
    before.last().is_some_and(|t| t.is(')'))
        && open.is_some_and(|open| open > 0 && before[open - 1].ident() == Some("pub"))
}

/// Reads a `use` tree; returns where it ends.
fn use_tree(tokens: &[Token], mut i: usize, prefix: &mut Vec<String>, is_reexport: bool, out: &mut Vec<Path>) -> usize {
    let depth = prefix.len();
    let mut leaf = None;
    loop {
        match tokens.get(i) {
            Some(Token::PathSep) => i += 1,
            Some(Token::Ident(keyword)) if keyword == "as" => {
                leaf = tokens.get(i + 1).and_then(Token::ident).map(str::to_owned);
                i += 2;
            }
            Some(Token::Ident(name)) => {
                // `a::{self}` is `a`.
                if name != "self" || prefix.is_empty() {
                    prefix.push(name.clone());
                }
                leaf = prefix.last().cloned();
                i += 1;
            }
            Some(Token::Punct('*')) => {
                leaf = Some("*".to_owned());
                i += 1;
            }
            Some(Token::Punct('{')) => {
                i += 1;
                while i < tokens.len() && !tokens[i].is('}') {
                    let end = use_tree(tokens, i, prefix, is_reexport, out);
                    let has_more = end == i || tokens.get(end).is_some_and(|t| t.is(','));
                    i = if has_more { end + 1 } else { end };
                }
                i += 1;
                leaf = None;
            }
            _ => break,
        }
    }
    if leaf.is_some() {
        out.push(Path { segments: prefix.clone(), imported_as: leaf, is_reexport });
    }
    prefix.truncate(depth);
    i
}

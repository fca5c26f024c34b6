//! Rust source as tokens: without comments, and without what is compiled for tests only.

use std::collections::BTreeMap;

/// Files by their path below `src`, with `/` between folders.
pub type Sources = BTreeMap<String, String>;

/// One token. Everything that is not needed to read paths is a [`Token::Punct`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    Ident(String),
    /// A string literal's content, as written.
    Text(String),
    Number(String),
    /// `::`
    PathSep,
    Punct(char),
}

impl Token {
    pub fn is(&self, c: char) -> bool {
        *self == Token::Punct(c)
    }

    pub fn ident(&self) -> Option<&str> {
        if let Token::Ident(name) = self { Some(name) } else { None }
    }
}

/// The tokens of a file.
pub fn lex(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = end_of_block_comment(&chars, i);
        } else if let Some((start, end, next)) = string_literal(&chars, i) {
            out.push(Token::Text(chars[start..end].iter().collect()));
            i = next;
        } else if c == '\'' || (c == 'b' && at(i + 1) == '\'') {
            i = end_of_char_or_lifetime(&chars, if c == 'b' { i + 1 } else { i });
        } else if c.is_alphabetic() || c == '_' {
            // `r#type` is the identifier `type`.
            let start = if c == 'r' && at(i + 1) == '#' { i + 2 } else { i };
            i = end_of_word(&chars, start);
            out.push(Token::Ident(chars[start..i].iter().collect()));
        } else if c.is_ascii_digit() {
            let start = i;
            i = end_of_word(&chars, i);
            let is_tuple_field = out.last().is_some_and(|t: &Token| t.is('.'));
            if at(i) == '.' && at(i + 1) != '.' && !at(i + 1).is_alphabetic() && at(i + 1) != '_' && !is_tuple_field {
                i = end_of_word(&chars, i + 1);
            }
            out.push(Token::Number(chars[start..i].iter().collect()));
        } else if c == ':' && at(i + 1) == ':' {
            out.push(Token::PathSep);
            i += 2;
        } else {
            if !c.is_whitespace() {
                out.push(Token::Punct(c));
            }
            i += 1;
        }
    }
    out
}

fn end_of_word(chars: &[char], start: usize) -> usize {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    start + chars[start..].iter().take_while(|c| is_word(c)).count()
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start + 2, 1);
    while i < chars.len() && depth > 0 {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    i
}

/// Content and end of a string literal that starts here, if one does: plain, byte, C, raw.
fn string_literal(chars: &[char], start: usize) -> Option<(usize, usize, usize)> {
    let mut i = start;
    while i < start + 2 && matches!(chars.get(i), Some('b' | 'c' | 'r')) {
        i += 1;
    }
    let is_raw = i > start && chars[i - 1] == 'r';
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    if (hashes > 0 && !is_raw) || chars.get(i + hashes) != Some(&'"') {
        return None;
    }
    let content = i + hashes + 1;
    let mut end = content;
    while end < chars.len() {
        let closes = chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closes {
            return Some((content, end, end + 1 + hashes));
        }
        end += if chars[end] == '\\' && !is_raw { 2 } else { 1 };
    }
    Some((content, chars.len(), chars.len()))
}

/// Behind a character literal, or behind the quote of a lifetime.
fn end_of_char_or_lifetime(chars: &[char], quote: usize) -> usize {
    match (chars.get(quote + 1), chars.get(quote + 2)) {
        (Some('\\'), _) => {
            // The escaped character may itself be a quote.
            let closing = chars.iter().skip(quote + 3).position(|c| *c == '\'');
            closing.map_or(chars.len(), |found| quote + 3 + found + 1)
        }
        (Some(_), Some('\'')) => quote + 3,
        _ => quote + 1,
    }
}

/// What a file holds outside tests.
pub struct Outside {
    pub tokens: Vec<Token>,
    /// Modules in files of their own that are compiled for tests only: name, and the path if one is given.
    pub test_modules: Vec<(String, Option<String>)>,
}

/// Drops every item under `#[cfg(test)]`; a whole file under `#![cfg(test)]` is nothing.
pub fn outside_tests(tokens: Vec<Token>) -> Outside {
    let (mut kept, mut test_modules, mut i) = (Vec::new(), Vec::new(), 0);
    while i < tokens.len() {
        match attribute(&tokens, i) {
            Some((_, true)) if kept.is_empty() && tokens.get(i + 1).is_some_and(|t| t.is('!')) => break,
            Some((end, true)) => {
                let attributes = take_attributes(&mut kept);
                let item_end = end_of_item(&tokens, end);
                let item: Vec<Token> = attributes.into_iter().chain(tokens[end..item_end].iter().cloned()).collect();
                test_modules.extend(module_in_file(&item));
                i = item_end;
            }
            Some((end, false)) => {
                kept.extend_from_slice(&tokens[i..end]);
                i = end;
            }
            None => {
                kept.push(tokens[i].clone());
                i += 1;
            }
        }
    }
    Outside { tokens: kept, test_modules }
}

/// End of the attribute that starts here, and whether it is `cfg(test)`.
fn attribute(tokens: &[Token], start: usize) -> Option<(usize, bool)> {
    if !tokens[start].is('#') {
        return None;
    }
    let open = if tokens.get(start + 1)?.is('!') { start + 2 } else { start + 1 };
    if !tokens.get(open)?.is('[') {
        return None;
    }
    let end = end_of_group(tokens, open);
    let inner = &tokens[open + 1..end.saturating_sub(1).max(open + 1)];
    let is_test = matches!(inner, [Token::Ident(cfg), Token::Punct('('), Token::Ident(test), Token::Punct(')')]
        if cfg == "cfg" && test == "test");
    Some((end, is_test))
}

/// Takes the attributes in front of a dropped item back out of what was kept.
fn take_attributes(kept: &mut Vec<Token>) -> Vec<Token> {
    let mut start = kept.len();
    while start > 0 && kept[start - 1].is(']') {
        let Some(open) = (0..start).rev().find(|at| {
            kept[*at].is('#') && kept.get(at + 1).is_some_and(|t| t.is('[')) && end_of_group(kept, at + 1) == start
        }) else {
            break;
        };
        start = open;
    }
    kept.split_off(start)
}

/// Behind the group that opens here.
fn end_of_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Punct('(' | '[' | '{') => depth += 1,
            Token::Punct(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Behind the item that starts here: at its block, its semicolon, or what closes around it.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    let mut is_import = false;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Punct(';') => return at + 1,
            Token::Punct('}' | ')' | ']') => return at,
            // The braces of `use a::{b, c};` are not the end of it.
            Token::Punct('{') if !is_import => return end_of_group(tokens, at),
            Token::Punct('{' | '(' | '[') => at = end_of_group(tokens, at),
            token => {
                is_import |= token.ident() == Some("use");
                at += 1;
            }
        }
    }
    at
}

fn module_in_file(item: &[Token]) -> Option<(String, Option<String>)> {
    let at = item.iter().position(|t| t.ident() == Some("mod"))?;
    let name = item.get(at + 1)?.ident()?.to_owned();
    let is_in_file = item.get(at + 2)?.is(';');
    let path = item.windows(3).find_map(|w| match w {
        [Token::Ident(key), Token::Punct('='), Token::Text(path)] if key == "path" => Some(path.clone()),
        _ => None,
    });
    is_in_file.then_some((name, path))
}

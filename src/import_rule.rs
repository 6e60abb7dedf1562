//! The test of the import rule: reads the sources and checks which module names which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    str::FromStr as _,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Each room, and the rooms that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("queue_worker", &[]),
    ("turns", &["domain"]),
    ("store", &["domain", "turns"]),
    ("usage", &["domain", "queue_worker", "store"]),
    ("limits", &["domain"]),
    ("auth", &["domain", "turns", "store", "usage", "limits"]),
    ("http", &["domain", "turns", "store", "usage", "limits", "auth"]),
    ("config", &["domain", "store", "limits", "auth", "http"]),
    ("telemetry", &["config"]),
    ("app", &["domain", "queue_worker", "store", "usage", "limits", "auth", "http", "config", "telemetry"]),
    ("demo", &["domain", "store", "auth", "http", "config", "app"]),
    ("cli", &["domain", "store", "limits", "auth", "http", "config", "telemetry", "app", "demo"]),
];

/// A module's path from the crate's root, such as `["auth", "cache", "lease"]`.
type ModulePath = Vec<String>;

/// A path as the source names it, resolved to start at the crate's root or at another crate.
#[derive(Clone, Debug)]
struct Name {
    path: ModulePath,
    /// The name that a `use` gives it; empty for a path in an expression or type.
    alias: String,
}

/// The modules of a crate, and the paths that each of them names.
#[derive(Default)]
struct Sources {
    names: BTreeMap<ModulePath, Vec<Name>>,
}

impl Sources {
    fn read(src: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_folder(src, &[]);
        sources
    }

    fn read_folder(&mut self, folder: &Path, module: &[String]) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let child = [module, std::slice::from_ref(&stem)].concat();
            if path.is_dir() {
                self.read_folder(&path, &child);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let own = if ["lib", "mod"].contains(&stem.as_str()) { module.to_vec() } else { child };
                if own != ["main"] {
                    self.read_module(own, &fs::read_to_string(&path).unwrap());
                }
            }
        }
    }

    fn read_module(&mut self, module: ModulePath, text: &str) {
        let mut names = Vec::new();
        collect(&tokens(TokenStream::from_str(text).unwrap()), &module, &mut names);
        self.names.insert(module, names);
    }

    /// The module that a path leads to: through folders, files and re-exports, up to the first item in a module.
    fn resolve(&self, path: &[String]) -> ModulePath {
        let mut module = Vec::new();
        for (index, segment) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.names.contains_key(&child) {
                module = child;
                continue;
            }
            let reexport = self.names[&module].iter().find(|name| {
                name.alias == *segment && name.path.starts_with(&module) && name.path.len() > module.len() + 1
            });
            return match reexport {
                Some(name) => self.resolve(&[&name.path, &path[index + 1..]].concat()),
                None => module,
            };
        }
        module
    }

    /// Which module imports which sibling, for each folder.
    fn imports(&self) -> BTreeMap<ModulePath, BTreeSet<(String, String)>> {
        let mut imports: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (module, names) in &self.names {
            for name in names {
                let imported = self.resolve(&name.path);
                let common = module.iter().zip(&imported).take_while(|(one, other)| one == other).count();
                if let (Some(one), Some(other)) = (module.get(common), imported.get(common)) {
                    let edge = (one.clone(), other.clone());
                    imports.entry(module[..common].to_vec()).or_default().insert(edge);
                }
            }
        }
        imports
    }

    /// One line for each circle of siblings, such as `auth/jwt: jwks → verifier → jwks`.
    fn circles(&self) -> Vec<String> {
        let mut circles = Vec::new();
        for (folder, edges) in self.imports() {
            let mut edges: Vec<_> = edges.into_iter().collect();
            while let Some(circle) = first_circle(&edges) {
                circles.push(format!("{}: {}", folder.join("/"), circle.join(" → ")));
                edges.retain(|(one, other)| !circle.windows(2).any(|pair| pair == [one.as_str(), other.as_str()]));
            }
        }
        circles
    }
}

/// A shortest circle, its first module repeated at the end.
fn first_circle(edges: &[(String, String)]) -> Option<Vec<String>> {
    let circle_of = |start: &String| {
        let mut ways = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for (_, next) in edges.iter().filter(|(from, _)| Some(from) == way.last()) {
                    let way = [way.as_slice(), std::slice::from_ref(next)].concat();
                    if next == start {
                        return Some(way);
                    }
                    if seen.insert(next) {
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        None
    };
    edges.iter().filter_map(|(start, _)| circle_of(start)).min_by_key(Vec::len)
}

fn tokens(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, expected: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    is_punct(tokens.first(), ':') && is_punct(tokens.get(1), ':')
}

/// Finds every path in the tokens of a module: in `use` trees, in expressions, types and macros.
fn collect(tokens: &[TokenTree], module: &ModulePath, names: &mut Vec<Name>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let keyword = ident(Some(token));
        match (keyword.as_deref(), token) {
            // Not `impl Trait + use<'a>`.
            (Some("use"), _) if !is_punct(tokens.get(at + 1), '<') => {
                let end = at + tokens[at..].iter().position(|token| is_punct(Some(token), ';')).unwrap();
                collect_use_tree(&tokens[at + 1..end], module, &[], names);
                at = end;
            }
            (Some("mod"), _) if matches!(tokens.get(at + 2), Some(TokenTree::Group(_))) => {
                let Some(TokenTree::Group(body)) = tokens.get(at + 2) else { unreachable!() };
                let inner = [module.as_slice(), &[ident(tokens.get(at + 1)).unwrap()]].concat();
                collect(&self::tokens(body.stream()), &inner, names);
                at += 2;
            }
            (Some(_), _) if is_path_separator(&tokens[at + 1..]) => {
                let (path, length) = path_of(&tokens[at..]);
                names.push(Name { path: absolute(&path, module), alias: String::new() });
                at += length - 1;
            }
            (_, TokenTree::Group(group)) => collect(&self::tokens(group.stream()), module, names),
            _ => {}
        }
        at += 1;
    }
}

/// The segments of the path that the tokens begin with, and how many tokens it takes.
fn path_of(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let (mut path, mut at) = (Vec::new(), 0);
    while let Some(segment) = ident(tokens.get(at)) {
        path.push(segment);
        at += 1;
        if !is_path_separator(&tokens[at..]) || ident(tokens.get(at + 2)).is_none() {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// `a::b::{self, c as d, e::*}`, each leaf as a name of its own.
fn collect_use_tree(tokens: &[TokenTree], module: &ModulePath, prefix: &[String], names: &mut Vec<Name>) {
    for tree in tokens.split(|token| is_punct(Some(token), ',')) {
        let (mut path, mut at) = (prefix.to_vec(), 0);
        let mut alias = None;
        while let Some(token) = tree.get(at) {
            match token {
                TokenTree::Ident(name) if name == "as" => {
                    alias = ident(tree.get(at + 1));
                    at += 1;
                }
                TokenTree::Ident(name) if name == "self" && !path.is_empty() => {}
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    collect_use_tree(&self::tokens(group.stream()), module, &path, names);
                    path.clear();
                }
                _ => {}
            }
            at += 1;
        }
        if let Some(last) = path.last() {
            names.push(Name { alias: alias.unwrap_or_else(|| last.clone()), path: absolute(&path, module) });
        }
    }
}

/// Starts a path at the crate's root. `self` and `super` may be repeated; a path that begins with anything else
/// starts in this module, if there is such a child, or at another crate.
fn absolute(path: &[String], module: &ModulePath) -> ModulePath {
    let (mut start, mut rest) = (module.clone(), path);
    while let [first, others @ ..] = rest {
        match first.as_str() {
            "crate" => start.clear(),
            "super" => drop(start.pop()),
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    [&start, rest].concat()
}

fn sources_of(folder: &str) -> Sources {
    Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

#[test]
fn rooms_import_one_way() {
    let sources = sources_of("src");
    for (room, allowed) in ROOMS {
        assert!(sources.names.contains_key(&[(*room).to_owned()][..]), "there is no room {room}");
        for (importing, imported) in &sources.imports()[&[][..]] {
            let known = ROOMS.iter().any(|(name, _)| name == imported);
            assert!(importing != room || !known || allowed.contains(&imported.as_str()), "{room} imports {imported}");
        }
    }
}

/// Paths of another crate are resolved as children of the module that names them.
#[test]
fn only_the_store_imports_sqlx() {
    for (module, names) in &sources_of("src").names {
        let imports_sqlx =
            |name: &Name| name.path.starts_with(module) && name.path[module.len()..].contains(&"sqlx".into());
        let in_store = module.first().is_some_and(|room| room == "store");
        assert!(in_store || !names.iter().any(imports_sqlx), "{} imports sqlx", module.join("::"));
    }
}

#[test]
fn siblings_import_one_another_without_a_circle() {
    assert_eq!(sources_of("src").circles(), [""; 0]);
    assert_eq!(sources_of("crates/local-postgres/src").circles(), [""; 0]);
}

/// Each module imports its sibling in another way.
#[test]
fn a_circle_of_siblings_is_found() {
    for (a, b) in [
        ("use super::b::X;", "use crate::room::a;"),
        ("use crate::room::{c, b::{self, Y}};", "fn f() { super::a::g() }"),
        ("use super::X as Z;", "mod tests { use super::super::a; }"),
        ("type T = Option<crate::room::b::X>;", "use super::{/* {} */ a};"),
        ("macro_rules! m { () => { $crate::room::b::X } }", "use crate::{domain, room::a::*};"),
    ] {
        let mut sources = Sources::default();
        for (path, text) in [("", ""), ("domain", ""), ("room", "pub use self::b::{X};"), ("room/a", a), ("room/b", b)]
        {
            let module = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            sources.read_module(module, text);
        }
        assert_eq!(sources.circles(), ["room: a → b → a"], "{a} {b}");
        sources.read_module(vec!["room".into(), "b".into()], "// use super::a;\nconst TEXT: &str = \"super::a::b\";");
        assert_eq!(sources.circles(), [""; 0], "{a}");
    }
}
